//! What a user without privileges is told.

use std::os::unix::process::CommandExt as _;

use crate::{Fixture, Ran, text};

/// Runs the binary as nobody; `None` where that is not possible because nobody may not reach the binary.
pub(crate) fn unprivileged(fixture: &Fixture, arguments: &[&str]) -> Option<Ran> {
    let mut command = fixture.command(arguments);
    if rustix::process::geteuid().is_root() {
        // Owned by nobody, so that only the lack of privileges is tested.
        std::os::unix::fs::chown(&fixture.directory, Some(65_534), Some(65_534)).unwrap();
        command.uid(65_534).gid(65_534);
    }
    match command.output() {
        Ok(output) => Some(Ran::of(output)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn run_fails_with_one_clear_sentence_and_a_hint() {
    let fixture = Fixture::new();
    let runtime_dir = fixture.path("run");
    let Some(ran) = unprivileged(&fixture, &["run", "--no-store", "--runtime-dir", text(&runtime_dir)])
    else {
        return;
    };
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(
        matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ")),
        "{ran:?}"
    );
    assert!(ran.err.contains("sudo") && ran.err.contains("collector doctor"), "{ran:?}");
}

#[test]
fn doctor_says_what_is_missing_and_how_to_get_it() {
    let fixture = Fixture::new();
    let runtime_dir = fixture.path("run");
    let Some(ran) = unprivileged(&fixture, &["doctor", "--runtime-dir", text(&runtime_dir)]) else { return };
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.starts_with("collector cannot capture events here.\n"), "{}", ran.out);
    assert!(ran.out.contains("problem: ") && ran.out.contains("remedy: "), "{}", ran.out);
    let Some(ran) = unprivileged(&fixture, &["doctor", "--format", "json"]) else { return };
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &document["can_capture"]), (Some(1), &serde_json::Value::Bool(false)));
}
