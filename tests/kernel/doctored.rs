//! Kernels that are not as they should be: no type information, some that is gone, moved or damaged. Whatever it is, what
//! works is captured, and what does not is named.

use std::io::{Error, ErrorKind};

use collector_common::Kind;
use collector_sources::features::{BtfState, Probed, VMLINUX_BTF, probe, probe_with};
use collector_sources::object::Object;
use collector_sources::plan::{Limits, Outcome, Plan, Tier, plan};
use collector_sources::{KernelCapture, KernelConfig, StartError, offsets};
use collector_tests::{Actor, Agent, Capture, DEADLINE, Trace, Types, quiet, run_agent, run_agent_after};
use rustix::process::Signal;
use serde_json::Value;

use crate::Dir;

const EVERYTHING: u64 = u64::MAX;

fn probed(types: &Types) -> Probed {
    probe_with(Ok(types.bytes()))
}

fn planned(probed: &Probed) -> Plan {
    plan(&probed.features, &probed.offsets, EVERYTHING, &Limits::default())
}

fn outcome(plan: &Plan, kind: Kind) -> &Outcome {
    &plan.kinds.iter().find(|planned| planned.kind == kind).unwrap().outcome
}

/// Why a kind is not captured.
fn reason(plan: &Plan, kind: Kind) -> &str {
    match outcome(plan, kind) {
        Outcome::Unavailable { reason } => reason,
        served @ Outcome::Served { .. } => panic!("{kind:?}: {served:?}"),
    }
}

fn unserved(plan: &Plan) -> Vec<Kind> {
    let is_unserved = |kind: &Kind| plan.served() & kind.bit() == 0;
    plan.kinds.iter().map(|planned| planned.kind).filter(is_unserved).collect()
}

/// Captures an actor that writes a file, renames it, connects, listens and sends.
fn watch(dir: &Dir, types: &Types) -> (Plan, Trace) {
    let steps = [
        "open a w,creat a",
        "write a 10",
        "close a",
        "rename a b",
        "listen server 127.0.0.1:0 7",
        "connect client @server",
        "udp in 127.0.0.1:0",
        "udp out 127.0.0.1:0",
        "sendto out @in 12",
        "exec /bin/true",
    ];
    let actor = Actor::in_dir(dir.path(), steps);
    let config = KernelConfig { tier: None, ..quiet(&[actor.pid()]) };
    let capture = KernelCapture::start_on(&config, || probed(types));
    let mut capture = Capture::of(capture.unwrap_or_else(|error| panic!("{error}")));
    capture.poll();
    let finished = actor.finish();
    let plan = capture.plan().clone();
    let trace = capture.finish().by(finished);
    trace.assert_nothing_lost();
    (plan, trace)
}

fn count(trace: &Trace, kind: &str) -> usize {
    trace.events().iter().filter(|event| event.kind() == kind).count()
}

#[test]
fn a_field_that_is_gone_costs_what_reads_it() {
    let (plan, trace) = watch(&Dir::new(), &Types::of_kernel().without("open_fds"));
    let Outcome::Served { without, .. } = outcome(&plan, Kind::FileModify) else { panic!("{plan:?}") };
    let lack = without.iter().find(|lack| lack.row == "files left open").unwrap();
    assert_eq!(lack.reason, "this kernel has no fdtable.open_fds");
    assert_eq!(unserved(&plan), []);
    for kind in
        ["process.exec", "file.create", "file.modify", "file.rename", "network.listen", "network.connect"]
    {
        assert_eq!(count(&trace, kind), 1, "{kind}");
    }
}

#[test]
fn a_tracepoint_that_is_gone_costs_its_kinds() {
    let (plan, trace) = watch(&Dir::new(), &Types::of_kernel().without("btf_trace_inet_sock_set_state"));
    for kind in unserved(&plan) {
        assert!([Kind::NetworkConnect, Kind::NetworkClose].contains(&kind), "{kind:?}");
        assert_eq!(reason(&plan, kind), "this kernel has no tracepoint inet_sock_set_state");
    }
    assert_eq!((count(&trace, "network.connect"), count(&trace, "network.listen")), (0, 1));
}

