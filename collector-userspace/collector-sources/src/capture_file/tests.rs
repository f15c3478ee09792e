//! Captures written, damaged and replayed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use collector_common::{Domain, Kind, LossReason};
use collector_core::{CollectionEvent, EventSource};
use proptest::prelude::*;

use super::*;
use crate::clock::Anchor;
use crate::identity::Users;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;
use crate::testing::{self, child, credentials_under, next_image, task};

const SECOND: u64 = 1_000_000_000;

fn header() -> CaptureHeader {
    CaptureHeader {
        host: "h".to_owned(),
        boot_id: "3f2a9c1e-0000-0000-0000-000000000000".to_owned(),
        kernel_release: "6.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        started_unix_ns: 1_700_000_000 * SECOND,
        collector_version: "0.1.0".to_owned(),
        clock_ticks: 100,
        kinds: Vec::new(),
    }
}

fn entry() -> SnapshotEntry {
    SnapshotEntry {
        seen_ns: 5 * SECOND,
        pid: 10,
        ppid: 1,
        parent_start_ticks: Some(1),
        start_ticks: 10,
        start_stack: task(10).start_stack,
        comm: (*b"sh").into(),
        exe: Some((*b"/bin/sh").into()),
        argv: (*b"sh\0-i\0").into(),
        cwd: Some((*b"/home/\xff").into()),
        uid: Some(1000),
        login_uid: Some(1000),
        capabilities: Some(7),
        cgroup: Some((*b"/user.slice").into()),
        cgroup_id: Some(77),
        ..SnapshotEntry::default()
    }
}

/// Users of the machine that records.
fn users() -> Users {
    let mut users = Users::recorded();
    users.set(1000, Some(Arc::from("ada")));
    users
}

/// A shell found in `/proc` forks, execs, connects, writes, exits; one file record is lost, one is not decodable.
fn capture() -> Vec<u8> {
    capture_with(&header())
}

fn capture_with(header: &CaptureHeader) -> Vec<u8> {
    let recording = Recording::new(Vec::new(), header, users()).unwrap();
    let mut tap = recording.tap();
    let shell = task(10);
    let forked = child(&shell, 11);
    let ls = next_image(forked, "ls");
    let fork = testing::fork(forked).with(|wire| wire.credentials = credentials_under(&shell));
    tap.anchor(Anchor { realtime_ns: 1_700_000_000 * SECOND, boottime_ns: 0 });
    tap.snapshot(&entry());
    tap.record(Domain::Process, &fork.sequence(0, 0).build());
    tap.record(Domain::Process, &testing::exec(ls, "/bin/ls", &["ls"]).sequence(0, 1).build());
    tap.record(Domain::Network, &testing::network(Kind::NetworkConnect, ls).sequence(0, 0).build());
    tap.record(Domain::File, &testing::file(Kind::FileOpen, ls, "/tmp/a").sequence(1, 0).build());
    tap.record(Domain::File, &testing::file(Kind::FileOpen, ls, "/tmp/b").sequence(1, 2).build());
    let mut broken = testing::file(Kind::FileOpen, ls, "/tmp/c").sequence(1, 3).build();
    broken[12] = 99;
    tap.record(Domain::File, &broken);
    let lost = CounterDelta { kind: Kind::FileModify, reason: LossReason::RingFull, cpu: 1, count: 1 };
    for domain in Domain::ALL {
        tap.losses(6 * SECOND, domain, &[]);
    }
    tap.losses(7 * SECOND, Domain::File, &[lost]);
    tap.record(Domain::Process, &testing::exit(ls, 0).sequence(0, 2).at(8 * SECOND).build());
    tap.finish(9 * SECOND, Domain::Process, &[3, 0], &[]);
    tap.finish(9 * SECOND, Domain::Network, &[1, 0], &[]);
    tap.finish(9 * SECOND, Domain::File, &[0, 4], &[]);
    recording.finish(9 * SECOND).unwrap()
}

