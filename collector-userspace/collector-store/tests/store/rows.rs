//! Which columns each event fills, and with what.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use collector_core::{
    CollectionEvent, EventMeta, LossEvent, NetworkEvent, PerformanceEvent, ProcessEvent, ProcessEventKind,
};
use collector_store::Value;

use crate::samples::{connect, exec, exit, rename, time};
use crate::{Fixture, append};

/// The columns that are not NULL, as `column=value` lines; the JSON is left out.
fn columns(event: CollectionEvent) -> String {
    let fixture = Fixture::with([event]);
    let rows = fixture.query("SELECT * FROM events");
    let values = rows.columns.iter().zip(&rows.rows[0]);
    let lines = values.filter(|(name, value)| *name != "event" && **value != Value::Null);
    lines.map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[test]
fn exec_fills_the_process_columns() {
    assert_eq!(
        columns(exec(7)),
        "id=1\ntime_ns=1790000000007000000\nkind=process.exec\nsource=kernel-test\ndomain=process\ncpu=1\nseq=7\n\
         pid=10007\nppid=4700\nexec_id=3f2a9c1e-10007-88123-9b20c4d1\nparent_exec_id=3f2a9c1e-4700-88123-9b20c4d1\n\
         name=true\nexecutable=/usr/bin/true\ncommand_line=/bin/true 'run 7' --color=auto\nuid=1000\nuser=user\n"
    );
}

#[test]
fn death_by_signal_is_a_negative_result() {
    let row = columns(exit(7));
    assert!(row.contains("kind=process.exit\n") && row.contains("result=-9\n"), "{row}");
    assert!(!row.contains("command_line"), "{row}");
}

#[test]
fn connect_fills_the_network_columns() {
    assert_eq!(
        columns(connect(7)),
        "id=1\ntime_ns=1790000000007000000\nkind=network.connect\nsource=kernel-test\ndomain=network\ncpu=1\nseq=7\n\
         pid=4700\nexec_id=3f2a9c1e-4700-88123-9b20c4d1\nname=bash\nexecutable=/usr/bin/bash\nuid=1000\n\
         container_id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
         local_address=10.0.0.1\nlocal_port=40007\nremote_address=2606:4700::1111\nremote_port=443\nresult=0\n"
    );
}

#[test]
fn rename_fills_both_paths() {
    let row = columns(rename(7));
    assert!(row.contains("path=/var/lib/app/data/7.json\nold_path=/var/lib/app/data/.7.json.tmp\n"), "{row}");
}

#[test]
fn a_sample_fills_what_was_measured_and_of_whom() {
    let CollectionEvent::Network(NetworkEvent { process, .. }) = connect(7) else { panic!() };
    let row = columns(CollectionEvent::Performance(PerformanceEvent {
        metric_name: "cpu_usage".to_owned(),
        value: 97.5,
        unit: "percent".to_owned(),
        pid: Some(4700),
        component: "process".to_owned(),
        interval: Some(Duration::from_secs(10)),
        process,
        timestamp: time(7),
        meta: EventMeta { source: "performance", ..EventMeta::default() },
    }));
    assert_eq!(
        row,
        "id=1\ntime_ns=1790000000007000000\nkind=performance.sample\nsource=performance\npid=4700\n\
         exec_id=3f2a9c1e-4700-88123-9b20c4d1\nname=bash\nexecutable=/usr/bin/bash\nuid=1000\n\
         container_id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
         metric=cpu_usage\nvalue=97.5\nunit=percent\ncomponent=process\n"
    );
}

#[test]
fn samples_are_found_by_the_condition_that_triggers_use() {
    let sample = |value| {
        CollectionEvent::Performance(PerformanceEvent {
            metric_name: "cpu_usage".to_owned(),
            value,
            timestamp: time(1),
            ..PerformanceEvent::default()
        })
    };
    let fixture = Fixture::with([sample(90.0), sample(90.5), sample(9.0), exec(1)]);
    let sql =
        "SELECT value FROM events WHERE kind = 'performance.sample' AND metric = 'cpu_usage' AND value > 90";
    assert_eq!(fixture.query(sql).rows, [[Value::Real(90.5)]]);
}

#[test]
fn loss_is_a_row_like_any_other() {
    let loss = CollectionEvent::Loss(LossEvent {
        timestamp: time(1),
        meta: EventMeta { source: "kernel-test", ..EventMeta::default() },
        domain: "file",
        kind: Some("file.open"),
        reason: "ring_full",
        count: 12,
        cpu: Some(1),
        first_seq: Some(100),
        last_seq: Some(111),
    });
    let fixture = Fixture::with([exec(0), loss]);
    let rows = fixture
        .query("SELECT kind, domain, cpu, seq, event ->> '$.loss.count' FROM events WHERE kind = 'loss'");
    let shown: Vec<String> = rows.rows[0].iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["loss", "file", "1", "100", "12"]);
}

#[test]
fn json_column_is_the_line_the_outputs_print() {
    let fixture = Fixture::with([exec(7)]);
    let mut line = Vec::new();
    collector_core::json::write_line(&mut line, &exec(7), crate::samples::lines().host()).unwrap();
    let stored = fixture.query("SELECT event FROM events").rows.remove(0).remove(0);
    assert_eq!(stored, Value::Text(String::from_utf8(line).unwrap().trim_end().to_owned()));
}

#[test]
fn hostile_bytes_are_stored_escaped() {
    let fixture = Fixture::with([CollectionEvent::Process(ProcessEvent {
        kind: ProcessEventKind::Exec,
        executable_path: Some((&b"/tmp/\xff\n"[..]).into()),
        command_line: vec![(&b"\xff\x1b[2J"[..]).into(), "a\0b".into()],
        timestamp: time(0) - Duration::from_secs(60 * 365 * 24 * 3600),
        ..ProcessEvent::default()
    })]);
    let rows = fixture.query("SELECT executable, command_line, time_ns < 0, json_valid(event) FROM events");
    let shown: Vec<String> = rows.rows[0].iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["/tmp/\\xff\n", r"$'\xff\x1b[2J' $'a\x00b'", "1", "1"]);
}

#[test]
fn database_is_for_its_owner_only() {
    let fixture = Fixture::new();
    let mut database = fixture.open();
    append(&mut database, [exec(0)]);
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let mode = std::fs::metadata(fixture.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn reopened_database_is_written_on() {
    let fixture = Fixture::with([exec(0)]);
    append(&mut fixture.open(), [exec(1)]);
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 2);
    let meta = fixture.query("SELECT value FROM meta WHERE key IN ('boot_id', 'host') ORDER BY key");
    assert_eq!(meta.rows[1], [Value::Text("web-1".to_owned())]);
}