#[test]
fn a_function_that_is_gone_or_another_one_is_replaced_by_a_lower_tier() {
    let whole = planned(&probe());
    for types in [
        Types::of_kernel().without("vfs_rename"),
        // Its argument is still a pointer, to something else.
        Types::of_kernel().without("renamedata"),
    ] {
        let plan = planned(&probed(&types));
        assert_eq!(unserved(&plan), []);
        let Outcome::Served { tier: Tier::A, .. } = outcome(&whole, Kind::FileRename) else {
            println!("left out: this kernel does not have tier A");
            return;
        };
        let Outcome::Served { tier: Tier::B, no_better: Some(why), .. } = outcome(&plan, Kind::FileRename)
        else {
            panic!("{plan:?}")
        };
        assert!(why.contains("vfs_rename") || why.contains("renamedata"), "{why}");
        let Outcome::Served { tier: Tier::A, .. } = outcome(&plan, Kind::FileDelete) else {
            panic!("{plan:?}")
        };
    }
    let (_, trace) = watch(&Dir::new(), &Types::of_kernel().without("vfs_rename"));
    assert_eq!((count(&trace, "file.rename"), count(&trace, "file.create")), (1, 1));
}

#[test]
fn a_program_that_the_kernel_refuses_is_named_and_the_others_run() {
    let types = Types::of_kernel().with_moved("sk_buff", "head");
    let (plan, trace) = watch(&Dir::new(), &types);
    if plan.object == Object::Before512 {
        println!("left out: the object for this kernel reads by address, which nobody checks");
        return;
    }
    assert_eq!(unserved(&plan), [Kind::NetworkSend]);
    let reason = reason(&plan, Kind::NetworkSend);
    let refused = "program net_send: the kernel refused it: access beyond struct sk_buff";
    assert!(reason.contains(refused), "{reason}");
    assert_eq!((count(&trace, "network.send"), count(&trace, "network.connect")), (0, 1));
    assert_eq!((count(&trace, "process.exec"), count(&trace, "file.modify")), (1, 1));
}

#[test]
fn without_the_exec_program_others_say_that_they_do_not_know_what_runs() {
    let (plan, trace) = watch(&Dir::new(), &Types::of_kernel().without("secureexec"));
    assert_eq!(unserved(&plan), [Kind::ProcessExec]);
    let Outcome::Served { without, .. } = outcome(&plan, Kind::FileRename) else { panic!("{plan:?}") };
    let lack = without.iter().find(|lack| lack.row == "process.exec").unwrap();
    assert!(lack.misses.contains("command lines") && lack.reason.contains("secureexec"), "{lack:?}");
    assert_eq!((count(&trace, "process.exec"), count(&trace, "process.exit")), (0, 1));
    assert_eq!(count(&trace, "file.rename"), 1);
}

