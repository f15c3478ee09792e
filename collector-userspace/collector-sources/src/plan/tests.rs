//! The plan over made-up kernels.

use std::collections::{BTreeMap, BTreeSet};

use collector_common::{Domain, MISSING, Offsets, name};

use super::*;
use crate::btf::{Parameter, Prototype};
use crate::features::{Capabilities, CgroupMode, Cgroups, Fact, Lockdown, Target};
use crate::offsets::MissingOffset;
use crate::syscalls::{self, Arch};

const EVERYTHING: u64 = u64::MAX;

/// A kernel with everything tier B needs and trampolines forbidden.
fn kernel() -> Features {
    let yes = || Fact::new(Support::Supported, "made up");
    let tracepoints = tracepoints().map(|name| (name.to_owned(), target(name))).collect();
    Features {
        kernel: Fact::new(Some(KernelVersion::new(6, 12)), "made up"),
        arch: Fact::new(Some(Arch::X86_64), "made up"),
        btf: Fact::new(BtfState::Readable { bytes: 1, types: 1 }, "made up"),
        capabilities: Fact::new(Capabilities::parse("CapEff: 000001ffffffffff"), "made up"),
        lockdown: Fact::new(Some(Lockdown::None), "made up"),
        security_modules: Fact::new(None, "made up"),
        unprivileged_bpf_disabled: Fact::new(Some(2), "made up"),
        cgroups: Fact::new(Cgroups { mode: CgroupMode::V2, unified: None, memory: None }, "made up"),
        memlock: yes(),
        tp_btf: yes(),
        fentry: Fact::new(Support::Refused { errno: libc::EPERM }, "made up"),
        lsm: yes(),
        ring_buffer: yes(),
        current_task: yes(),
        fetch_atomics: yes(),
        tracepoints,
        functions: BTreeMap::new(),
    }
}

/// A tracepoint or function as the programs at it want it.
fn target(name: &str) -> Target {
    let in_c = |of: taken::Type| match of {
        taken::Type::To(name) => format!("struct {name} *"),
        taken::Type::Pointer => "void *".to_owned(),
        taken::Type::Number => "int".to_owned(),
    };
    let mut prototype = Prototype { name: name.to_owned(), result: "int".to_owned(), ..Prototype::default() };
    let parameters = &mut prototype.parameters;
    let parameter =
        |name: &str, of_type| Parameter { name: name.to_owned(), of_type, ..Parameter::default() };
    for &wanted in taken(name).unwrap() {
        match wanted {
            taken::Taken::At(position, of) => {
                parameters.resize(parameters.len().max(position + 1), parameter("", "int".to_owned()));
                parameters[position].of_type = in_c(of);
            }
            taken::Taken::Named(name, of) => parameters.push(parameter(name, in_c(of))),
            taken::Taken::Count(count) => parameters.resize(count, parameter("", "int".to_owned())),
            taken::Taken::Result(of) => prototype.result = in_c(of),
        }
    }
    assert_eq!(mismatch(&prototype), None);
    Target { btf_id: 1, prototype }
}

/// Offsets that are all known and fulfil the assumptions.
fn offsets() -> Resolved {
    let words = [8_u32; Offsets::COUNT];
    let mut offsets: Offsets = zerocopy::transmute!(words);
    (offsets.dentry_parent, offsets.dentry_name_len, offsets.dentry_name) = (24, 36, 40);
    (offsets.sizeof_upid, offsets.upid_nr, offsets.upid_ns) = (16, 0, 8);
    Resolved { offsets, missing: Vec::new() }
}

fn outcome(plan: &Plan, kind: Kind) -> &Outcome {
    &plan.kinds.iter().find(|of| of.kind == kind).unwrap().outcome
}

/// Why tier B cannot serve a kind.
fn reason(plan: &Plan, kind: Kind) -> &str {
    match outcome(plan, kind) {
        Outcome::Unavailable { reason } => reason.split("; this kernel refuses").next().unwrap(),
        served @ Outcome::Served { .. } => panic!("{served:?}"),
    }
}

