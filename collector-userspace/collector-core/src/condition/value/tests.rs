//! Every field of every event: written without `..`, so that a new field of an event does not compile until somebody has
//! decided whether conditions can ask about it.

use super::*;
use crate::event::{
    EventMeta, FilesystemEventKind, KindIndex, Namespaces, PerformanceEvent, ProcessExit, Sequence,
    TriggerRequest,
};

fn meta() -> EventMeta {
    let sequence = Some(Sequence { domain: "process", cpu: 3, number: 17 });
    EventMeta { source: "test", capture: Capture::Kernel, sequence }
}

fn exec_id(pid: u32) -> ExecId {
    ExecId { boot: 1, pid, start_ticks: 2, image: 3 }
}

fn reference() -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: 41,
        exec_id: Some(exec_id(41)),
        name: "sh".into(),
        executable: Some("/bin/sh".into()),
        uid: Some(7),
        container_id: Some("c0".into()),
    })
}

fn process(kind: ProcessEventKind) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid: 42,
        ppid: Some(41),
        name: "cat".to_owned(),
        executable_path: Some("/bin/cat".into()),
        command_line: vec!["cat".into(), "/etc/passwd".into()],
        // When it happened and how long it took are there already.
        start_time: Some(UNIX_EPOCH),
        // Measurements with fractions: there is no such type.
        cpu_usage: Some(1.5),
        memory_usage: Some(1),
        executable_hash: Some("ab".to_owned()),
        // Nobody asks for the algorithm without the digest.
        hash_algorithm: Some("sha256".to_owned()),
        // `uid` and `user` say it better.
        user_id: Some("7".to_owned()),
        accessible: true,
        file_exists: true,
        timestamp: UNIX_EPOCH + Duration::from_nanos(5),
        // Of all that can be in it, what monitors put there.
        platform_metadata: Some(serde_json::json!({
            "lifecycle": { "change": "exec", "suspicious": ["executable_deleted", "no_arguments"] },
            "other": 1,
        })),
        kind,
        meta: meta(),
        tid: Some(43),
        exec_id: Some(exec_id(42)),
        parent_exec_id: Some(exec_id(41)),
        // `argv_truncated` says whether it matters.
        argv_length: Some(16),
        argv_truncated: true,
        cwd: Some("/".into()),
        uid: Some(7),
        gid: Some(8),
        euid: Some(0),
        egid: Some(9),
        login_uid: Some(10),
        session_id: Some(11),
        user: Some("jo".into()),
        interpreter: Some("/bin/sh".into()),
        script: Some("/x.sh".into()),
        exit: Some(ProcessExit {
            code: Some(1),
            signal: Some(9),
            // Follows from the signal well enough.
            core_dumped: false,
            duration: Some(Duration::from_nanos(6)),
        }),
        cgroup_id: Some(u64::MAX),
        container_id: Some("c1".into()),
        // Numbers that mean nothing beyond one boot.
        namespaces: Some(Namespaces::default()),
        pid_in_namespace: Some(1),
        // A set of bits, and there are no bit operations.
        capabilities: Some(0),
        flags: vec!["memfd"],
        ancestors: [reference()].into(),
    })
}

fn network(kind: NetworkEventKind) -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent {
        connection_id: "id".to_owned(),
        protocol: "tcp".to_owned(),
        timestamp: UNIX_EPOCH,
        local: Some("10.0.0.1:80".parse().unwrap()),
        remote: Some("[::1]:443".parse().unwrap()),
        state: "closed".to_owned(),
        pid: Some(41),
        bytes_sent: 1,
        bytes_received: 2,
        kind,
        meta: meta(),
        process: Some(reference()),
        direction: Some(Direction::Outbound),
        duration: Some(Duration::from_nanos(7)),
        result: Some(111),
        // A number that means nothing beyond one boot.
        net_ns: Some(1),
    })
}

fn file(kind: FilesystemEventKind) -> CollectionEvent {
    CollectionEvent::Filesystem(FilesystemEvent {
        path: "/new".into(),
        old_path: Some("/old".into()),
        target: Some("/target".into()),
        timestamp: UNIX_EPOCH,
        pid: Some(41),
        size: Some(1),
        mode: Some(0o100_644),
        file_hash: Some("cd".to_owned()),
        kind,
        meta: meta(),
        process: Some(reference()),
        inode: Some(u64::MAX),
        // Two numbers in one; `inode` and `path` say more.
        device: Some((8, 1)),
        mount_ns: Some(1),
        owner: Some((1, 2)),
        written: Some(3),
        flags: vec!["symlink"],
        result: Some(-1),
    })
}