/// What `start_on` says where nothing can be captured.
fn refusal(blob: Result<&[u8], &Error>) -> String {
    match KernelCapture::start_on(&quiet(&[std::process::id()]), || probe_with(blob)) {
        Err(error @ StartError::Unavailable { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(capture) => panic!("{:?}", capture.report()),
    }
}

#[test]
fn no_types_and_broken_ones_are_told_apart() {
    let kernel = Types::of_kernel();
    let absent = Error::from(ErrorKind::NotFound);
    assert!(refusal(Err(&absent)).contains("this kernel has no BTF"));
    let denied = Error::from_raw_os_error(13);
    assert!(refusal(Err(&denied)).contains("this kernel's BTF cannot be read: Permission denied"));
    let whole = kernel.bytes().len();
    for (types, why) in [
        (kernel.clone().cut(0), "header truncated at offset 0"),
        (kernel.clone().cut(7), "header truncated"),
        (kernel.clone().cut(whole / 2), "truncated"),
        (kernel.clone().cut(whole - 1), "string section truncated"),
        (kernel.clone().with_huge_sections(), "truncated"),
        (kernel.clone().with_huge_count(), "invalid"),
    ] {
        let said = refusal(Ok(types.bytes()));
        assert!(said.contains("this kernel's BTF is invalid: ") && said.contains(why), "{said}");
    }
}

/// Nothing is loaded here: the many ways to read damaged types are tried, not the few ways to load programs.
#[test]
fn flipped_bits_leave_a_plan_with_reasons() {
    let kernel = Types::of_kernel();
    let mut readable = 0;
    for seed in 1..=40 {
        let flips = [1, 16, 256, 4096][seed as usize % 4];
        let probed = probed(&kernel.clone().with_flipped_bits(seed, flips));
        let plan = planned(&probed);
        readable += u32::from(matches!(probed.features.btf.value, BtfState::Readable { .. }));
        for kind in unserved(&plan) {
            assert!(!reason(&plan, kind).is_empty(), "seed {seed}: {kind:?}");
        }
    }
    assert!(readable > 0, "damage was always noticed at once: nothing else was tried");
}

#[test]
fn damaged_structs_start_with_what_works_or_say_why_not() {
    let composites: Vec<&str> = offsets::names().collect();
    let kernel = Types::of_kernel();
    let mut started = 0;
    for seed in 1..=6 {
        let types = kernel.clone().with_flipped_members(&composites, seed, 1 << seed);
        let actor = Actor::new(["exec /bin/true"]);
        // The tier with fewer programs is enough, and much faster to load in an emulated machine.
        let config = KernelConfig { tier: Some(Tier::B), ..quiet(&[actor.pid()]) };
        match KernelCapture::start_on(&config, || probed(&types)) {
            Ok(capture) => {
                started += 1;
                let mut capture = Capture::of(capture);
                capture.poll();
                let _ = actor.finish();
                let _ = capture.finish();
            }
            Err(error @ StartError::Unavailable { .. }) => {
                assert!(error.to_string().len() > 40, "seed {seed}: {error}");
                let _ = actor.finish();
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(started > 0, "nothing ever started");
}

/// Steps that show the agent other types than the kernel's.
fn instead_of_the_kernels(dir: &Dir, types: &Types) -> [String; 2] {
    std::fs::write(dir.path().join("types"), types.bytes()).unwrap();
    ["unshare mnt".to_owned(), format!("mount {} {VMLINUX_BTF}", dir.join("types"))]
}

/// Lines of stderr that are warnings.
fn warnings(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("warning: ") || line.contains(" WARN ")).collect()
}

#[test]
fn the_agent_polls_where_there_are_no_types_and_says_so_once() {
    let hidden = ["unshare mnt", "tmpfs /sys/kernel/btf 4k"].map(str::to_owned);
    let (status, stdout, _) = run_agent_after(&hidden, &["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status.code(), &report["polls_instead"]), (Some(1), &Value::Bool(true)), "{report}");
    let problem = report["obstacles"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("this kernel has no BTF"), "{problem}");

    let dir = Dir::new();
    let runtime = dir.join("runtime");
    let run = ["run", "--no-store", "--duration", "1s", "--format", "none", "--runtime-dir", &runtime];
    let (status, _, stderr) = run_agent_after(&hidden, &run);
    assert!(status.success(), "{stderr}");
    let [no_programs, polls] = warnings(&stderr)[..] else { panic!("{stderr}") };
    assert!(no_programs.contains("this kernel has no BTF"), "{no_programs}");
    assert!(polls.contains("polling /proc instead"), "{polls}");
    let (status, _, stderr) = run_agent_after(&hidden, &[&run[..], &["--mode", "kernel"]].concat());
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("this kernel has no BTF"), "{stderr}");
}

#[test]
fn the_agent_names_a_refused_program_wherever_it_is_asked() {
    if probe().features.kernel.value.unwrap() < collector_sources::features::KernelVersion::new(5, 12) {
        println!("left out: the object for this kernel reads by address, which nobody checks");
        return;
    }
    let dir = Dir::new();
    let types = Types::of_kernel().with_moved("sk_buff", "head");
    let steps = instead_of_the_kernels(&dir, &types);
    let names_it = |text: &str| text.contains("net_send") && text.contains("access beyond struct sk_buff");

    let (_, stdout, _) = run_agent_after(&steps, &["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    for kind in report["kinds"].as_array().unwrap() {
        let captured = kind["kind"] != "network.send";
        assert_eq!(kind["captured"], captured, "{kind}");
        assert!(captured || names_it(&kind["lacks"].to_string()), "{kind}");
    }

    let actor = Actor::in_dir(dir.path(), ["mkdir made"]);
    let agent = Agent::run_after(&steps, dir.path(), &[actor.pid()], "");
    let runtime = dir.join("runtime");
    let status = || run_agent(&["status", "--runtime-dir", &runtime]).1;
    let deadline = std::time::Instant::now() + DEADLINE;
    while !names_it(&status()) {
        assert!(std::time::Instant::now() < deadline, "{}", status());
        std::thread::sleep(std::time::Duration::from_millis(50)); // deadline: the status is written every two seconds
    }
    assert!(status().contains("network.send"), "{}", status());
    assert!(actor.finish().status.success());
    let ended = agent.end(Signal::TERM);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.all("file.create").count(), 1);
    // What is wrong with the programs, and what that costs.
    let warnings = warnings(&ended.stderr);
    let costs: Vec<_> =
        warnings.iter().filter(|line| line.contains("not captured: network.send: ")).collect();
    let refused: Vec<_> = warnings.iter().filter(|line| line.contains("cannot be used: ")).collect();
    assert_eq!((costs.len(), refused.len(), warnings.len()), (1, 1, 2), "{}", ended.stderr);
    assert!(names_it(costs[0]) && names_it(refused[0]), "{}", ended.stderr);
}
