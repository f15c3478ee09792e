//! The JSON lines of one event per kind, filled and minimal.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::event::*;

fn host() -> HostInfo {
    HostInfo { host: "web-1".to_owned(), boot_id: "3f2a9c1e-0000-4000-8000-000000000001".to_owned() }
}

fn line_of(event: &CollectionEvent) -> String {
    let mut out = b"before".to_vec();
    write_line(&mut out, event, &host()).unwrap();
    let line = String::from_utf8(out.split_off("before".len())).unwrap();
    let by_serde_json = serde_json::to_string(&EventJson { event, host: &host() }).unwrap();
    assert_eq!(line.trim_end(), by_serde_json);
    assert_eq!(line.matches('\n').count(), 1, "one line");
    line
}

/// The same members as a line, in the same order, laid out for reading.
fn pretty(event: &CollectionEvent) -> String {
    let compact: serde_json::Value = serde_json::from_str(&line_of(event)).unwrap();
    let text = serde_json::to_string_pretty(&EventJson { event, host: &host() }).unwrap();
    assert_eq!(compact, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    assert!(!text.contains("null"), "absent members are left out: {text}");
    text
}

fn at(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(1_770_000_000, 0) + Duration::from_nanos(nanos)
}

fn exec_id(pid: u32) -> Option<ExecId> {
    Some(ExecId { boot: 0x3f2a_9c1e, pid, start_ticks: 88_123, image: 0x9b20_c4d1 })
}

fn meta(domain: &'static str) -> EventMeta {
    EventMeta {
        source: "kernel",
        capture: Capture::Kernel,
        sequence: Some(Sequence { domain, cpu: 3, number: 42 }),
    }
}

fn shell() -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: 4700,
        exec_id: exec_id(4700),
        name: "bash".into(),
        executable: Some("/usr/bin/bash".into()),
        uid: Some(1000),
        container_id: Some("0123456789ab".into()),
    })
}

fn full_process() -> ProcessEvent {
    ProcessEvent {
        pid: 4711,
        ppid: Some(4700),
        name: "python3".to_owned(),
        executable_path: Some("/usr/bin/python3.13".into()),
        command_line: vec!["python3".into(), "/tmp/a \"b\".py".into(), "".into()],
        start_time: Some(at(5)),
        cpu_usage: Some(12.5),
        memory_usage: Some(1 << 20),
        executable_hash: Some("e3b0c442".to_owned()),
        hash_algorithm: Some("sha256".to_owned()),
        user_id: Some("1000".to_owned()),
        accessible: false,
        file_exists: false,
        timestamp: at(1),
        platform_metadata: Some(serde_json::json!({"integrity.on_disk_mismatch": true})),
        kind: ProcessEventKind::Exec,
        meta: meta("process"),
        tid: Some(4712),
        exec_id: exec_id(4711),
        parent_exec_id: exec_id(4700),
        argv_length: Some(24),
        argv_truncated: true,
        cwd: Some("/home/alice".into()),
        uid: Some(1000),
        gid: Some(1001),
        euid: Some(0),
        egid: Some(1002),
        login_uid: Some(1000),
        session_id: Some(7),
        user: Some("alice".into()),
        interpreter: Some("/usr/bin/python3.13".into()),
        script: Some("/tmp/a \"b\".py".into()),
        exit: None,
        cgroup_id: Some(u64::MAX),
        container_id: Some("0123456789ab".into()),
        namespaces: Some(Namespaces { mnt: 1, pid: 2, net: 3, user: 4 }),
        pid_in_namespace: Some(17),
        capabilities: Some(0x1ff_ffff_ffff),
        flags: vec!["memfd", "setuid"],
        ancestors: [shell(), shell()].into(),
    }
}

fn process_of(kind: ProcessEventKind) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent { pid: 1, kind, timestamp: at(0), ..ProcessEvent::default() })
}

#[test]
fn a_process_exec_with_every_field() {
    insta::assert_snapshot!(pretty(&CollectionEvent::Process(full_process())));
}

#[test]
fn processes_with_nothing_but_a_pid() {
    use ProcessEventKind::{Exec, Exit, Fork, Snapshot};
    let lines: String = [Snapshot, Exec, Fork, Exit].map(|kind| line_of(&process_of(kind))).concat();
    insta::assert_snapshot!(lines);
}

