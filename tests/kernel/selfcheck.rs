//! Kernel programs prove that they run, nobody sees how, and what is silent is put back or replaced.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use collector_sources::{Filter, KernelConfig};
use collector_tests::{Actor, Agent, Capture, DEADLINE, everything, run_agent};
use rustix::process::Signal;
use serde_json::Value;

use crate::Dir;

/// The longest time until something is noticed that blinds programs.
const NOTICED: Duration = Duration::from_secs(10);

/// Programs at functions that some kernel's compiler put a copy of into the only caller: `vfs_rmdir` in 5.10.
const NEVER_RUN: [&str; 1] = ["rmdir_done"];

/// Other tests of this process have captures of their own, with canaries that this one has to report: it runs in a process of
/// its own.
#[test]
fn every_program_proves_itself_and_the_proof_is_no_event() {
    const ALONE: &str = "COLLECTOR_TESTS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        println!("a whole round: {} us of processor time", prove_unseen() / 1_000);
        return;
    }
    let name = "selfcheck::every_program_proves_itself_and_the_proof_is_no_event";
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").stdin(Stdio::null());
    let output = alone.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{error}");
}

/// Returns the processor time of a whole round, in nanoseconds.
fn prove_unseen() -> u64 {
    let dir = Dir::new();
    let mut actor = Actor::in_dir(dir.path(), ["mkdir before", "wait", "mkdir after", "wait"]);
    let config = KernelConfig {
        // Even what this process itself does, and many times.
        filter: Filter { pids: vec![std::process::id()], ..Filter::default() },
        exclude_own: false,
        self_check: Duration::from_millis(50),
        self_check_dir: Some(dir.path().to_owned()),
        ..everything()
    };
    let capture = Capture::start(&config);
    let first = capture.self_check();
    actor.go_on();
    let deadline = Instant::now() + DEADLINE;
    while capture.self_check().rounds < first.rounds + 5 {
        assert!(Instant::now() < deadline, "no more rounds: {:?}", capture.self_check());
        std::thread::sleep(Duration::from_millis(20)); // deadline: nobody says that a round was sung
    }
    actor.go_on();
    let last = capture.self_check();
    let plan = capture.plan().clone();
    drop(actor.finish());
    let trace = capture.finish();
    for check in [&first, &last] {
        assert_eq!(check.problems, []);
        assert!(check.silent.iter().all(|it| NEVER_RUN.contains(&it.program.as_str())), "{:?}", check.silent);
        assert_eq!(check.untried, []);
        let dispatchers = plan.programs.iter().filter(|program| program.name.starts_with("sys_")).count();
        assert_eq!(check.heard, (plan.programs.len() - dispatchers) as u64);
    }

    trace.assert_nothing_lost();
    let own = std::process::id();
    let theirs = ["/canary", "/memfd:collector"];
    for event in trace.events() {
        let of = |at: &str| event.at(at).as_str().unwrap_or_default().to_owned();
        for path in ["/file/path", "/file/old_path", "/file/target"].map(of) {
            assert!(!theirs.iter().any(|name| path.contains(name)), "{:#}", event.json());
        }
        // This process has no sockets, and starts no program but the actor's.
        let is_ours = event.at("/process/pid") == own;
        assert!(!is_ours || !event.kind().starts_with("network."), "{:#}", event.json());
        let is_child = event.kind() == "process.exec" && event.at("/process/ppid") == own;
        assert!(!is_child || !of("/process/executable").ends_with("/true"), "{:#}", event.json());
    }
    for made in ["before", "after"] {
        let path = dir.join(made);
        trace.only("file.create", |event| event.at("/file/path") == path.as_str());
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    last.round_cpu_ns
}

#[test]
fn a_program_taken_out_of_its_table_is_put_back_and_told() {
    let dir = Dir::new();
    let mut actor = Actor::in_dir(dir.path(), ["open a w,creat one", "wait", "open b w,creat two"]);
    // Only tier B has tables of system calls.
    let agent = Agent::run(dir.path(), &[actor.pid()], "[capture]\ntier = \"B\"\n");
    wait_until(dir.path(), |status| status["self_check"]["repaired"] == 0);
    #[cfg(target_arch = "x86_64")]
    const OPENAT: u32 = 257;
    #[cfg(target_arch = "aarch64")]
    const OPENAT: u32 = 56;
    assert_eq!(map::take_out(agent.pid(), OPENAT), 1, "one table has the call");
    actor.go_on();
    let taken_out = Instant::now();
    let after = wait_until(dir.path(), |status| status["self_check"]["repaired"] == 1);
    assert!(taken_out.elapsed() < NOTICED + Duration::from_secs(20), "{:?}", taken_out.elapsed());
    assert_eq!(after["self_check"]["silent"], Value::Array(Vec::new()));
    let health = &document(dir.path(), "status").unwrap()["health"];
    let part = health["components"].as_array().unwrap().iter().find(|part| part["name"] == "self-check");
    assert_eq!(part.unwrap()["status"], "degraded", "{health}");
    drop(actor.finish());
    let ended = agent.end(Signal::TERM);
    let created = |name: &str| {
        let path = dir.join(name);
        ended.all("file.create").filter(|line| line["file"]["path"] == path.as_str()).count()
    };
    assert_eq!((created("one"), created("two")), (0, 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("attached but do not run"), "{}", ended.stderr);
}

/// What a command says about the agent in a directory, once there is something to say.
fn document(dir: &Path, command: &str) -> Option<Value> {
    let runtime = dir.join("runtime");
    let (_, stdout, _) =
        run_agent(&[command, "--format", "json", "--runtime-dir", runtime.to_str().unwrap()]);
    serde_json::from_str(&stdout).ok()
}

/// Waits until the agent's counters are like this.
fn wait_until(dir: &Path, is_it: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let status = document(dir, "stats");
        if let Some(status) = status.as_ref().filter(|status| is_it(status)) {
            return status.clone();
        }
        assert!(
            Instant::now() < deadline,
            "it does not come to that: {:?}",
            status.map(|it| it["self_check"].clone())
        );
        std::thread::sleep(Duration::from_millis(100)); // deadline: the status is written every two seconds
    }
}

/// Tables of another process's programs, as somebody with enough privileges gets at them.
mod map {
    use std::fs;

    const GET_FD_BY_ID: libc::c_int = 14;
    const DELETE: libc::c_int = 3;
    const PROGRAM_ARRAY: &str = "3";

    /// Takes an entry out of every table of programs that a process has. Returns in how many it was.
    pub(super) fn take_out(pid: u32, entry: u32) -> usize {
        let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
        let mut ids: Vec<u32> = files
            .filter_map(|file| {
                let text = fs::read_to_string(file.unwrap().path()).ok()?;
                let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                (of("map_type:") == Some(PROGRAM_ARRAY)).then(|| of("map_id:").unwrap().parse().unwrap())
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter(|id| delete(*id, entry)).count()
    }

    fn delete(map: u32, key: u32) -> bool {
        // `union bpf_attr`: of this call, and of the next one, as far as each reads it.
        let by_id = [map, 0, 0];
        // SAFETY: the kernel reads twelve bytes, which live on.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, GET_FD_BY_ID, &raw const by_id, size_of_val(&by_id)) };
        assert!(fd >= 0, "map {map}: {}", std::io::Error::last_os_error());
        let address = (&raw const key).addr() as u64;
        let attr = [fd.unsigned_abs(), address, 0, 0];
        // SAFETY: as above, and the key lives on.
        unsafe {
            let deleted = libc::syscall(libc::SYS_bpf, DELETE, &raw const attr, size_of_val(&attr)) == 0;
            libc::close(fd as libc::c_int);
            deleted
        }
    }
}

/// Changes what concerns everything on this machine: only where nothing else runs on it.
#[test]
fn machine_with_functions_switched_off_is_watched_at_tracepoints() {
    const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";
    if std::env::var_os("COLLECTOR_TESTS_MACHINE").is_none() {
        println!(
            "left out: switches something off for the whole machine; `cargo xtask vm-test --filter machine`"
        );
        return;
    }
    let dir = Dir::new();
    let steps = ["mkdir one", "wait", "mkdir two", "wait", "mkdir three", "wait"];
    let mut actor = Actor::in_dir(dir.path(), steps);
    let mut agent = Agent::run(dir.path(), &[actor.pid()], "");
    let is_in = |tier: &'static str| {
        move |status: &Value| {
            let mut plan = status["plan"].as_array().unwrap().iter();
            plan.any(|kind| kind["kind"] == "file.create" && kind["tier"] == tier)
        }
    };
    let status = wait_until(dir.path(), |_| true);
    println!("{:#}", status["self_check"]);
    if !is_in("A")(&status) {
        println!("left out: this kernel does not have tier A");
        return;
    }
    let mut make = |name: &str| {
        actor.go_on();
        agent.wait_for_output(&dir.join(name));
    };
    make("one");
    let off = std::time::SystemTime::now();
    if let Err(error) = fs::write(FTRACE, "0") {
        println!("left out: this kernel does not let them be switched off: {error}");
        return;
    }
    let after = wait_until(dir.path(), is_in("B"));
    let _ = fs::write(FTRACE, "0");
    println!("{:#}", after["self_check"]);
    let noticed = after["self_check"]["problems"][0]["since_ns"].as_u64().map(Duration::from_nanos);
    let since = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap();
    if let Some(noticed) = noticed {
        assert!(noticed.saturating_sub(since(off)) < NOTICED + Duration::from_secs(2), "{noticed:?} {off:?}");
    }
    make("two");
    fs::write(FTRACE, "1").unwrap();
    let back = wait_until(dir.path(), |status| is_in("A")(status) && status["self_check"]["restored"] == 1);
    println!("{:#}", back["self_check"]);
    make("three");
    drop(actor.finish());
    let ended = agent.end(Signal::TERM);
    println!("{}", ended.stderr);
    let captured = |name: &str| {
        let path = dir.join(name);
        let mut lines = ended.all("file.create").filter(|line| line["file"]["path"] == path.as_str());
        let capture = lines.next().unwrap()["capture"].clone();
        assert!(lines.next().is_none(), "{name} twice");
        capture
    };
    assert_eq!(["one", "two", "three"].map(captured), ["kernel", "syscall", "kernel"]);
    assert_eq!(ended.all("loss").count(), 0);
}