fn lacks(plan: &Plan, kind: Kind) -> Vec<&'static str> {
    match outcome(plan, kind) {
        Outcome::Served { without, .. } => without.iter().map(|lack| lack.row).collect(),
        Outcome::Unavailable { reason } => panic!("{reason}"),
    }
}

fn attached(plan: &Plan) -> Vec<&'static str> {
    plan.attach.iter().map(|program| program.name).collect()
}

#[test]
fn everything_is_served_where_everything_works() {
    let plan = plan(&kernel(), &offsets(), EVERYTHING, &Limits::default());
    assert_eq!(plan.kinds.len(), Kind::ALL.len());
    for of in &plan.kinds {
        assert!(lacks(&plan, of.kind).is_empty(), "{of:?}");
    }
    assert_eq!(plan.served(), Kind::ALL.iter().fold(0, |mask, kind| mask | kind.bit()));
    assert_eq!(
        attached(&plan),
        [
            "proc_exec",
            "proc_fork",
            "exit_files",
            "exec_files",
            "proc_exit",
            "net_state",
            "net_send",
            "sys_enter",
            "sys_exit"
        ]
    );
    // Every program is attached or called, and every one called is loaded.
    let loaded: BTreeSet<_> = plan.programs.iter().map(|program| program.name).collect();
    let entered: BTreeSet<_> = plan.table.iter().map(|entry| entry.program).collect();
    let run: BTreeSet<_> = attached(&plan).into_iter().chain(entered).collect();
    assert_eq!(loaded, run);
    assert_eq!(loaded.len(), plan.programs.len(), "a program is listed twice");
}

#[test]
fn process_kinds_alone_leave_system_calls_alone() {
    let wanted = Kind::ProcessExec.bit() | Kind::ProcessFork.bit() | Kind::ProcessExit.bit();
    let plan = plan(&kernel(), &offsets(), wanted, &Limits::default());
    assert_eq!(attached(&plan), ["proc_exec", "proc_fork", "proc_exit"]);
    assert_eq!(plan.table, [TableEntry { map: name::EXEC_STAGES, index: 0, program: "proc_exec_path" }]);
    assert_eq!(plan.served(), wanted);
}

#[test]
fn one_file_kind_attaches_one_dispatcher() {
    let plan = plan(&kernel(), &offsets(), Kind::FileDelete.bit(), &Limits::default());
    assert_eq!(attached(&plan), ["sys_exit"]);
    let entries: BTreeSet<_> =
        plan.table.iter().map(|entry| (entry.map, entry.index, entry.program)).collect();
    let expected = [
        (name::EXIT_CALLS, 84, "file_rmdir"),
        (name::EXIT_CALLS, 87, "file_unlink"),
        (name::EXIT_CALLS, 263, "file_unlinkat"),
        (name::EXIT_STAGES, 0, "file_finish"),
    ];
    assert_eq!(entries, BTreeSet::from(expected));
}

#[test]
fn nothing_is_served_without_btf() {
    let mut features = kernel();
    features.btf = Fact::new(BtfState::Absent, "made up");
    features.tp_btf = Fact::new(Support::Absent { reason: "no BTF".to_owned() }, "made up");
    features.tracepoints = BTreeMap::new();
    let plan = plan(&features, &Resolved::nothing(), EVERYTHING, &Limits::default());
    assert_eq!(plan.served(), 0);
    assert!(plan.programs.is_empty() && plan.table.is_empty() && plan.attach.is_empty());
    for &kind in Kind::ALL {
        assert_eq!(reason(&plan, kind), "this kernel has no BTF");
    }
}

#[test]
fn without_sys_exit_what_does_not_need_it_remains() {
    let mut features = kernel();
    features.tracepoints.remove("sys_exit");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    for &kind in Kind::ALL {
        let lost =
            kind.domain() == Domain::File || [Kind::NetworkAccept, Kind::NetworkListen].contains(&kind);
        if lost {
            assert_eq!(reason(&plan, kind), "this kernel has no tracepoint sys_exit");
        }
    }
    assert_eq!(lacks(&plan, Kind::NetworkClose), ["close of accepted"]);
    // Closes are of no use when writes are not seen.
    assert_eq!(attached(&plan), ["proc_exec", "proc_fork", "proc_exit", "net_state", "net_send"]);
}

