//! How much was written, by whom, and when that is known.

use std::collections::BTreeMap;

use collector_common::Kind;
use collector_sources::features::probe;
use collector_sources::plan::Tier;
use collector_tests::tier_of;

use super::{check, tell_all, watch};
use crate::Dir;

#[test]
fn every_way_to_write_is_counted() {
    check(
        &[
            "open from w,creat source",
            "write from 300",
            "close from",
            "open from r source",
            "open f rw,creat x",
            "write f 100",
            "pwrite f 20 4096",
            "writev f 3 4",
            "sendfile f from 50",
            "copy_file_range from f 60",
            "splice f 70",
            "close f",
        ],
        &[
            "create source (write)",
            "modify source 300 written (write)",
            "create x (write)",
            "modify x 307 written (write)",
        ],
    );
}

#[test]
fn a_file_opened_and_not_written_is_not_modified() {
    check(
        &["open f w,creat x", "close f", "open f rw x", "write f 0", "close f"],
        &["create x (write)", "open x (write)"],
    );
}

#[test]
fn an_emptied_file_is_modified() {
    check(
        &[
            "open f w,creat x",
            "write f 9",
            "close f",
            "open f w,trunc x",
            "close f",
            "creat f x",
            "write f 2",
            "close f",
        ],
        &[
            "create x (write)",
            "modify x 9 written (write)",
            "open x (write, truncate)",
            "modify x 0 written (write, truncate)",
            "open x (write, truncate)",
            "modify x 2 written (write, truncate)",
        ],
    );
}

#[test]
fn a_new_length_is_a_modification() {
    check(
        &[
            "open f w,creat x",
            "ftruncate f 100",
            "close f",
            "truncate x 10",
            "open f w x",
            "fallocate f 50",
            "close f",
        ],
        &[
            "create x (write)",
            "modify x 0 written (write, truncate)",
            "modify x 0 written (truncate)",
            "open x (write)",
            "modify x 0 written (write, truncate)",
        ],
    );
}

#[test]
fn writing_through_memory_is_seen_but_not_how_much() {
    check(
        &["open f rw,creat x", "ftruncate f 4096", "mmap f 4096", "close f"],
        &["create x (write)", "modify x (write, truncate, mapped)"],
    );
}

#[test]
fn a_file_left_open_is_reported_at_the_end_of_its_process() {
    let dir = Dir::new();
    let steps = ["fork", "open f w,creat x", "write f 11", "open g w,creat y", "write g 22", "end"];
    let trace = watch(&dir, steps);
    let mut told = tell_all(&trace, &dir);
    // The kernel closes all at once: in which order does not matter.
    told[2..].sort();
    assert_eq!(
        told,
        [
            "create x (write)",
            "create y (write)",
            "modify x 11 written (write, closed_by_exit)",
            "modify y 22 written (write, closed_by_exit)",
        ]
    );
    let child = trace.actor().number("child");
    assert!(trace.all("file.modify").all(|event| event.number("/process/pid") == child));
}

#[test]
fn many_files_left_open_are_all_reported() {
    let dir = Dir::new();
    let mut steps = vec!["fork".to_owned()];
    for number in 0..16 {
        steps
            .extend([format!("open f{number} w,creat x{number}"), format!("write f{number} {}", number + 1)]);
    }
    steps.push("end".to_owned());
    let trace = watch(&dir, steps);
    let mut written: Vec<_> = trace.all("file.modify").map(|event| event.number("/file/written")).collect();
    written.sort_unstable();
    assert_eq!(written, (1..=16).collect::<Vec<_>>());
}

#[test]
fn a_file_left_open_by_threads_that_end_at_once_is_reported_once() {
    const TIMES: usize = 1000;
    let dir = Dir::new();
    let times = format!("repeat {TIMES}");
    let steps = [&*times, "fork", "open f w,creat x", "write f 5", "rush 3", "end", "end"];
    let trace = watch(&dir, steps);
    let told = tell_all(&trace, &dir);
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for words in told {
        *counts.entry(words).or_default() += 1;
    }
    assert_eq!(counts.get("modify x 5 written (write, closed_by_exit)"), Some(&TIMES), "{counts:?}");
}

#[test]
fn a_file_whose_process_is_killed_is_reported() {
    check(
        &["fork", "open f w,creat x", "write f 5", "kill 9", "end"],
        &["create x (write)", "modify x 5 written (write, closed_by_exit)"],
    );
}

#[test]
fn a_descriptor_replaced_by_another_is_closed() {
    check(
        &[
            "open f w,creat x",
            "write f 1",
            "open g w,creat y",
            "write g 2",
            "dup2 g f",
            "write f 3",
            "close g",
        ],
        &["create x (write)", "create y (write)", "modify x 1 written (write)", "modify y 5 written (write)"],
    );
}

