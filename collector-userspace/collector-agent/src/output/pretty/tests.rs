//! What people see, event by event, on made-up data.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use collector_core::{AlertReason, EventMeta, ProcessExit};

use super::*;

fn time() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)
}

fn render(events: &[CollectionEvent], color: bool, width: Option<usize>) -> String {
    let mut pretty = Pretty::new(TimeZone::UTC, color, width);
    let mut out = Vec::new();
    for event in events {
        pretty.write(&mut out, event);
    }
    String::from_utf8(out).unwrap()
}

fn process(kind: ProcessEventKind) -> ProcessEvent {
    ProcessEvent {
        pid: 4711,
        ppid: Some(4700),
        name: "python3".to_owned(),
        kind,
        timestamp: time(),
        uid: Some(1000),
        user: Some("alice".into()),
        container_id: Some("0123456789abcdef0123456789abcdef".into()),
        ancestors: [actor("bash", 1000)].into(),
        ..ProcessEvent::default()
    }
}

fn actor(name: &str, uid: u32) -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: 4700,
        exec_id: None,
        name: name.into(),
        executable: None,
        uid: Some(uid),
        container_id: None,
    })
}

fn exec(arguments: &[&[u8]]) -> ProcessEvent {
    ProcessEvent {
        executable_path: Some("/usr/bin/python3".into()),
        command_line: arguments.iter().map(|bytes| Text::from(*bytes)).collect(),
        ..process(ProcessEventKind::Exec)
    }
}

fn exit(code: Option<i32>, signal: Option<i32>, core_dumped: bool) -> CollectionEvent {
    let duration = Some(Duration::from_micros(812));
    let exit = Some(ProcessExit { code, signal, core_dumped, duration });
    CollectionEvent::Process(ProcessEvent { exit, ..process(ProcessEventKind::Exit) })
}

fn network(kind: NetworkEventKind, result: Option<i32>) -> NetworkEvent {
    NetworkEvent {
        kind,
        protocol: "tcp".to_owned(),
        timestamp: time(),
        pid: Some(4700),
        local: Some(SocketAddr::from(([10, 0, 0, 1], 1_234))),
        remote: Some(SocketAddr::from(([0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111], 443))),
        process: Some(actor("curl", 1000)),
        result,
        ..NetworkEvent::default()
    }
}

fn file(kind: FilesystemEventKind) -> FilesystemEvent {
    FilesystemEvent {
        kind,
        path: "/var/lib/app/data.json".into(),
        timestamp: time(),
        pid: Some(4700),
        process: Some(actor("app", 33)),
        ..FilesystemEvent::default()
    }
}

fn loss() -> CollectionEvent {
    CollectionEvent::Loss(LossEvent {
        timestamp: time(),
        meta: EventMeta::default(),
        domain: "file",
        kind: Some("file.open"),
        reason: "ring_full",
        count: 1_234,
        cpu: Some(1),
        first_seq: Some(100),
        last_seq: Some(1_333),
    })
}

fn sample(metric: &str, value: f64, unit: &str, of_process: bool) -> CollectionEvent {
    CollectionEvent::Performance(PerformanceEvent {
        metric_name: metric.to_owned(),
        value,
        unit: unit.to_owned(),
        pid: of_process.then_some(4700),
        component: if of_process { "process" } else { "system" }.to_owned(),
        interval: (unit == "percent").then_some(Duration::from_secs(10)),
        process: of_process.then(|| actor("bash", 1000)),
        timestamp: time(),
        meta: EventMeta::default(),
    })
}

#[test]
fn every_shape_of_event_is_readable_at_a_glance() {
    let events = [
        CollectionEvent::Process(exec(&[b"python3", b"-c", b"print('hi')", b""])),
        CollectionEvent::Process(ProcessEvent {
            command_line: vec!["[kworker/0:1]".into()],
            executable_path: Some("/memfd:payload".into()),
            flags: vec!["memfd", "compat"],
            argv_truncated: true,
            argv_length: Some(200_000),
            ..exec(&[])
        }),
        CollectionEvent::Process(process(ProcessEventKind::Fork)),
        exit(Some(0), None, false),
        exit(Some(2), None, false),
        exit(None, Some(11), true),
        CollectionEvent::Process(ProcessEvent { ancestors: Arc::default(), ..exec(&[b"python3"]) }),
        CollectionEvent::Network(network(NetworkEventKind::Connect, Some(0))),
        CollectionEvent::Network(network(NetworkEventKind::Connect, Some(111))),
        CollectionEvent::Network(NetworkEvent {
            direction: Some(Direction::Inbound),
            ..network(NetworkEventKind::Accept, None)
        }),
        CollectionEvent::Network(NetworkEvent { remote: None, ..network(NetworkEventKind::Listen, None) }),
        CollectionEvent::Network(NetworkEvent {
            bytes_sent: 310,
            bytes_received: 2_048,
            duration: Some(Duration::from_millis(12)),
            ..network(NetworkEventKind::Close, None)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            old_path: Some("/var/lib/app/.tmp".into()),
            ..file(FilesystemEventKind::Rename)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            target: Some("../target".into()),
            flags: vec!["symlink"],
            ..file(FilesystemEventKind::Link)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            written: Some(4_096),
            ..file(FilesystemEventKind::Modify)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            flags: vec!["mode", "owner"],
            ..file(FilesystemEventKind::Attributes)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            pid: None,
            process: None,
            ..file(FilesystemEventKind::Delete)
        }),
        sample("cpu_usage", 97.52, "percent", true),
        sample("memory_usage", 1_536.0, "bytes", true),
        sample("load_1m", 0.53, "processes", false),
        loss(),
    ];
    insta::assert_snapshot!(render(&events, false, None));
}

