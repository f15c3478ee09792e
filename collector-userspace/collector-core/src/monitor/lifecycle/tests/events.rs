//! Changes as events, and processes as they are remembered.

use serde_json::json;

use super::*;
use crate::json::{HostInfo, JsonLines};
use crate::{Capture, CollectionEvent, EventMeta};

#[test]
fn an_event_says_what_changed_and_when_it_was_looked() {
    let meta = EventMeta { source: "procmond", capture: Capture::Procfs, sequence: None };
    let before = ProcessEvent { meta, ..process(5, 50, 1) };
    let mut watched = Watched::having_seen(defaults(), std::slice::from_ref(&before));
    let now = ProcessEvent {
        command_line: vec![Text::from(&b"[caf\xe9]"[..])],
        name: "x".to_owned(),
        platform_metadata: Some(json!({"other": 1})),
        ..before
    };
    let event = watched.look(&[now])[0].to_event();
    assert_eq!(event.timestamp, SystemTime::UNIX_EPOCH + Duration::from_secs(2));
    let line = JsonLines::new(HostInfo::default()).render(&CollectionEvent::Process(event));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["kind"], &line["capture"]), (&json!("process.snapshot"), &json!("procfs")));
    let expected = json!({
        "change": "command_line_changed",
        "time": "look",
        "previous_look": "1970-01-01T00:00:01.000000000Z",
        "suspicious": ["kernel_thread_name"],
        "previous": {"name": "prog", "command_line": ["prog", "-x"]},
    });
    assert_eq!(line["process"]["platform_metadata"], json!({"other": 1, "lifecycle": expected}));
}

#[test]
fn an_exit_shows_the_process_as_it_was_seen_last() {
    let mut watched = Watched::having_seen(defaults(), &[process(5, 50, 1)]);
    let event = watched.look(&[])[0].to_event();
    let lifecycle =
        json!({"change": "exited", "time": "look", "previous_look": "1970-01-01T00:00:01.000000000Z"});
    let expected = ProcessEvent {
        kind: crate::ProcessEventKind::Exit,
        timestamp: SystemTime::UNIX_EPOCH + Duration::from_secs(2),
        platform_metadata: Some(json!({ LIFECYCLE_KEY: lifecycle })),
        ..process(5, 50, 1)
    };
    assert_eq!(event, expected);
}

#[test]
fn a_remembered_process_is_recognised() {
    let there = ProcessEvent {
        start_time: Some(SystemTime::UNIX_EPOCH + Duration::new(7, 1)),
        command_line: vec![Text::from(&b"a\\b\xff\n"[..]), Text::from("")],
        executable_path: Some(Text::from(&b"/x/\xfe"[..])),
        flags: vec!["memfd", "io_uring"],
        file_exists: false,
        ..process(5, 50, 1)
    };
    let text = serde_json::to_string(&RememberedProcess::of(&there)).unwrap();
    let remembered: RememberedProcess = serde_json::from_str(&text).unwrap();
    let mut tracker = LifecycleTracker::new(defaults());
    tracker.restore([remembered.to_event().unwrap(), process(6, 60, 6)]);
    let found = tracker.observe(Look {
        at: SystemTime::UNIX_EPOCH,
        processes: vec![Arc::new(there), Arc::new(process(7, 70, 7))],
        unread: Vec::new(),
    });
    let found: Vec<_> = found.iter().map(|event| (event.process.pid, event.change)).collect();
    assert_eq!(found, [(6, LifecycleChange::Exited), (7, LifecycleChange::Started)]);
}

#[test]
fn what_is_no_memory_is_no_process() {
    let wrong = RememberedProcess::of(&process(5, 50, 1));
    let mut value = serde_json::to_value(&wrong).unwrap();
    value["executable"] = json!("\\q");
    assert_eq!(serde_json::from_value::<RememberedProcess>(value).unwrap().to_event(), None);
}
