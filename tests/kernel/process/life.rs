//! Births and ends.

use std::collections::BTreeSet;

use collector_tests::{Actor, Event, watch};
use serde_json::json;

#[test]
fn a_child_is_born_and_ends_with_its_code() {
    let trace = watch(Actor::new(["comm parent", "fork", "exit 42", "end"]));
    let child = trace.actor().number("child");
    let fork = trace.one("process.fork").shows(json!({
        "capture": "kernel",
        "process": {"pid": child, "tid": child, "ppid": trace.actor().pid, "name": "parent", "uid": 0},
    }));
    let exit = trace.of("process.exit", child).shows(json!({
        "process": {
            "ppid": trace.actor().pid,
            "exec_id": fork.text("/process/exec_id"),
            "parent_exec_id": fork.text("/process/parent_exec_id"),
            "executable": fork.text("/process/executable"),
            "exit": {"code": 42, "signal": null, "core_dumped": false},
        },
    }));
    assert!(exit.number("/process/exit/duration_ns") > 0);
    trace.of("process.exit", trace.actor().pid).shows(json!({"process": {"exit": {"code": 0}}}));
    assert_eq!(trace.count("process.exec"), 0);
}

#[test]
fn threads_are_no_processes() {
    let trace = watch(Actor::new(["repeat 50", "thread", "comm other", "end", "end"]));
    assert_eq!(trace.count("process.fork"), 0);
    trace.one("process.exit").shows(json!({"process": {"pid": trace.actor().pid}}));
}

#[test]
fn a_process_killed_by_a_signal_has_a_signal_and_no_code() {
    let trace = watch(Actor::new(["fork", "kill 9", "end", "fork", "kill 15", "end"]));
    let children: Vec<u32> = trace.actor().all_said("child").map(|child| child.parse().unwrap()).collect();
    for (child, signal) in children.into_iter().zip([libc::SIGKILL, libc::SIGTERM]) {
        trace.of("process.exit", child).shows(json!({
            "process": {"exit": {"signal": signal, "code": null, "core_dumped": false}},
        }));
    }
}

#[test]
fn the_code_of_a_process_ended_by_another_thread_is_that_threads() {
    let trace = watch(Actor::new(["fork", "thread", "exit 7", "end", "end"]));
    let child = trace.actor().number("child");
    trace.of("process.exit", child).shows(json!({"process": {"exit": {"code": 7}}}));
}

#[test]
fn the_code_is_the_one_that_the_parent_gets() {
    // Which of the threads decides depends on the kernel.
    let trace = watch(Actor::new(["fork", "leave 9", "end", "fork", "outlive 5 6", "end"]));
    let ends = trace.actor().all_said("child").zip(trace.actor().all_said("status"));
    for (child, status) in ends {
        let code = status.parse::<i32>().unwrap() >> 8;
        let child: u32 = child.parse().unwrap();
        trace.of("process.exit", child).shows(json!({"process": {"exit": {"code": code, "signal": null}}}));
    }
}

#[test]
fn a_process_whose_threads_end_at_once_ends_once() {
    const TIMES: usize = 300;
    let times = format!("repeat {TIMES}");
    let trace = watch(Actor::new([&*times, "fork", "rush 7", "end", "end"]));
    let children: BTreeSet<u64> =
        trace.actor().all_said("child").map(|child| child.parse().unwrap()).collect();
    assert_eq!(trace.count("process.fork"), TIMES);
    let mut ends: Vec<_> = trace.all("process.exit").map(|event| event.number("/process/pid")).collect();
    ends.sort_unstable();
    let mut expected: Vec<_> = children.into_iter().chain([trace.actor().pid.into()]).collect();
    expected.sort_unstable();
    assert_eq!(ends, expected);
}

#[test]
fn the_end_of_a_process_does_not_bear_the_name_of_its_last_thread() {
    let steps = ["comm process", "repeat 50", "fork", "thread", "comm thread", "end", "end", "end"];
    let trace = watch(Actor::new(steps));
    assert_eq!(trace.count("process.exit"), 51);
    for exit in trace.all("process.exit") {
        let pid = exit.number("/process/pid");
        exit.shows(json!({"process": {"tid": pid, "name": "process"}}));
    }
}

#[test]
fn an_exec_of_another_thread_keeps_the_pid() {
    let trace = watch(Actor::new(["thread", "exec /bin/true from a thread", "end"]));
    let pid = trace.actor().pid;
    trace.one("process.exec").shows(json!({
        "process": {"pid": pid, "tid": pid, "name": "true", "command_line": ["/bin/true", "from", "a", "thread"]},
    }));
    trace.one("process.exit").shows(json!({"process": {"pid": pid, "name": "true", "exit": {"code": 0}}}));
}

#[test]
fn a_child_that_borrows_memory_is_born_runs_and_ends() {
    let trace = watch(Actor::new(["vfork /bin/false borrowed"]));
    let child = trace.actor().number("child");
    let kinds: Vec<_> =
        trace.events().iter().filter(|it| it.event.pid() == Some(child as u32)).map(Event::kind).collect();
    assert_eq!(kinds, ["process.fork", "process.exec", "process.exit"]);
    trace.one("process.exec").shows(json!({
        "process": {"pid": child, "ppid": trace.actor().pid, "command_line": ["/bin/false", "borrowed"]},
    }));
    trace.of("process.exit", child).shows(json!({"process": {"name": "false", "exit": {"code": 1}}}));
}

#[test]
fn events_of_a_process_come_in_the_order_in_which_they_happened() {
    let trace = watch(Actor::new(["repeat 20", "spawn /usr/bin/env true", "end"]));
    for child in trace.actor().all_said("child") {
        let child: u32 = child.parse().unwrap();
        let mine = trace.events().iter().filter(|it| it.event.pid() == Some(child));
        let kinds: Vec<_> = mine.clone().map(Event::kind).collect();
        assert_eq!(kinds, ["process.fork", "process.exec", "process.exec", "process.exit"]);
        assert!(mine.is_sorted_by_key(|it| it.event.timestamp()));
    }
}