#[test]
fn a_process_exit_with_every_field() {
    let exit = ProcessExit {
        code: Some(3),
        signal: Some(9),
        core_dumped: true,
        duration: Some(Duration::new(2, 500)),
    };
    insta::assert_snapshot!(pretty(&CollectionEvent::Process(ProcessEvent {
        pid: 4711,
        kind: ProcessEventKind::Exit,
        exit: Some(exit),
        timestamp: at(1),
        ..ProcessEvent::default()
    })));
}

#[test]
fn a_connection_with_every_field() {
    insta::assert_snapshot!(pretty(&CollectionEvent::Network(NetworkEvent {
        connection_id: "c-1".to_owned(),
        protocol: "tcp".to_owned(),
        timestamp: at(1),
        local: Some("10.0.0.1:4321".parse().unwrap()),
        remote: Some("93.184.216.34:443".parse().unwrap()),
        state: "closed".to_owned(),
        pid: Some(4700),
        bytes_sent: 100,
        bytes_received: 0,
        kind: NetworkEventKind::Close,
        meta: meta("network"),
        process: Some(shell()),
        direction: Some(Direction::Outbound),
        duration: Some(Duration::from_millis(12)),
        result: Some(0),
        net_ns: Some(4_026_531_840),
    })));
}

#[test]
fn network_events_of_each_kind_with_little() {
    use NetworkEventKind::{Accept, Close, Connect, Listen, Send};
    let lines: String = [Connect, Accept, Listen, Close, Send]
        .map(|kind| {
            let local: Option<SocketAddr> = (kind == Listen).then(|| "[::]:80".parse().unwrap());
            line_of(&CollectionEvent::Network(NetworkEvent {
                kind,
                local,
                pid: (kind == Connect).then_some(9),
                timestamp: at(0),
                ..NetworkEvent::default()
            }))
        })
        .concat();
    insta::assert_snapshot!(lines);
}

#[test]
fn who_polls_has_not_counted_the_bytes_of_a_connection() {
    let meta = EventMeta { capture: Capture::Procfs, ..meta("network") };
    let close = NetworkEvent { kind: NetworkEventKind::Close, meta, ..NetworkEvent::default() };
    assert!(!line_of(&CollectionEvent::Network(close)).contains("bytes_"));
}

#[test]
fn a_file_with_every_field() {
    insta::assert_snapshot!(pretty(&CollectionEvent::Filesystem(FilesystemEvent {
        path: "/srv/www/index.html".into(),
        old_path: Some("/srv/www/index.html.new".into()),
        target: Some("../x".into()),
        timestamp: at(1),
        pid: Some(4700),
        size: Some(4096),
        mode: Some(0o100_644),
        file_hash: Some("aa".to_owned()),
        kind: FilesystemEventKind::Rename,
        meta: meta("file"),
        process: Some(shell()),
        inode: Some(u64::MAX),
        device: Some((259, 2)),
        mount_ns: Some(4_026_531_841),
        owner: Some((33, 34)),
        written: Some(10),
        flags: vec!["write", "truncate"],
        result: Some(-13),
    })));
}

#[test]
fn file_events_of_each_kind_with_little() {
    use FilesystemEventKind::{Attributes, Create, Delete, Link, Modify, Open, Rename};
    let lines: String = [Create, Open, Modify, Delete, Rename, Link, Attributes]
        .map(|kind| {
            line_of(&CollectionEvent::Filesystem(FilesystemEvent {
                path: "/a".into(),
                kind,
                timestamp: at(0),
                ..FilesystemEvent::default()
            }))
        })
        .concat();
    insta::assert_snapshot!(lines);
}

