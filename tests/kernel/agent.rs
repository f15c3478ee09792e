//! The whole agent, end to end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use collector_tests::{Actor, Agent, DEADLINE, run_agent};
use rustix::process::Signal;
use serde_json::Value;

use crate::Dir;

/// The specification's limit from a signal to the end.
const END: Duration = Duration::from_secs(2);

/// Lines by kind.
fn count(lines: &[Value]) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        *kinds.entry(line["kind"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    kinds
}

#[test]
fn nothing_is_missed_with_the_default_configuration() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    let loads = ["work exec 500 x", "work tcp 500 x", "work file 500 files"];
    let mut actors = loads.map(|load| Actor::in_dir(dir.path(), [load]));
    let agent = Agent::run(dir.path(), &[0, 1, 2].map(|it: usize| actors[it].pid()), "");
    for actor in &mut actors {
        actor.release();
    }
    for actor in actors {
        assert!(actor.finish().status.success());
    }
    let ended = agent.end(Signal::TERM);
    assert!(ended.status.success(), "{}", ended.stderr);
    let kinds = count(&ended.lines);
    let expected = [
        ("process.snapshot", 3),
        ("process.fork", 500),
        ("process.exec", 500),
        ("process.exit", 503),
        ("network.listen", 2),
        ("network.connect", 500),
        ("network.accept", 500),
        ("network.close", 1000),
        ("file.create", 500),
        ("file.modify", 500),
        ("file.rename", 500),
        ("file.delete", 500),
    ];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    // What was put out was also kept.
    let (status, stdout, stderr) = run_agent(&[
        "query",
        "--db",
        &dir.join("store/events.db"),
        "--format",
        "json",
        "SELECT kind, count(*) AS count FROM events GROUP BY kind",
    ]);
    assert!(status.success(), "{stderr}");
    let rows = stdout.lines().map(|row| serde_json::from_str::<Value>(row).unwrap());
    let kept = rows.map(|row| (row["kind"].as_str().unwrap().to_owned(), row["count"].as_u64().unwrap()));
    assert_eq!(kept.collect::<BTreeMap<_, _>>(), kinds);
}

#[test]
fn a_stopped_agent_says_what_it_missed() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    let loads = ["work exec 1000 x", "work tcp 500 x", "work file 1000 files"];
    let mut actors = loads.map(|load| Actor::in_dir(dir.path(), [load, "wait"]));
    let pids = [0, 1, 2].map(|it: usize| actors[it].pid());
    let config = "[capture.rings]\nprocess = \"64KiB\"\nnetwork = \"64KiB\"\nfile = \"64KiB\"\n";
    let agent = Agent::run(dir.path(), &pids, config);
    agent.signal(Signal::STOP);
    let stopped = Instant::now();
    for actor in &mut actors {
        actor.release();
    }
    for actor in &mut actors {
        actor.until_it_waits();
    }
    // deadline: the agent is to stand still for two seconds at least.
    std::thread::sleep(END.saturating_sub(stopped.elapsed()));
    agent.signal(Signal::CONT);
    for actor in actors {
        assert!(actor.finish().status.success());
    }
    let runtime = dir.join("runtime");
    let status = || run_agent(&["status", "--strict", "--runtime-dir", &runtime]);
    let deadline = Instant::now() + DEADLINE;
    while status().0.code() != Some(3) {
        assert!(Instant::now() < deadline, "nothing is degraded: {}", status().1);
        std::thread::sleep(Duration::from_millis(50)); // deadline: the status is written every two seconds
    }
    assert!(status().1.contains("events lost in the kernel"), "{}", status().1);
    let ended = agent.end(Signal::TERM);
    let mut kinds = count(&ended.lines);
    let losses = kinds.remove("loss").unwrap_or(0);
    assert!(losses > 0, "nothing was too much: {kinds:?}");
    let mut lost: BTreeMap<&str, u64> = BTreeMap::new();
    for line in ended.all("loss") {
        assert_eq!(line["loss"]["reason"], "ring_full", "{line}");
        *lost.entry(line["loss"]["kind"].as_str().unwrap()).or_default() +=
            line["loss"]["count"].as_u64().unwrap();
    }
    for (kind, generated) in [
        ("process.fork", 1000),
        ("process.exec", 1000),
        ("process.exit", 1003),
        ("network.connect", 500),
        ("network.accept", 500),
        ("network.close", 1000),
        ("file.create", 1000),
        ("file.modify", 1000),
        ("file.rename", 1000),
        ("file.delete", 1000),
    ] {
        let came = kinds.get(kind).copied().unwrap_or(0);
        let lost = lost.get(kind).copied().unwrap_or(0);
        assert_eq!(came + lost, generated, "{kind}: {came} came, {lost} lost");
    }
}

