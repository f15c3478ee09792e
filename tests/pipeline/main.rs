//! Recorded bytes through the whole pipeline, without privileges: the same bytes give the same JSON, and damaged ones
//! give errors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use collector_core::HostInfo;
use collector_core::json::write_line;
use collector_core::testing::conformance;
use collector_sources::capture_file::{CaptureFileError, Replay, ReplayEvents};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures").join(name)
}

/// What a replay prints, and whether it says that something is wrong with the recording.
fn replay(bytes: &[u8]) -> Result<(String, bool), CaptureFileError> {
    let host = HostInfo { host: "host".to_owned(), boot_id: String::new() };
    let mut lines = Vec::new();
    let mut events = ReplayEvents::new(bytes)?;
    for event in &mut events {
        write_line(&mut lines, &event, &host).unwrap();
    }
    let summary = events.summary();
    let damaged = summary.frames.skipped > 0 || summary.stopped_by.is_some() || !summary.frames.complete;
    Ok((String::from_utf8(lines).unwrap(), damaged))
}

#[test]
fn a_recording_gives_the_same_json_every_time_and_everywhere() {
    let recording = Replay::open(fixture("small.cap")).unwrap();
    let host =
        HostInfo { host: recording.header().host.clone(), boot_id: recording.header().boot_id.clone() };
    let expected = fs::read_to_string(fixture("small.json")).unwrap();
    for _ in 0..2 {
        let mut lines = Vec::new();
        for event in recording.events().unwrap() {
            write_line(&mut lines, &event, &host).unwrap();
        }
        let lines = String::from_utf8(lines).unwrap();
        for (number, (line, expected)) in lines.lines().zip(expected.lines()).enumerate() {
            assert_eq!(line, expected, "line {} differs from small.json", number + 1);
        }
        assert_eq!(lines.len(), expected.len(), "small.json has another number of lines");
    }
}

#[test]
fn a_recording_cut_anywhere_gives_its_beginning() {
    let bytes = fs::read(fixture("small.cap")).unwrap();
    let (whole, damaged) = replay(&bytes).unwrap();
    assert!(!damaged);
    for len in (0..bytes.len()).step_by(7) {
        if let Ok((lines, damaged)) = replay(&bytes[..len]) {
            assert!(damaged, "nobody noticed that the recording ends at byte {len}");
            assert!(whole.starts_with(&lines), "cut at byte {len} gives other events");
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    let bytes = fs::read(fixture("small.cap")).unwrap();
    for at in (0..bytes.len()).step_by(53) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        if let Ok((_, damaged)) = replay(&flipped) {
            assert!(damaged, "nobody noticed the damage at byte {at}");
        }
    }
}

#[tokio::test]
async fn a_recording_is_a_source_as_it_should_be() {
    conformance::check(|| Replay::open(fixture("small.cap")).unwrap()).await.assert_conformant();
}