fn replay(bytes: &[u8]) -> (Vec<CollectionEvent>, ReplaySummary) {
    let mut events = ReplayEvents::new(bytes).unwrap();
    let all = events.by_ref().collect();
    (all, events.summary())
}

fn kinds(events: &[CollectionEvent]) -> Vec<&'static str> {
    events.iter().map(CollectionEvent::kind).collect()
}

const KINDS: [&str; 8] = [
    "process.snapshot",
    "process.fork",
    "process.exec",
    "network.connect",
    "file.open",
    "file.open",
    "loss",
    "process.exit",
];

#[test]
fn a_replay_gives_the_events_of_the_capture() {
    let (events, summary) = replay(&capture());
    assert_eq!(kinds(&events), KINDS);
    let CollectionEvent::Process(exec) = &events[2] else { panic!("{:?}", events[2]) };
    assert_eq!(exec.user.as_deref(), Some("ada"), "the user of the machine that recorded");
    assert_eq!(exec.ancestors[0].executable.as_ref().and_then(|exe| exe.as_str()), Some("/bin/sh"));
    let CollectionEvent::Network(connect) = &events[3] else { panic!("{:?}", events[3]) };
    assert_eq!(connect.process.as_ref().and_then(|process| process.exec_id), exec.exec_id);
    assert!(events.iter().all(|event| event.meta().is_some_and(|meta| meta.source == "replay")));
    assert_eq!((summary.frames.skipped, summary.frames.complete, &summary.stopped_by), (0, true, &None));
}

#[test]
fn a_replay_gives_the_kinds_the_capture_was_asked_for_and_knows_who_acted() {
    let header = header().of_kinds(Kind::NetworkConnect.bit() | Kind::FileOpen.bit());
    let (events, summary) = replay(&capture_with(&header));
    assert_eq!(kinds(&events), ["network.connect", "file.open", "file.open", "loss"]);
    let CollectionEvent::Network(connect) = &events[0] else { panic!("{:?}", events[0]) };
    let executable = connect.process.as_ref().and_then(|process| process.executable.as_ref());
    assert_eq!(executable.and_then(|exe| exe.as_str()), Some("/bin/ls"));
    assert_eq!(summary.domains[Domain::Process as usize].received, 3);
}

#[test]
fn a_replay_states_losses_as_the_capture_did() {
    let (events, summary) = replay(&capture());
    let CollectionEvent::Loss(loss) = &events[6] else { panic!("{:?}", events[6]) };
    assert_eq!((loss.kind, loss.reason, loss.count), (Some("file.modify"), "ring_full", 1));
    assert_eq!((loss.cpu, loss.first_seq, loss.last_seq), (Some(1), Some(1), Some(1)));
    let file = &summary.domains[Domain::File as usize];
    assert_eq!((file.sent, file.received, file.gaps, file.decode_errors), (4, 3, 1, 1));
    for domain in &summary.domains {
        assert_eq!(domain.received + domain.gaps, domain.sent, "{}", domain.domain);
    }
}

#[test]
fn the_same_file_gives_the_same_events() {
    let capture = capture();
    let first = replay(&capture);
    for _ in 0..3 {
        assert_eq!(replay(&capture), first);
    }
}

#[test]
fn every_frame_comes_back_as_it_was_written() {
    let bytes = capture();
    let mut reader = CaptureReader::new(&bytes[..]).unwrap();
    assert_eq!(reader.header(), &header());
    let mut names = Vec::new();
    while let Some(frame) = reader.next_frame() {
        match frame.unwrap() {
            Frame::Process(process) => assert_eq!(*process, entry()),
            Frame::User { uid, name } => names.push((uid, name)),
            Frame::End { now_ns, records } => assert_eq!((now_ns, records), (9 * SECOND, [3, 1, 3])),
            Frame::Anchor(anchor) => assert_eq!(anchor.realtime_ns, header().started_unix_ns),
            Frame::Record { .. } | Frame::Losses { .. } | Frame::Sent { .. } => {}
        }
    }
    assert_eq!(names, [(1000, Some(Arc::from("ada")))], "written once, before the first that needs it");
}