#[test]
fn a_descriptor_that_was_not_replaced_stays_open() {
    check(
        &["open f w,creat x", "write f 1", "open g r x", "close g", "fails dup2 g f", "write f 3", "close f"],
        &["create x (write)", "modify x 4 written (write)"],
    );
}

#[test]
fn files_that_an_exec_closes_are_reported_and_the_others_stay_open() {
    let dir = Dir::new();
    let steps = [
        "open f w,creat,cloexec x",
        "write f 7",
        "open g w,creat,cloexec y",
        "write g 8",
        "open h w,creat z",
        "write h 9",
        // The kernel uses the memory of the closed descriptions for the next ones that are opened.
        "exec-actor open|a|r|x open|b|r|y pipe|c|d write|d|1 close|a close|b close|c close|d",
    ];
    let trace = watch(&dir, steps);
    let mut told = tell_all(&trace, &dir);
    let mut expected = vec!["create x (write)", "create y (write)", "create z (write)"];
    if execs_close_in_sight() {
        told[3..5].sort();
        expected.extend([
            "modify x 7 written (write, closed_by_exec)",
            "modify y 8 written (write, closed_by_exec)",
        ]);
    }
    expected.push("modify z 9 written (write, closed_by_exit)");
    assert_eq!(told, expected);
}

/// Whether this kernel shows what an exec closes. Where it does not (at tracepoints, before 6.10), `collector doctor` says so.
fn execs_close_in_sight() -> bool {
    tier_of(Kind::FileModify) == Tier::A || probe().features.tracepoints.contains_key("sched_prepare_exec")
}

#[test]
fn an_exec_of_a_process_with_threads_closes_as_well() {
    let dir = Dir::new();
    let steps = ["open f w,creat,cloexec x", "write f 7", "thread", "exec-actor open|a|r|x close|a", "end"];
    let trace = watch(&dir, steps);
    let expected = ["create x (write)", "modify x 7 written (write, closed_by_exec)"];
    assert_eq!(tell_all(&trace, &dir), expected[..if execs_close_in_sight() { 2 } else { 1 }]);
}

#[test]
fn a_range_of_descriptors_is_closed_at_once() {
    let dir = Dir::new();
    let mut steps = Vec::new();
    for number in 0..5 {
        steps
            .extend([format!("open f{number} w,creat x{number}"), format!("write f{number} {}", number + 1)]);
    }
    steps.extend(["close_range f1 f3".to_owned(), "mkdir after".to_owned()]);
    let trace = watch(&dir, &steps);
    let told = tell_all(&trace, &dir);
    let after = told.iter().position(|event| event.starts_with("create after")).unwrap();
    let mut closed = told[5..after].to_vec();
    closed.sort();
    assert_eq!(
        closed,
        ["modify x1 2 written (write)", "modify x2 3 written (write)", "modify x3 4 written (write)",]
    );
}

#[test]
fn a_child_that_closes_what_it_inherited_reports_nothing() {
    let dir = Dir::new();
    let steps = [
        "open f w,creat x",
        "write f 10",
        "fork",
        "close f",
        "end",
        "write f 5",
        "close f",
        "open f w,creat y",
        "write f 1",
        // Ends with it open: that is no end of the parent's.
        "fork",
        "end",
        "write f 2",
        "close f",
    ];
    let trace = watch(&dir, steps);
    assert_eq!(
        tell_all(&trace, &dir),
        ["create x (write)", "modify x 15 written (write)", "create y (write)", "modify y 3 written (write)",]
    );
    assert!(trace.all("file.modify").all(|event| event.at("/process/pid") == trace.actor().pid));
}

#[test]
fn a_child_that_writes_what_it_inherited_reports_it() {
    let dir = Dir::new();
    let trace = watch(&dir, ["open f w,creat x", "fork", "write f 10", "close f", "end", "close f"]);
    assert_eq!(tell_all(&trace, &dir), ["create x (write)", "modify x 10 written (write)"]);
    let child = trace.actor().number("child");
    assert_eq!(trace.one("file.modify").number("/process/pid"), child);
}

#[test]
fn what_has_no_place_has_no_attributes() {
    check(
        &["pipe r w", "fchmod w 600", "open f w,creat x", "fchmod f 600"],
        &["create x (write)", "attributes x (mode)"],
    );
}

#[test]
fn pipes_and_devices_are_no_files() {
    check(
        &["open f w /dev/null", "write f 10", "close f", "mkfifo p", "open f rw p", "write f 3", "close f"],
        &["create p"],
    );
}