fn others() -> [CollectionEvent; 4] {
    [
        CollectionEvent::Performance(PerformanceEvent {
            metric_name: "cpu_usage".to_owned(),
            value: 97.5,
            unit: "percent".to_owned(),
            pid: Some(1),
            component: "process".to_owned(),
            interval: Some(Duration::from_nanos(10)),
            process: Some(reference()),
            timestamp: UNIX_EPOCH,
            meta: meta(),
        }),
        CollectionEvent::TriggerRequest(TriggerRequest {
            target_pid: Some(1),
            process: Some(reference()),
            ..TriggerRequest::default()
        }),
        CollectionEvent::Alert(AlertEvent {
            // What ties things together is for joining, not for deciding.
            alert_id: "a".to_owned(),
            correlation_id: "c".to_owned(),
            severity: crate::AlertSeverity::High,
            // Made of what follows, for people.
            title: "t".to_owned(),
            rules: vec![AlertReason { rule: "r".to_owned(), ..AlertReason::default() }],
            // Rules that say nothing.
            unasked: vec!["u".to_owned()],
            // One of `rules`, where it matters.
            condition: Some("c".to_owned()),
            pid: Some(1),
            process: Some(reference()),
            path: Some("/p".into()),
            // The file is looked for by its path, here.
            size: Some(1),
            sha256: Some("ab".to_owned()),
            blake3: Some("cd".to_owned()),
            timestamp: UNIX_EPOCH,
            meta: meta(),
        }),
        CollectionEvent::Loss(LossEvent {
            timestamp: UNIX_EPOCH,
            meta: EventMeta { sequence: None, ..meta() },
            domain: "network",
            // The kind of what was lost, which is not the kind of this event.
            kind: None,
            reason: "ring_full",
            count: 9,
            cpu: Some(1),
            first_seq: Some(4),
            last_seq: None,
        }),
    ]
}

fn full_events() -> Vec<CollectionEvent> {
    use FilesystemEventKind::{Attributes, Create, Delete, Link, Modify, Open, Rename};
    use NetworkEventKind::{Accept, Close, Connect, Listen, Send};
    use ProcessEventKind::{Exec, Exit, Fork, Snapshot};
    let processes = [Snapshot, Exec, Fork, Exit].map(process);
    let networks = [Connect, Accept, Listen, Close, Send].map(network);
    let files = [Create, Open, Modify, Delete, Rename, Link, Attributes].map(file);
    processes.into_iter().chain(networks).chain(files).chain(others()).collect()
}

/// If the table said less than is true, conditions would miss events without a word.
#[test]
fn the_table_says_which_kinds_have_a_field() {
    let events = full_events();
    assert_eq!(events.len(), crate::event::KINDS.len());
    for event in &events {
        for field in Field::ALL {
            let has = !matches!(Value::of(event, *field), Value::Null);
            let may = field.kinds().contains(KindIndex::of(event));
            // How long a process lived only an exit says.
            let exception = *field == Field::DurationNs && event.kind().starts_with("process.");
            assert!(
                has == may || (exception && may),
                "{field} of {}: has {has}, may have {may}",
                event.kind()
            );
        }
    }
}

#[test]
fn values_have_the_type_of_their_field() {
    use super::super::FieldType;
    for event in &full_events() {
        for field in Field::ALL {
            let expected = match Value::of(event, *field) {
                Value::Null => continue,
                Value::Text(_) | Value::ExecId(_) | Value::Joined(_) => FieldType::Text,
                Value::Integer(_) => FieldType::Integer,
                Value::Number(_) => FieldType::Number,
                Value::Bool(_) => FieldType::Bool,
                Value::Ip(_) => FieldType::Ip,
                Value::List(_) => FieldType::TextList,
            };
            assert_eq!(field.field_type(), expected, "{field}");
        }
    }
}

fn shown(event: &CollectionEvent, name: &str) -> String {
    match Value::of(event, Field::named(name).unwrap()) {
        Value::Null => "NULL".to_owned(),
        Value::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Ip(address) => address.to_string(),
        Value::ExecId(id) => id.to_string(),
        Value::Joined(texts) => format!("{texts:?}"),
        Value::List(list) => {
            let mut all = Vec::new();
            list.any(|text| {
                all.push(String::from_utf8(text.to_vec()).unwrap());
                false
            });
            all.join(",")
        }
    }
}

fn check(event: &CollectionEvent, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(shown(event, name), *value, "{name} of {}", event.kind());
    }
}

#[test]
fn an_alert_has_its_severity_and_its_rules() {
    let [_, _, alert, _] = others();
    check(&alert, &[("severity", "high"), ("rules", "r"), ("path", "/p"), ("pid", "41"), ("name", "sh")]);
}