#[test]
fn more_counters_and_processors_than_a_frame_holds_come_back_whole() {
    let recording = Recording::new(Vec::new(), &header(), users()).unwrap();
    let mut tap = recording.tap();
    let delta = |cpu| CounterDelta { kind: Kind::FileOpen, reason: LossReason::RingFull, cpu, count: 2 };
    let deltas: Vec<_> = (0..5000).map(delta).collect();
    tap.losses(SECOND, Domain::File, &deltas);
    tap.finish(SECOND, Domain::File, &[2; 5000], &[]);
    let (events, summary) = replay(&recording.finish(SECOND).unwrap());
    assert_eq!(events.len(), 5000);
    assert_eq!(summary.domains[Domain::File as usize].sent, 10_000);
    assert_eq!(summary.domains[Domain::File as usize].gaps, 10_000);
}

#[test]
fn every_truncation_gives_the_events_before_it_and_says_so() {
    let bytes = capture();
    let (whole, _) = replay(&bytes);
    let begin = 20 + serde_json::to_vec(&header()).unwrap().len();
    for len in 0..begin {
        assert!(ReplayEvents::new(&bytes[..len]).is_err(), "{len} bytes are no capture");
    }
    for len in begin..bytes.len() {
        let (events, summary) = replay(&bytes[..len]);
        assert!(!summary.frames.complete, "{len} bytes are not the whole");
        // At the end of a cut capture open holes are stated as losses.
        let without_losses = |events: &[CollectionEvent]| {
            events.iter().filter(|event| event.kind() != "loss").cloned().collect::<Vec<_>>()
        };
        let events = without_losses(&events);
        assert_eq!(events, without_losses(&whole)[..events.len()], "{len} bytes");
    }
}

/// Offsets of the frames and what they hold in bytes.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut at = 20 + serde_json::to_vec(&header()).unwrap().len();
    let mut frames = Vec::new();
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        frames.push((at, len));
        at += FRAME_HEAD + len;
    }
    frames
}

#[test]
fn a_damaged_frame_is_counted_and_the_rest_is_read() {
    let bytes = capture();
    for (at, len) in frames(&bytes) {
        for damaged in [at + 4, at + 8, at + FRAME_HEAD + len - 1] {
            let mut bytes = bytes.clone();
            bytes[damaged] ^= 0x40;
            let (events, summary) = replay(&bytes);
            assert_eq!((summary.frames.skipped, summary.stopped_by), (1, None), "byte {damaged}");
            assert!(events.len() + 3 >= KINDS.len());
        }
    }
}

#[test]
fn an_impossible_length_ends_the_reading_with_its_offset() {
    let mut bytes = capture();
    let (at, _) = frames(&bytes)[6];
    bytes[at + 3] = 0xff;
    let (_, summary) = replay(&bytes);
    let stopped_by = summary.stopped_by.unwrap();
    assert!(stopped_by.contains(&format!("offset {at} states an impossible length")), "{stopped_by}");
}

#[test]
fn frames_of_unknown_types_and_malformed_ones_are_left_out() {
    let mut bytes = capture();
    let frame = |frame_type: u8, payload: &[u8]| {
        let mut frame = (payload.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&checksum(frame_type, payload).to_le_bytes());
        frame.push(frame_type);
        frame.extend_from_slice(payload);
        frame
    };
    let (end, _) = *frames(&bytes).last().unwrap();
    let mut odd = frame(200, b"from the future");
    odd.extend(frame(FrameType::Anchor as u8, &[0; 15]));
    odd.extend(frame(FrameType::Anchor as u8, &[0; 17]));
    odd.extend(frame(FrameType::Record as u8, &[9]));
    bytes.splice(end..end, odd);
    let (events, summary) = replay(&bytes);
    assert_eq!(kinds(&events), KINDS);
    assert_eq!((summary.frames.skipped, summary.frames.complete), (4, true));
}