#[test]
fn a_missing_offset_costs_only_what_reads_it() {
    let mut offsets = offsets();
    offsets.offsets.fdt_open = MISSING;
    offsets.missing.push(MissingOffset { path: "fdtable.open_fds", reason: "made up".to_owned() });
    let plan = plan(&kernel(), &offsets, EVERYTHING, &Limits::default());
    assert_eq!(lacks(&plan, Kind::FileModify), ["files left open", "close_range"]);
    assert!(!attached(&plan).contains(&"exit_files"));
    assert!(!plan.programs.iter().any(|program| program.name == "file_quit"));

    offsets.offsets.bprm_file = MISSING;
    let plan = super::plan(&kernel(), &offsets, EVERYTHING, &Limits::default());
    assert_eq!(reason(&plan, Kind::ProcessExec), "this kernel has no linux_binprm.file");
    assert_eq!(lacks(&plan, Kind::ProcessFork), ["process.exec"]);
}

#[test]
fn without_process_events_the_others_say_that_they_do_not_know_who_acts() {
    let limits = Limits {
        unusable: [
            ("proc_exec".to_owned(), "made up".to_owned()),
            ("proc_fork".to_owned(), "too".to_owned()),
        ]
        .into(),
        ..Limits::default()
    };
    let wanted = Kind::NetworkSend.bit() | IDENTITY;
    let plan = plan(&kernel(), &offsets(), wanted, &limits);
    assert_eq!(plan.served(), Kind::NetworkSend.bit() | Kind::ProcessExit.bit());
    let Outcome::Served { without, .. } = outcome(&plan, Kind::NetworkSend) else { panic!() };
    let told: Vec<_> = without.iter().map(|lack| (lack.row, lack.reason.as_str())).collect();
    assert_eq!(
        told,
        [("process.exec", "program proc_exec: made up"), ("process.fork", "program proc_fork: too")]
    );
}

#[test]
fn a_broken_assumption_costs_what_relies_on_it() {
    let mut offsets = offsets();
    offsets.offsets.dentry_name = 48;
    let plan = plan(&kernel(), &offsets, EVERYTHING, &Limits::default());
    assert!(reason(&plan, Kind::FileOpen).starts_with("not so on this kernel: dentry"));
    assert_eq!(lacks(&plan, Kind::NetworkConnect), ["process.exec"]);
}

#[test]
fn refusals_name_the_capabilities_missing() {
    let mut features = kernel();
    features.tp_btf = Fact::new(Support::Refused { errno: libc::EPERM }, "made up");
    features.capabilities = Fact::new(Some(Capabilities { bpf: true, ..Capabilities::default() }), "made up");
    let plan = plan(&features, &offsets(), Kind::ProcessExec.bit(), &Limits::default());
    let reason = reason(&plan, Kind::ProcessExec);
    assert!(reason.contains("Operation not permitted"), "{reason}");
    assert!(reason.ends_with("missing capabilities: CAP_PERFMON"), "{reason}");
}

#[test]
fn a_kernel_without_the_running_task_keeps_what_gets_it_as_argument() {
    let mut features = kernel();
    features.current_task = Fact::new(Support::Refused { errno: libc::EINVAL }, "made up");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert!(lacks(&plan, Kind::ProcessExec).is_empty());
    assert!(reason(&plan, Kind::NetworkSend).starts_with("bpf_get_current_task_btf refused"));
}

