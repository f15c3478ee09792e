//! `collector query` on a database made for it.

use std::time::{Duration, UNIX_EPOCH};

use collector_core::{CollectionEvent, HostInfo, JsonLines, ProcessEvent, ProcessEventKind};
use collector_store::{Database, StoreConfig};

use crate::{Fixture, text};

fn database() -> (Fixture, String) {
    let fixture = Fixture::new();
    let path = fixture.path("events.db");
    let host = HostInfo { host: "web-1".to_owned(), boot_id: "b".to_owned() };
    let mut database = Database::open(&StoreConfig::new(&path), &JsonLines::new(host)).unwrap();
    let event = |pid: u32, argument: &str| {
        CollectionEvent::Process(ProcessEvent {
            pid,
            name: "true".to_owned(),
            kind: ProcessEventKind::Exec,
            command_line: vec!["/bin/true".into(), argument.into()],
            timestamp: UNIX_EPOCH + Duration::from_nanos(u64::from(pid)),
            ..ProcessEvent::default()
        })
    };
    let events = [event(7, "a"), event(1234, "x, \"y\"\x1b[2J")];
    database.append(&events).unwrap();
    (fixture, text(&path).to_owned())
}

#[test]
fn rows_come_as_table_json_and_csv() {
    let (fixture, db) = database();
    let query = |format, sql| fixture.run(&["query", "--db", &db, "--format", format, sql]).succeeds().out;
    let sql = "SELECT pid, ppid, command_line FROM events ORDER BY id";
    assert_eq!(
        query("table", sql),
        " pid  ppid  command_line\n   7  -     /bin/true a\n1234  -     /bin/true $'x, \"y\"\\x1b[2J'\n"
    );
    assert_eq!(
        query("json", sql),
        "{\"pid\":7,\"ppid\":null,\"command_line\":\"/bin/true a\"}\n\
         {\"pid\":1234,\"ppid\":null,\"command_line\":\"/bin/true $'x, \\\"y\\\"\\\\x1b[2J'\"}\n"
    );
    assert_eq!(
        query("csv", sql),
        "pid,ppid,command_line\r\n7,,/bin/true a\r\n1234,,\"/bin/true $'x, \"\"y\"\"\\x1b[2J'\"\r\n"
    );
    let argument = "SELECT event ->> '$.process.command_line[1]' AS argument FROM events WHERE pid = 1234";
    assert_eq!(query("table", argument), "argument\nx, \"y\"\\x1b[2J\n", "a table cannot move the terminal");
}

#[test]
fn nothing_can_be_changed() {
    let (fixture, db) = database();
    for sql in
        ["DELETE FROM events", "PRAGMA journal_mode = DELETE", "ATTACH 'x.db' AS x", "DROP TABLE records"]
    {
        fixture.run(&["query", "--db", &db, sql]).fails(2, "queries can only read");
    }
    let count = fixture.run(&["query", "--db", &db, "SELECT count(*) AS n FROM events"]).succeeds();
    assert_eq!(count.out, "n\n2\n");
}

#[test]
fn limits_are_kept_and_told() {
    let (fixture, db) = database();
    let ran = fixture.run(&["query", "--db", &db, "--limit", "1", "SELECT pid FROM events"]).succeeds();
    assert_eq!(ran.out, "pid\n  7\n");
    assert!(ran.err.contains("only the first 1 rows"), "{}", ran.err);
    let endless = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    fixture.run(&["query", "--db", &db, "--timeout", "50ms", endless]).fails(1, "stopped after 50ms");
}

#[test]
fn mistakes_are_explained() {
    let (fixture, db) = database();
    fixture.run(&["query", "--db", &db, "SELECT nmae FROM events"]).fails(2, "no such column: nmae");
    fixture
        .run(&["query", "--db", "/no/such.db", "SELECT 1"])
        .fails(1, "there is no database at /no/such.db");
    let other = fixture.file("notes.txt", "notes");
    fixture.run(&["query", "--db", text(&other), "SELECT 1"]).fails(1, "not a usable database");
}