#[test]
fn other_files_and_other_versions_are_refused_with_a_reason() {
    let error = |bytes: &[u8]| CaptureReader::new(bytes).expect_err("refused").to_string();
    assert_eq!(error(b""), "not a capture of collector");
    assert_eq!(error(b"\x7fELF and so on, and on and on"), "not a capture of collector");
    let bytes = capture();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        error(&bytes)
    };
    assert_eq!(with(8, 9), "capture format 9 is not ours, 1");
    assert_eq!(with(10, 9), "capture holds records of wire version 9, ours is 1");
    assert!(with(14, 0xff).contains("it states"), "no buffer is made for it");
    assert_eq!(with(25, b'!'), "capture header is damaged: its checksum is another");
}

#[test]
fn the_first_error_ends_a_recording_and_comes_out_at_its_end() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let recording = Recording::new(Full, &header(), users()).unwrap();
    let mut tap = recording.tap();
    let record = testing::exec(task(5), "/bin/x", &[&"a".repeat(30_000)]).build();
    for _ in 0..20 {
        tap.record(Domain::Process, &record);
    }
    assert_eq!(recording.bytes(), None);
    let Err(CaptureFileError::Io(error)) = recording.finish(0) else { panic!("no error") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn a_replay_is_a_source_that_ends_by_itself() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture()).unwrap();
    let source = Replay::open(file.path()).unwrap();
    assert_eq!((source.name(), source.header()), ("replay", &header()));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let (result, events) = tokio::join!(source.start(sender, Arc::new(AtomicBool::new(false))), async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    });
    result.unwrap();
    assert_eq!(events, replay(&capture()).0);
    assert!(source.summary().is_some_and(|summary| summary.frames.complete));
}

#[tokio::test]
async fn a_replay_stops_when_it_is_told_to_or_nobody_listens() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture()).unwrap();
    let source = Replay::open(file.path()).unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    drop(receiver);
    source.start(sender, Arc::new(AtomicBool::new(false))).await.unwrap();
    let (sender, _receiver) = tokio::sync::mpsc::channel(1);
    source.start(sender, Arc::new(AtomicBool::new(true))).await.unwrap();
    assert!(!source.summary().unwrap().frames.complete);
}

#[tokio::test]
async fn a_replay_of_a_cut_file_sends_what_there_is_and_then_fails() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = capture();
    std::fs::write(file.path(), &bytes[..bytes.len() - 3]).unwrap();
    let source = Replay::open(file.path()).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let error = source.start(sender, Arc::new(AtomicBool::new(false))).await.unwrap_err();
    assert!(error.to_string().contains("ends inside the frame"), "{error}");
    let mut count = 0;
    while receiver.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, KINDS.len());
}

proptest! {
    #[test]
    fn corrupted_captures_replay_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let mut bytes = capture();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(events) = ReplayEvents::new(&bytes[..]) {
            prop_assert!(events.count() <= 3 * KINDS.len());
        }
    }

    #[test]
    fn well_formed_frames_around_any_bytes_replay_without_a_panic(
        payloads in prop::collection::vec((1..8_u8, prop::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let mut bytes = CaptureWriter::new(Vec::new(), &header()).unwrap().finish(0).unwrap();
        bytes.truncate(frames(&bytes)[0].0);
        for (frame_type, payload) in payloads {
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&checksum(frame_type, &payload).to_le_bytes());
            bytes.push(frame_type);
            bytes.extend_from_slice(&payload);
        }
        let _ = ReplayEvents::new(&bytes[..]).unwrap().count();
    }
}