#[test]
fn kernels_before_5_12_are_served_by_an_object_of_their_own() {
    let mut features = kernel();
    let refused = || Fact::new(Support::Refused { errno: libc::EINVAL }, "made up");
    features.kernel.value = Some(KernelVersion::new(5, 10));
    (features.fetch_atomics, features.current_task) = (refused(), refused());
    let old = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    let everything = Kind::ALL.iter().fold(0, |mask, kind| mask | kind.bit());
    assert_eq!((old.object, old.served()), (Object::Before512, everything));
    // What a kernel of that version can do counts, not its number.
    features.fetch_atomics = Fact::new(Support::Supported, "made up");
    assert_eq!(plan(&features, &offsets(), EVERYTHING, &Limits::default()).object, Object::Before512);
    features.current_task = Fact::new(Support::Supported, "made up");
    assert_eq!(plan(&features, &offsets(), EVERYTHING, &Limits::default()).object, Object::Recent);
    // Later kernels may interrupt programs, so the object for older ones is not for them.
    features.kernel.value = Some(KernelVersion::new(6, 12));
    features.fetch_atomics = refused();
    let new = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert_eq!((new.object, new.served()), (Object::Recent, 0));
    assert!(reason(&new, Kind::ProcessExec).starts_with("fetching atomics refused"));
}

#[test]
fn kernels_too_old_or_foreign_say_so() {
    let mut features = kernel();
    features.kernel = Fact::new(Some(KernelVersion::new(4, 19)), "made up");
    let old = plan(&features, &offsets(), Kind::ProcessExec.bit(), &Limits::default());
    assert_eq!(reason(&old, Kind::ProcessExec), "kernel 4.19 is older than 5.10");
    features.arch = Fact::new(None, "uname: riscv64");
    let foreign = plan(&features, &offsets(), Kind::ProcessExec.bit(), &Limits::default());
    assert_eq!(reason(&foreign, Kind::ProcessExec), "architecture not supported (uname: riscv64)");
}

#[test]
fn a_tracepoint_that_lost_an_argument_is_not_used() {
    let mut features = kernel();
    features.tracepoints.get_mut("sched_process_exec").unwrap().prototype.parameters.pop();
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    let reason = reason(&plan, Kind::ProcessExec);
    assert!(
        reason.contains("sched_process_exec(") && reason.contains("needed: struct linux_binprm"),
        "{reason}"
    );
}

#[test]
fn aarch64_loads_no_program_for_calls_it_lacks() {
    let mut features = kernel();
    features.arch = Fact::new(Some(Arch::Aarch64), "made up");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert!(plan.kinds.iter().all(|of| matches!(of.outcome, Outcome::Served { .. })));
    let loaded = |name| plan.programs.iter().any(|program| program.name == name);
    assert!(loaded("file_openat") && !loaded("file_open") && !loaded("file_rmdir"));
    assert!(plan.table.contains(&TableEntry { map: name::EXIT_CALLS, index: 35, program: "file_unlinkat" }));
}

#[test]
fn trampolines_tell_policy_from_inability() {
    use crate::features::Trampolines;
    let mut features = kernel();
    assert_eq!(features.trampolines(), Trampolines::Forbidden);
    features.tp_btf.value = Support::Refused { errno: libc::EPERM };
    assert_eq!(features.trampolines(), Trampolines::Unknown);
    features.fentry.value = Support::Refused { errno: libc::EINVAL };
    assert_eq!(features.trampolines(), Trampolines::Unsupported);
    features.fentry.value = Support::Supported;
    assert_eq!(features.trampolines(), Trampolines::Available);
    features.arch.value = Some(Arch::Aarch64);
    features.kernel.value = Some(KernelVersion::new(6, 1));
    assert_eq!(features.trampolines(), Trampolines::Unsupported);
}