#[test]
fn measurements_trigger_requests_and_losses() {
    let mut text = String::new();
    for (value, pid) in [(0.25, Some(7)), (f64::NAN, None)] {
        text += &line_of(&CollectionEvent::Performance(PerformanceEvent {
            metric_name: "cpu_usage".to_owned(),
            value,
            unit: "percent".to_owned(),
            component: "system".to_owned(),
            pid,
            timestamp: at(0),
            ..PerformanceEvent::default()
        }));
    }
    text += &line_of(&CollectionEvent::Performance(PerformanceEvent {
        metric_name: "disk_read".to_owned(),
        value: 4_096.0,
        unit: "bytes/s".to_owned(),
        component: "process".to_owned(),
        pid: Some(11_548),
        interval: Some(Duration::from_secs(10)),
        process: Some(shell()),
        timestamp: at(0),
        meta: EventMeta { sequence: None, ..meta("process") },
    }));
    for analysis_type in [AnalysisType::BinaryHash, AnalysisType::Custom("strings".to_owned())] {
        text += &line_of(&CollectionEvent::TriggerRequest(TriggerRequest {
            trigger_id: "t-1".to_owned(),
            target_collector: "binary-hasher".to_owned(),
            analysis_type,
            priority: TriggerPriority::High,
            target_pid: Some(7),
            target_path: Some("/tmp/x".to_owned()),
            correlation_id: "c-1".to_owned(),
            metadata: HashMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            timestamp: at(0),
            ..TriggerRequest::default()
        }));
    }
    let loss = LossEvent {
        timestamp: at(0),
        meta: meta("file"),
        domain: "file",
        kind: Some("file.open"),
        reason: "ring_full",
        count: 12,
        cpu: Some(3),
        first_seq: Some(100),
        last_seq: Some(111),
    };
    text += &line_of(&CollectionEvent::Loss(loss.clone()));
    text += &line_of(&CollectionEvent::Loss(LossEvent {
        meta: EventMeta::default(),
        kind: None,
        cpu: None,
        first_seq: None,
        last_seq: None,
        ..loss
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn alerts() {
    let full = AlertEvent {
        alert_id: "a-1".to_owned(),
        severity: AlertSeverity::High,
        title: "/tmp/x: known-bad".to_owned(),
        rules: vec![AlertReason {
            rule: "known-bad".to_owned(),
            description: "seen before".to_owned(),
            severity: AlertSeverity::High,
            evidence: "sha256 ab".to_owned(),
        }],
        unasked: vec!["other".to_owned()],
        condition: Some("from-tmp".to_owned()),
        correlation_id: "c-1".to_owned(),
        pid: Some(7),
        process: Some(shell()),
        path: Some(Text::from(&b"/tmp/\xff"[..])),
        size: Some(3),
        sha256: Some("ab".to_owned()),
        blake3: Some("cd".to_owned()),
        timestamp: at(0),
        meta: EventMeta { source: "analysis", ..EventMeta::default() },
    };
    let text = line_of(&CollectionEvent::Alert(full))
        + &line_of(&CollectionEvent::Alert(AlertEvent { pid: Some(7), ..AlertEvent::default() }));
    insta::assert_snapshot!(text);
}

#[test]
fn one_text_that_is_not_utf_8_escapes_all_texts_of_its_object_and_of_no_other() {
    let event = CollectionEvent::Process(ProcessEvent {
        pid: 1,
        name: r"a\b".to_owned(),
        executable_path: Some(r"/opt/c\d".into()),
        command_line: vec![(&b"\xff\n\\x41"[..]).into()],
        ancestors: [Arc::new(ProcessRef { name: r"e\f".into(), ..(*shell()).clone() })].into(),
        ..ProcessEvent::default()
    });
    let json: serde_json::Value = serde_json::from_str(&line_of(&event)).unwrap();
    let process = &json["process"];
    assert_eq!(process["encoding"], "escaped");
    let bytes = |value: &serde_json::Value| Text::unescape(value.as_str().unwrap()).unwrap();
    assert_eq!(bytes(&process["command_line"][0]).as_bytes(), b"\xff\n\\x41");
    assert_eq!(bytes(&process["executable"]), r"/opt/c\d");
    assert_eq!(bytes(&process["name"]), r"a\b");
    let parent = &process["ancestors"][0];
    assert_eq!((&parent["encoding"], &parent["name"]), (&serde_json::Value::Null, &r"e\f".into()));
}

#[test]
fn a_user_id_appears_only_where_the_number_is_unknown() {
    let event = |uid| {
        CollectionEvent::Process(ProcessEvent {
            uid,
            user_id: Some("S-1-5-18".to_owned()),
            ..ProcessEvent::default()
        })
    };
    assert!(line_of(&event(None)).contains(r#""user_id":"S-1-5-18""#));
    assert!(!line_of(&event(Some(0))).contains("user_id"));
}
