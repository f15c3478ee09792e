//! File events.

mod change;
mod paths;
mod written;

use collector_tests::{Actor, Event, Trace};

use crate::Dir;

/// Watches an actor take these steps in a directory.
fn watch<S: AsRef<str>>(dir: &Dir, steps: impl IntoIterator<Item = S>) -> Trace {
    collector_tests::watch(Actor::in_dir(dir.path(), steps))
}

/// Panics unless these steps, in a new directory, give these file events. An event is told in words:
///
/// ```text
/// KIND PATH [<- OLD PATH] [-> TARGET] [BYTES written] [(FLAG, FLAG)]
/// ```
/// with names relative to the directory.
#[track_caller]
fn check(steps: &[&str], expected: &[&str]) -> Trace {
    let dir = Dir::new();
    let trace = watch(&dir, steps);
    assert_eq!(tell_all(&trace, &dir), expected, "after {steps:?}");
    trace
}

fn tell_all(trace: &Trace, dir: &Dir) -> Vec<String> {
    trace.domain("file").into_iter().map(|event| tell(event, dir)).collect()
}

fn tell(event: &Event, dir: &Dir) -> String {
    let inside = |pointer: &str| {
        let path = event.at(pointer).as_str()?;
        let root = dir.join("");
        Some(path.strip_prefix(&root).unwrap_or(path).to_owned())
    };
    let mut words = event.kind().trim_start_matches("file.").to_owned();
    for (before, pointer) in [("", "/file/path"), ("<- ", "/file/old_path"), ("-> ", "/file/target")] {
        if let Some(path) = inside(pointer) {
            words += &format!(" {before}{path}");
        }
    }
    if let Some(bytes) = event.at("/file/written").as_u64() {
        words += &format!(" {bytes} written");
    }
    if let Some(flags) = event.at("/file/flags").as_array() {
        let flags: Vec<_> = flags.iter().filter_map(|flag| flag.as_str()).collect();
        words += &format!(" ({})", flags.join(", "));
    }
    words
}