#[test]
fn the_table_is_sound() {
    let mut slots = BTreeMap::new();
    let mut rows_by_name = BTreeSet::new();
    for row in rows() {
        assert!(rows_by_name.insert(row.name), "two rows are called {}", row.name);
        assert!(!row.kinds.is_empty() && !row.hooks.is_empty() && !row.why.is_empty());
        for hook in row.hooks {
            assert!(hook.program.len() <= 15, "the kernel cuts {}", hook.program);
            let known: BTreeSet<_> = tracepoints().chain(functions()).collect();
            assert!(hook.at.iter().all(|name| known.contains(name)), "{hook:?}");
            let (Attach::EnterCall(calls) | Attach::ExitCall(calls)) = hook.attach else {
                if let Attach::Stage { map, slot } = hook.attach {
                    let other = slots.insert((map, slot), hook.program);
                    assert!(other.is_none_or(|other| other == hook.program), "two programs at {map}[{slot}]");
                }
                continue;
            };
            for call in calls {
                assert!(syscalls::is_known(call), "{call}");
                let exit = matches!(hook.attach, Attach::ExitCall(_));
                for arch in [Arch::X86_64, Arch::Aarch64] {
                    let Some(number) = arch.number(call) else { continue };
                    assert!(number < 512, "{call} lies outside the tables");
                    let map = match (arch, exit) {
                        (Arch::X86_64, true) => "x86_64 exit",
                        (Arch::X86_64, false) => "x86_64 enter",
                        (Arch::Aarch64, true) => "aarch64 exit",
                        (Arch::Aarch64, false) => "aarch64 enter",
                    };
                    let other = slots.insert((map, number), hook.program);
                    assert!(other.is_none_or(|other| other == hook.program), "two programs for {call}");
                }
            }
        }
    }
    for &kind in Kind::ALL {
        assert!(rows().any(|row| row.mandatory && row.kinds.contains(&kind)), "nothing serves {kind:?}");
    }
}

#[test]
fn a_plan_prints_as_json() {
    let plan = plan(&kernel(), &offsets(), Kind::ProcessFork.bit(), &Limits::default());
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["kinds"][0]["kind"], "process.fork");
    assert_eq!(json["kinds"][0]["outcome"], "served");
    assert_eq!(json["programs"][0]["name"], "proc_fork");
}

/// [`kernel`] with trampolines, and every function of the table.
fn kernel_with_functions() -> Features {
    let mut features = kernel();
    features.fentry = Fact::new(Support::Supported, "made up");
    features.functions = functions().map(|name| (name.to_owned(), target(name))).collect();
    features
}

fn tier(plan: &Plan, kind: Kind) -> Tier {
    match outcome(plan, kind) {
        Outcome::Served { tier, .. } => *tier,
        Outcome::Unavailable { reason } => panic!("{reason}"),
    }
}

#[test]
fn where_functions_can_be_hooked_no_system_call_is() {
    let plan = plan(&kernel_with_functions(), &offsets(), EVERYTHING, &Limits::default());
    for of in &plan.kinds {
        assert_eq!(tier(&plan, of.kind), Tier::A, "{of:?}");
        assert!(lacks(&plan, of.kind).is_empty(), "{of:?}");
    }
    let attached = attached(&plan);
    assert!(!attached.contains(&"sys_enter") && !attached.contains(&"sys_exit"), "{attached:?}");
    // The tracepoint is there, so what stands in for it is not needed.
    assert!(attached.contains(&"exec_files") && !attached.contains(&"creds_begins"));
    let open = plan.attach.iter().find(|program| program.name == "open_done").unwrap();
    assert_eq!((open.place, open.at), (Place::Return, "do_filp_open"));
}

#[test]
fn a_function_that_was_renamed_is_found_by_its_new_name() {
    let mut features = kernel_with_functions();
    features.functions.remove("do_filp_open");
    let renamed = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert!(renamed.attach.iter().any(|program| program.at == "do_file_open"));
    features.functions.remove("do_file_open");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    let Outcome::Served { tier: Tier::B, no_better, .. } = outcome(&plan, Kind::FileOpen) else { panic!() };
    assert_eq!(no_better.as_deref(), Some("this kernel has no function do_filp_open or do_file_open"));
}

#[test]
fn a_function_with_another_prototype_is_left_alone() {
    let mut features = kernel_with_functions();
    features.functions.get_mut("vfs_rename").unwrap().prototype.parameters[0].of_type = "int".to_owned();
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    let Outcome::Served { tier: Tier::B, no_better: Some(reason), .. } = outcome(&plan, Kind::FileRename)
    else {
        panic!()
    };
    assert!(reason.ends_with("needed: struct renamedata * as argument 1"), "{reason}");
    assert_eq!(tier(&plan, Kind::FileDelete), Tier::A);
}