#[test]
fn each_field_comes_from_its_place() {
    check(
        &process(ProcessEventKind::Exec),
        &[
            ("kind", "process.exec"),
            ("time_ns", "5"),
            ("source", "test"),
            ("domain", "process"),
            ("cpu", "3"),
            ("seq", "17"),
            ("capture", "kernel"),
            ("change", "exec"),
            ("suspicious", "executable_deleted,no_arguments"),
            ("pid", "42"),
            ("ppid", "41"),
            ("tid", "43"),
            ("exec_id", "00000001-42-2-00000003"),
            ("parent_exec_id", "00000001-41-2-00000003"),
            ("name", "cat"),
            ("executable", "/bin/cat"),
            ("arguments", "cat,/etc/passwd"),
            ("argv_truncated", "true"),
            ("cwd", "/"),
            ("interpreter", "/bin/sh"),
            ("script", "/x.sh"),
            ("uid", "7"),
            ("gid", "8"),
            ("euid", "0"),
            ("egid", "9"),
            ("login_uid", "10"),
            ("session_id", "11"),
            ("user", "jo"),
            ("container_id", "c1"),
            ("cgroup_id", "18446744073709551615"),
            ("parent_name", "sh"),
            ("parent_executable", "/bin/sh"),
            ("ancestor_names", "sh"),
            ("ancestor_executables", "/bin/sh"),
            ("file_exists", "true"),
            ("executable_hash", "ab"),
            ("flags", "memfd"),
            ("exit_code", "NULL"),
            ("path", "NULL"),
        ],
    );
    check(
        &process(ProcessEventKind::Exit),
        &[("exit_code", "1"), ("exit_signal", "9"), ("duration_ns", "6"), ("result", "1")],
    );
    check(
        &network(NetworkEventKind::Connect),
        &[
            ("domain", "network"),
            ("pid", "41"),
            ("name", "sh"),
            ("executable", "/bin/sh"),
            ("uid", "7"),
            ("container_id", "c0"),
            ("connection_id", "id"),
            ("protocol", "tcp"),
            ("family", "ipv6"),
            ("direction", "outbound"),
            ("state", "closed"),
            ("local_address", "10.0.0.1"),
            ("local_port", "80"),
            ("remote_address", "::1"),
            ("remote_port", "443"),
            ("bytes_sent", "1"),
            ("bytes_received", "2"),
            ("duration_ns", "7"),
            ("result", "111"),
            ("user", "NULL"),
        ],
    );
    check(
        &file(FilesystemEventKind::Rename),
        &[
            ("domain", "file"),
            ("path", "/new"),
            ("old_path", "/old"),
            ("target", "/target"),
            ("size", "1"),
            ("inode", "18446744073709551615"),
            ("written", "3"),
            ("mode", "33188"),
            ("owner_uid", "1"),
            ("owner_gid", "2"),
            ("file_hash", "cd"),
            ("flags", "symlink"),
            ("result", "-1"),
        ],
    );
    check(
        &others()[0],
        &[
            ("metric", "cpu_usage"),
            ("value", "97.5"),
            ("unit", "percent"),
            ("component", "process"),
            ("interval_ns", "10"),
            ("exec_id", "00000001-41-2-00000003"),
            ("name", "sh"),
            ("executable", "/bin/sh"),
            ("uid", "7"),
            ("container_id", "c0"),
        ],
    );
    check(
        &others()[3],
        &[("domain", "network"), ("reason", "ring_full"), ("count", "9"), ("cpu", "1"), ("seq", "4")],
    );
}

#[test]
fn what_an_event_does_not_know_is_null() {
    let nothing =
        CollectionEvent::Process(ProcessEvent { kind: ProcessEventKind::Fork, ..ProcessEvent::default() });
    for name in
        ["name", "executable", "command_line", "arguments", "argv_truncated", "uid", "parent_name", "source"]
    {
        check(&nothing, &[(name, "NULL")]);
    }
    // Known to be none.
    check(&nothing, &[("flags", ""), ("ancestor_names", "")]);
    check(
        &CollectionEvent::Network(NetworkEvent::default()),
        &[("bytes_sent", "NULL"), ("protocol", "NULL")],
    );
    let unknown = PerformanceEvent { value: f64::NAN, ..PerformanceEvent::default() };
    let names = ["metric", "value", "unit", "component", "interval_ns", "pid", "exec_id"];
    check(&CollectionEvent::Performance(unknown), &names.map(|name| (name, "NULL")));
    let closed = NetworkEvent { kind: NetworkEventKind::Close, ..NetworkEvent::default() };
    check(&CollectionEvent::Network(closed), &[("bytes_sent", "0")]);
}
