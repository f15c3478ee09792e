//! Argument vectors, also of programs that do not want to be read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use collector_core::{CollectionEvent, ProcessEvent, Text};
use collector_tests::{Actor, Trace, watch};
use serde_json::json;

/// Bytes of a vector that are kept by default.
const KEPT: usize = 32 * 1024;

fn exec_with(arguments: &[&[u8]]) -> Trace {
    let arguments: Vec<_> = arguments.iter().map(|&bytes| OsString::from_vec(bytes.to_vec())).collect();
    watch(Actor::start(Path::new("/"), ["exec-rest /bin/true"], &arguments))
}

fn process(trace: &Trace) -> &ProcessEvent {
    match &trace.one("process.exec").event {
        CollectionEvent::Process(event) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_of_any_bytes_come_through_one_by_one() {
    let arguments: [&[u8]; 8] =
        [b"name", b"two\nlines", b"", b"\xff\xfe\\x41", b" spaces  ", b"\"'$(id)", "grüße".as_bytes(), b""];
    let trace = exec_with(&arguments);
    let event = process(&trace);
    let found: Vec<_> = event.command_line.iter().map(Text::as_bytes).collect();
    assert_eq!(found, arguments);
    assert!(!event.argv_truncated);
    assert_eq!(event.argv_length, Some(arguments.iter().map(|argument| argument.len() as u64 + 1).sum()));
    trace.one("process.exec").shows(json!({
        "process": {
            "encoding": "escaped",
            "command_line": [
                "name", "two\nlines", "", "\\xff\\xfe\\\\x41", " spaces  ", "\"'$(id)", "grüße", "",
            ],
        },
    }));
}

#[test]
fn a_vector_of_200_kilobytes_is_cut_and_says_so() {
    let (first, second) = (vec![b'a'; 100_000], vec![b'b'; 100_000]);
    let trace = exec_with(&[b"name", &first, &second, b"end"]);
    let event = process(&trace);
    assert_eq!(event.argv_length, Some(5 + 100_001 + 100_001 + 4));
    assert!(event.argv_truncated);
    let found: Vec<_> = event.command_line.iter().map(Text::as_bytes).collect();
    assert_eq!(found, [b"name", &first[..KEPT - 5]]);
}

#[test]
fn a_vector_that_just_fits_is_whole_and_one_byte_more_is_cut() {
    // The name, the argument, and their terminators.
    let fits = vec![b'a'; KEPT - 3];
    let trace = exec_with(&[b"n", &fits]);
    let event = process(&trace);
    assert_eq!((event.argv_length, event.argv_truncated), (Some(KEPT as u64), false));
    assert_eq!(event.command_line[1].as_bytes(), fits);

    let too_long = vec![b'a'; KEPT - 2];
    let trace = exec_with(&[b"n", &too_long]);
    let event = process(&trace);
    assert_eq!((event.argv_length, event.argv_truncated), (Some(KEPT as u64 + 1), true));
    assert_eq!(event.command_line[1].as_bytes(), &too_long[..]);
}

#[test]
fn ten_thousand_arguments_are_told_apart() {
    let arguments: Vec<_> = (0..10_000).map(|number| format!("{number:02}")).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_bytes).collect();
    let trace = exec_with(&arguments);
    let event = process(&trace);
    assert_eq!(event.argv_length, Some(arguments.iter().map(|argument| argument.len() as u64 + 1).sum()));
    assert!(event.argv_truncated);
    let (last, whole) = event.command_line.split_last().unwrap();
    assert_eq!(whole.iter().map(Text::as_bytes).collect::<Vec<_>>(), arguments[..whole.len()]);
    assert!(arguments[whole.len()].starts_with(last.as_bytes()));
}

#[test]
fn a_program_without_a_name_is_seen() {
    // Newer kernels put an empty string there; older ones leave the vector empty.
    let trace = watch(Actor::new(["exec-rest /bin/true"]));
    let event = process(&trace);
    assert!(event.command_line.iter().all(Text::is_empty), "{:?}", event.command_line);
    assert!(event.command_line.len() <= 1);
    assert!(!event.argv_truncated);
}