#[test]
fn kinds_that_share_programs_fall_back_together() {
    let mut limits = Limits::default();
    limits.unusable.insert("change_done".to_owned(), "made up".to_owned());
    let refused = plan(&kernel_with_functions(), &offsets(), EVERYTHING, &limits);
    for kind in [Kind::FileCreate, Kind::FileOpen, Kind::FileModify, Kind::FileAttributes] {
        assert_eq!(tier(&refused, kind), Tier::B);
    }
    assert_eq!(tier(&refused, Kind::FileDelete), Tier::A);
    assert_eq!(tier(&refused, Kind::NetworkConnect), Tier::A);
    let programs: Vec<_> = refused.programs.iter().map(|program| program.name).collect();
    assert!(!programs.contains(&"open_done") && programs.contains(&"file_openat"), "{programs:?}");
    assert!(programs.contains(&"unlink_done") && !programs.contains(&"file_unlink"), "{programs:?}");

    // Without one that is merely of use, the tier stays and says what it misses.
    limits.unusable = [("call_splice".to_owned(), "made up".to_owned())].into();
    let plan = plan(&kernel_with_functions(), &offsets(), EVERYTHING, &limits);
    assert_eq!(tier(&plan, Kind::FileModify), Tier::A);
    let Outcome::Served { without, .. } = outcome(&plan, Kind::FileModify) else { panic!() };
    assert_eq!(without.len(), 1);
    assert_eq!(without[0].reason, "program call_splice: made up");
}

#[test]
fn a_tier_can_be_insisted_on() {
    let only = |tier| Limits { tier: Some(tier), ..Limits::default() };
    let b = plan(&kernel_with_functions(), &offsets(), EVERYTHING, &only(Tier::B));
    assert!(b.kinds.iter().all(|of| tier(&b, of.kind) == Tier::B));
    assert!(b.attach.iter().all(|program| program.place == Place::Tracepoint));
    let a = plan(&kernel(), &offsets(), EVERYTHING, &only(Tier::A));
    assert_eq!(tier(&a, Kind::ProcessExec), Tier::A);
    let Outcome::Unavailable { reason } = outcome(&a, Kind::FileDelete) else { panic!() };
    assert!(reason.starts_with("this kernel refuses programs on its functions"), "{reason}");
}

#[test]
fn what_stands_in_for_a_missing_tracepoint_is_used_and_nothing_lacks() {
    let mut features = kernel_with_functions();
    features.tracepoints.remove("sched_prepare_exec");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert!(attached(&plan).contains(&"creds_begins") && lacks(&plan, Kind::FileModify).is_empty());
}

#[test]
fn calls_that_an_architecture_lacks_are_nothing_to_miss() {
    let mut features = kernel_with_functions();
    features.functions.retain(|name, _| !name.starts_with("__x64_") && name != "__arm64_sys_utimes");
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert!(lacks(&plan, Kind::FileAttributes).is_empty());
    let close = plan.attach.iter().find(|program| program.name == "call_close").unwrap();
    assert_eq!(close.at, "__arm64_sys_close");
    assert!(!attached(&plan).contains(&"call_utimes"));
}

#[test]
fn kernels_before_5_12_are_captured_at_tracepoints() {
    let mut features = kernel_with_functions();
    features.fetch_atomics = Fact::new(Support::Refused { errno: libc::EINVAL }, "made up");
    features.kernel.value = Some(KernelVersion::new(5, 10));
    let plan = plan(&features, &offsets(), EVERYTHING, &Limits::default());
    assert_eq!((plan.object, tier(&plan, Kind::FileOpen)), (Object::Before512, Tier::B));
    let Outcome::Served { no_better: Some(reason), .. } = outcome(&plan, Kind::FileOpen) else { panic!() };
    assert_eq!(reason, "kernels before 5.12 get programs at tracepoints only");
}