#[test]
fn a_signal_ends_it_quickly_and_loses_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = Dir::new();
        let actor = Actor::in_dir(dir.path(), ["repeat 100", "mkdir last", "rmdir last", "end"]);
        let agent = Agent::run(dir.path(), &[actor.pid()], "");
        drop(actor.finish());
        // What happened just now is still in the kernel.
        let ended = agent.end(signal);
        assert!(ended.status.success(), "{signal:?}: {}", ended.stderr);
        assert!(ended.took < END, "{signal:?}: {:?}", ended.took);
        let kinds = count(&ended.lines);
        assert_eq!((kinds["file.create"], kinds["file.delete"], kinds["process.exit"]), (100, 100, 1));
    }
}

#[test]
fn a_second_agent_in_the_same_place_is_told_so() {
    let dir = Dir::new();
    let actor = Actor::new(["wait"]);
    let agent = Agent::run(dir.path(), &[actor.pid()], "");
    let pid = actor.pid().to_string();
    let (status, stdout, stderr) =
        run_agent(&["run", "--runtime-dir", &dir.join("runtime"), "--no-store", "--pid", &pid]);
    assert_eq!((status.code(), &*stdout), (Some(1), ""));
    assert!(stderr.contains(&format!("another collector runs already (pid {})", agent.pid())), "{stderr}");
    let status =
        || run_agent(&["status", "--format", "json", "--strict", "--runtime-dir", &dir.join("runtime")]);
    // The first status is written while the sources start.
    let deadline = Instant::now() + DEADLINE;
    while status().0.code() != Some(0) {
        assert!(Instant::now() < deadline, "it does not become healthy: {}", status().1);
        std::thread::sleep(Duration::from_millis(50)); // deadline: the status is written every two seconds
    }
    let report: Value = serde_json::from_str(&status().1).unwrap();
    assert_eq!(
        (&report["health"]["status"], &report["running"]),
        (&"healthy".into(), &true.into()),
        "{report}"
    );
    assert!(agent.end(Signal::TERM).status.success());
    let (exit, stdout, _) = status();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((exit.code(), &report["running"]), (Some(1), &false.into()), "{report}");
}

#[test]
fn a_full_disk_costs_the_store_and_not_the_capture() {
    let dir = Dir::new();
    let actor = Actor::in_dir(dir.path(), ["repeat 2000", "mkdir last", "rmdir last", "end"]);
    let mut agent = Agent::run_on_full_disk(dir.path(), &[actor.pid()], "");
    let pid = actor.pid();
    drop(actor.finish());
    agent.wait_for_output("process.exit");
    let ended = agent.end(Signal::TERM);
    assert!(ended.took < END, "{:?}", ended.took);
    let kinds = count(&ended.lines);
    assert_eq!((kinds["file.create"], kinds["file.delete"]), (2000, 2000));
    assert!(ended.all("process.exit").any(|line| line["process"]["pid"] == pid));
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("could not be stored"), "{}", ended.stderr);
}

#[test]
fn a_recording_of_the_kernel_replays_the_same_every_time() {
    let dir = Dir::new();
    let steps = ["repeat 100000", "wait", "spawn /bin/true recorded", "mkdir sub", "rmdir sub", "end"];
    let mut actor = Actor::in_dir(dir.path(), steps);
    actor.go_on();
    let pid = actor.pid().to_string();
    let file = dir.join("recording");
    let recorder = std::thread::spawn({
        let (pid, file) = (pid.clone(), file.clone());
        move || run_agent(&["record", &file, "--pid", &pid, "--duration", "3s"])
    });
    // Nothing says when a recording has begun: something happens until it has ended.
    while !recorder.is_finished() {
        actor.go_on();
        std::thread::sleep(Duration::from_millis(20)); // deadline: the recording ends by time
    }
    let (status, _, stderr) = recorder.join().unwrap();
    assert!(status.success(), "{stderr}");

    let replay = || run_agent(&["replay", &file, "--format", "json"]);
    let (status, first, stderr) = replay();
    assert!(status.success(), "{stderr}");
    assert_eq!(replay().1, first);
    let lines: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exec = lines.iter().find(|line| line["kind"] == "process.exec").unwrap();
    assert_eq!(exec["process"]["command_line"], serde_json::json!(["/bin/true", "recorded"]));
    let create = lines.iter().find(|line| line["kind"] == "file.create").unwrap();
    assert_eq!(create["file"]["path"], dir.join("sub"));
    assert_eq!(create["process"]["pid"].to_string(), pid);
}
