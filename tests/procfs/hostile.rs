//! Processes that make themselves hard to read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use collector_core::Text;
use collector_tests::Actor;

use crate::monitor::{Monitor, config, only};

/// `cat` under these arguments, the first of which is its name.
fn disguised(arguments: &[&[u8]]) -> Actor {
    let arguments: Vec<OsString> = arguments.iter().map(|bytes| OsString::from_vec(bytes.to_vec())).collect();
    Actor::start(Path::new("/"), ["wait", "exec-rest /bin/cat"], &arguments)
}

#[test]
fn arguments_of_any_bytes_come_as_they_are() {
    let arguments: [&[u8]; 4] = [b"a\nb) S 1 (\xff\xfe\x01", b"-", b"", b"caf\xe9\\"];
    let mut actor = disguised(&arguments);
    let mut monitor = Monitor::watching(config(), only(actor.pid()));
    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert_eq!(exec.command_line, arguments.map(Text::from));
    let _ = actor.finish();
    monitor.end();
}

#[test]
fn a_name_that_looks_like_the_rest_of_the_line_shifts_nothing() {
    let mut actor = Actor::new(["wait", "comm a)S(1", "wait", "title x", "wait"]);
    let mut monitor = Monitor::watching(config(), only(actor.pid()));
    let before = monitor.take().into_iter().find_map(crate::monitor::process).unwrap();
    actor.go_on();
    actor.go_on();
    actor.go_on();
    let change = monitor.see(actor.pid(), "command_line_changed");
    assert_eq!((change.ppid, change.exec_id), (before.ppid, before.exec_id));
    assert!(change.name.starts_with("a)"), "{}", change.name);
    let _ = actor.finish();
}

#[test]
fn an_enormous_command_line_is_cut_and_says_so() {
    let long = vec![b'x'; 100_000];
    let mut actor = disguised(&[b"cat", b"-", b"-", &long]);
    let mut monitor = Monitor::watching(config(), only(actor.pid()));
    actor.go_on();
    actor.release();
    let exec = monitor.see(actor.pid(), "exec");
    assert!(exec.argv_truncated && exec.argv_length.is_none());
    assert_eq!(exec.command_line.iter().map(|argument| argument.len() + 1).sum::<usize>(), 4097);
    let _ = actor.finish();
}

#[test]
fn processes_that_come_and_go_while_it_looks_harm_nothing() {
    let mut actor = Actor::new(["wait", "repeat 100000", "fork", "end", "end"]);
    let mut monitor = Monitor::watching(config(), only(actor.pid()));
    monitor.take();
    actor.go_on();
    actor.release();
    for _ in 0..20 {
        for event in monitor.processes() {
            assert!(event.exec_id.is_some() && event.pid != 0);
        }
    }
    let stats = monitor.stats();
    assert_eq!((stats.collection_errors, stats.unreadable), (0, 0), "{stats:?}");
}
