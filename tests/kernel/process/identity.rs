//! Who is who.

use std::fs;

use collector_common::Domain;
use collector_tests::{Actor, Capture, actor_program, quiet, watch, watch_alone};
use serde_json::json;

#[test]
fn a_process_that_execs_twice_has_one_pid_and_two_identities() {
    let trace = watch(Actor::new(["spawn /usr/bin/env true second"]));
    let pid = trace.actor().number("child");
    let ids: Vec<_> = trace.all("process.exec").map(|event| event.text("/process/exec_id")).collect();
    let [first, second] = ids[..] else { panic!("two execs: {}", trace.summary()) };
    assert_ne!(first, second);
    assert!(trace.all("process.exec").all(|event| event.number("/process/pid") == pid));
    // The end is that of the last image.
    trace.of("process.exit", pid as u32).shows(json!({"process": {"exec_id": second}}));
    // Until it ran something else, it ran what its parent ran.
    let born = trace.one("process.fork").text("/process/exec_id");
    assert!(born != first && born != second);
}

#[test]
fn an_identity_does_not_depend_on_who_looked_when() {
    let mut config = quiet(&[]);
    config.retain_domains(&[Domain::Process]);
    let program = actor_program();
    let program = program.to_str().unwrap();
    let mut actor = Actor::new([&*format!("exec {program} wait")]);
    let pid = actor.pid();
    config.filter.pids = vec![pid];

    let capture = Capture::start(&config);
    // Becomes the same program anew, which begins with a wait and has another as its only step.
    actor.go_on();
    let before = capture.finish();
    let id = before.one("process.exec").text("/process/exec_id");
    let old = before.one("process.snapshot").text("/process/exec_id");
    assert_ne!(id, old);

    let capture = Capture::start(&config);
    actor.go_on();
    let finished = actor.finish();
    let after = capture.finish();
    assert_eq!(finished.pid, pid);
    after.one("process.snapshot").shows(json!({
        "capture": "procfs",
        "process": {
            "pid": pid, "exec_id": id, "parent_exec_id": before.one("process.exec").text("/process/parent_exec_id"),
        },
    }));
    after.one("process.exit").shows(json!({"process": {"pid": pid, "exec_id": id}}));
}

#[test]
fn a_process_knows_its_forebears() {
    let actor = Actor::new(["fork", "fork", "exec /bin/true", "end", "end"]);
    let trace = watch_alone(actor, |config| config.retain_domains(&[Domain::Process]));
    let actor = trace.one("process.snapshot");
    let child_of = |parent: u32| trace.only("process.fork", move |fork| *fork.at("/process/ppid") == parent);
    let parent = child_of(trace.actor().pid);
    let outer = parent.number("/process/pid") as u32;
    let inner = child_of(outer).number("/process/pid");
    parent.shows(json!({"process": {"parent_exec_id": actor.text("/process/exec_id")}}));
    let exec = trace.one("process.exec").shows(json!({
        "process": {"pid": inner, "ppid": outer, "parent_exec_id": parent.text("/process/exec_id")},
    }));
    let ancestors = exec.at("/process/ancestors").as_array().unwrap();
    let pids: Vec<_> = ancestors.iter().map(|ancestor| ancestor["pid"].as_u64().unwrap() as u32).collect();
    assert_eq!(pids[..3], [outer, trace.actor().pid, std::process::id()]);
    assert_eq!(ancestors[1]["exec_id"], actor.text("/process/exec_id"));
    assert_eq!(ancestors[1]["name"], "actor");
}

#[test]
fn a_process_whose_parent_ended_keeps_its_forebears() {
    let trace = watch(Actor::new(["fork", "orphan", "exec /bin/true", "end"]));
    let outer = trace.actor().number("child");
    let exec = trace.one("process.exec").shows(json!({"process": {"ppid": trace.actor().pid}}));
    let ancestors = exec.at("/process/ancestors").as_array().unwrap();
    assert_eq!(ancestors[0]["pid"], outer);
    assert_eq!(ancestors[1]["pid"], trace.actor().pid);
}

#[test]
fn what_an_exec_says_agrees_with_proc() {
    let program = actor_program();
    let mut config = quiet(&[]);
    config.retain_domains(&[Domain::Process]);
    let mut actor = Actor::new([&*format!("exec {}", program.to_str().unwrap())]);
    config.filter.pids = vec![actor.pid()];
    let capture = Capture::start(&config);
    actor.go_on();
    let proc = |name: &str| format!("/proc/{}/{name}", actor.pid());
    let namespace = |name: &str| number_of_namespace(&proc(&format!("ns/{name}")));
    let status = fs::read_to_string(proc("status")).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let number = |name: &str| {
        let text = fs::read_to_string(proc(name)).unwrap();
        Some(text.trim().parse::<u32>().unwrap()).filter(|&id| id != u32::MAX)
    };
    let expected = json!({
        "process": {
            "executable": fs::read_link(proc("exe")).unwrap().to_str(),
            "cwd": fs::read_link(proc("cwd")).unwrap().to_str(),
            "name": field("Name:"),
            "capabilities": field("CapEff:"),
            "namespaces": {
                "mnt": namespace("mnt"),
                "pid": namespace("pid"),
                "net": namespace("net"),
                "user": namespace("user"),
            },
            "login_uid": number("loginuid"),
            "session_id": number("sessionid"),
        },
    });
    let exec = capture.wait_for("exec", |event| event.kind() == "process.exec");
    exec.shows(expected);
    drop(actor.finish());
    drop(capture.finish());
}

fn number_of_namespace(path: &str) -> u64 {
    let link = fs::read_link(path).unwrap();
    let text = link.to_str().unwrap();
    text.split_once('[').unwrap().1.trim_end_matches(']').parse().unwrap()
}

#[test]
fn a_process_in_a_pid_namespace_has_a_pid_there_too() {
    let trace = watch(Actor::new(["unshare pid", "fork", "spawn /bin/true inside", "end"]));
    let [init, child] = trace.all("process.fork").collect::<Vec<_>>()[..] else {
        panic!("two forks: {}", trace.summary());
    };
    let outside = number_of_namespace("/proc/self/ns/pid");
    assert_eq!(init.number("/process/pid"), trace.actor().number("child"));
    init.shows(json!({"process": {"pid_in_namespace": 1}}));
    child.shows(json!({"process": {"ppid": init.number("/process/pid"), "pid_in_namespace": 2}}));
    let exec = trace.one("process.exec").shows(json!({
        "process": {"pid": child.number("/process/pid"), "pid_in_namespace": 2},
    }));
    let inside = exec.number("/process/namespaces/pid");
    assert_ne!(inside, outside);
    assert_eq!(init.number("/process/namespaces/pid"), inside);
}