fn alert(text: &str) -> AlertEvent {
    AlertEvent {
        severity: AlertSeverity::High,
        rules: vec![
            AlertReason { rule: text.to_owned(), ..AlertReason::default() },
            AlertReason { rule: "known-bad".to_owned(), ..AlertReason::default() },
        ],
        condition: Some(text.to_owned()),
        pid: Some(4711),
        process: Some(actor(text, 1000)),
        path: Some(text.into()),
        sha256: Some("ab12".to_owned()),
        timestamp: time(),
        ..AlertEvent::default()
    }
}

fn trigger(text: &str) -> TriggerRequest {
    TriggerRequest {
        trigger_id: "t-1".to_owned(),
        target_collector: text.to_owned(),
        target_pid: Some(4711),
        process: Some(actor(text, 1000)),
        target_path: Some(text.to_owned()),
        metadata: [("condition".to_owned(), text.to_owned())].into(),
        timestamp: time(),
        ..TriggerRequest::default()
    }
}

#[test]
fn alerts_and_triggers_say_what_and_why() {
    let little = AlertEvent { severity: AlertSeverity::Low, timestamp: time(), ..AlertEvent::default() };
    let unasked = vec!["known-bad".to_owned(), "bad\x1b".to_owned()];
    let gone = AlertEvent { unasked, sha256: None, ..alert("from-tmp") };
    let bytes = TriggerRequest { target_bytes: Some(b"/tmp/\xff"[..].into()), ..trigger("from-tmp") };
    let events = [
        CollectionEvent::TriggerRequest(trigger("from-tmp")),
        CollectionEvent::Alert(alert("from-tmp")),
        CollectionEvent::Alert(little),
        CollectionEvent::Alert(gone),
        CollectionEvent::TriggerRequest(bytes),
        CollectionEvent::TriggerRequest(TriggerRequest { timestamp: time(), ..TriggerRequest::default() }),
    ];
    insta::assert_snapshot!(render(&events, false, None));
    assert!(render(&events[1..2], true, None).contains("\x1b[1;97;41mALERT"));
}

#[test]
fn losses_are_impossible_to_miss() {
    let out = render(&[loss()], true, None);
    assert!(out.contains("\x1b[1;97;41mLOST 1,234 file.open events: ring_full\x1b[0m"), "{out:?}");
}

#[test]
fn hostile_text_cannot_move_the_terminal() {
    let evil = "\x1b[2J\x1b]0;x\x07\r\n\u{9b}31m\u{202e}";
    let text = || Text::from(evil);
    let events = [
        CollectionEvent::Process(ProcessEvent {
            name: evil.to_owned(),
            user: Some(evil.into()),
            container_id: Some(evil.into()),
            executable_path: Some(text()),
            ancestors: [actor(evil, 1)].into(),
            ..exec(&[evil.as_bytes(), b"\xff\xfe\x1b[31m"])
        }),
        CollectionEvent::Process(ProcessEvent { name: evil.to_owned(), ..process(ProcessEventKind::Fork) }),
        CollectionEvent::Network(NetworkEvent {
            protocol: evil.to_owned(),
            process: Some(actor(evil, 1)),
            ..network(NetworkEventKind::Send, None)
        }),
        CollectionEvent::Filesystem(FilesystemEvent {
            path: text(),
            old_path: Some(text()),
            target: Some(text()),
            process: Some(actor(evil, 1)),
            ..file(FilesystemEventKind::Rename)
        }),
        CollectionEvent::Alert(alert(evil)),
        CollectionEvent::TriggerRequest(trigger(evil)),
        CollectionEvent::Performance(PerformanceEvent {
            metric_name: evil.to_owned(),
            unit: evil.to_owned(),
            component: evil.to_owned(),
            process: Some(actor(evil, 1)),
            ..PerformanceEvent::default()
        }),
    ];
    let out = render(&events, false, None);
    assert_eq!(out.lines().count(), events.len(), "one line each: {out:?}");
    assert!(!out.contains(|ch: char| (ch.is_control() && ch != '\n') || ch == '\u{202e}'), "{out:?}");
    // With colours, the only escape sequences are ours.
    let colored = render(&events, true, None);
    let foreign =
        colored.split('\x1b').skip(1).find(|rest| !rest.starts_with('[') || !rest[1..].contains('m'));
    assert_eq!(foreign, None);
    assert!(!colored.contains(['\x07', '\r', '\u{9b}', '\u{202e}']), "{colored:?}");
}

#[test]
fn lines_fit_the_terminal() {
    let long = CollectionEvent::Process(exec(&[b"python3", &[b'x'; 500]]));
    for width in [20, 80, 200] {
        let out = render(std::slice::from_ref(&long), false, Some(width));
        assert_eq!(super::super::line::width(out.trim_end()), width, "{out}");
    }
}
