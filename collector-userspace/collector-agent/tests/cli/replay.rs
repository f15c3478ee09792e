//! `collector replay`: the same bytes every time, without privileges, whatever is in them.

use std::io::Read as _;
use std::process::Stdio;

use crate::{Fixture, Ran, recording, text};

fn recorded(rounds: u32) -> (Fixture, String) {
    let fixture = Fixture::new();
    let path = fixture.path("test.capture");
    recording::write(&path, rounds);
    (fixture, text(&path).to_owned())
}

#[test]
fn same_recording_gives_the_same_bytes() {
    let (fixture, capture) = recorded(2_000);
    let replay = || fixture.run(&["replay", &capture, "--format", "json"]).succeeds().out;
    let first = replay();
    assert_eq!(first.lines().count(), 10_001, "nothing is dropped, however fast the recording is read");
    assert!(first == replay(), "the same recording gave different bytes");
    let kinds: Vec<String> = first
        .lines()
        .take(6)
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected =
        ["process.exec", "process.fork", "process.exec", "network.connect", "file.create", "process.exit"];
    assert_eq!(kinds, expected);
}

#[test]
fn lines_for_people_are_aligned_and_harmless() {
    let (fixture, capture) = recorded(1);
    let out = fixture.run(&["replay", &capture]).succeeds().out;
    assert!(!out.contains(|ch: char| ch.is_control() && ch != '\n'), "{out:?}");
    insta::assert_snapshot!(out);
    let colored = fixture.run(&["replay", &capture, "--color", "always"]).succeeds().out;
    let mut plain = colored.clone();
    for code in ["0m", "1m", "2m", "31m", "32m", "33m", "36m"] {
        plain = plain.replace(&format!("\x1b[{code}"), "");
    }
    assert_ne!(colored, out);
    assert_eq!(plain, out, "colours are all that is added");
}

#[test]
fn events_reach_the_database() {
    let (fixture, capture) = recorded(500);
    let db = fixture.path("replayed.db");
    fixture.run(&["replay", &capture, "--format", "none", "--db", text(&db)]).succeeds();
    let sql = "SELECT kind, count(*) AS n FROM events GROUP BY kind";
    let ran = fixture.run(&["query", "--db", text(&db), "--format", "csv", sql]).succeeds();
    assert_eq!(
        ran.out,
        "kind,n\r\nfile.create,500\r\nnetwork.connect,500\r\nprocess.exec,501\r\nprocess.exit,500\r\nprocess.fork,500\r\n"
    );
}

#[test]
fn events_are_appended_to_a_file_of_the_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let (fixture, capture) = recorded(1);
    let out = fixture.path("events.json");
    for times in [1, 2] {
        let ran = fixture.run(&["replay", &capture, "-f", "json", "-o", text(&out)]).succeeds();
        assert_eq!(ran.out, "");
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 6 * times);
    }
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn reader_that_goes_ends_the_replay_quietly() {
    let (fixture, capture) = recorded(5_000);
    let mut command = fixture.command(&["replay", &capture, "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 100];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let ran = Ran::of(child.wait_with_output().unwrap()).succeeds();
    assert_eq!(ran.err, "");
}

#[test]
fn unusable_recordings_are_refused() {
    let (fixture, capture) = recorded(10);
    fixture.run(&["replay", "/no/such.capture"]).fails(1, "cannot replay /no/such.capture: No such file");
    let notes = fixture.file("notes.txt", "these are no events, but they are long enough for a header");
    fixture.run(&["replay", text(&notes)]).fails(1, "not a capture of collector");

    let bytes = std::fs::read(&capture).unwrap();
    let torn = fixture.path("torn.capture");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let ran = fixture.run(&["replay", text(&torn), "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("ends inside the frame"), "{}", ran.err);
    assert!(ran.out.lines().count() > 10, "what can be read is shown: {}", ran.out);
}
