//! Queries: what they may, what they may not, and where they end.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use collector_store::{Limits, QueryError, query, query_each};

use crate::samples::{exec, exit, mixed};
use crate::{Fixture, append};

/// Every way to change something that SQL offers, and the word the refusal must have.
const CHANGES: &[(&str, &str)] = &[
    ("INSERT INTO records (time_ns, kind, event) VALUES (1, 'x', '{}')", "write"),
    ("UPDATE records SET kind = 'x'", "update"),
    ("DELETE FROM records", "delete"),
    ("WITH x AS (SELECT 1) DELETE FROM records", "delete"),
    ("DELETE FROM events", "changing events"),
    ("INSERT INTO events (time_ns, kind, event) VALUES (1, 'x', '{}')", "write"),
    ("UPDATE events SET kind = 'x'", "changing events"),
    ("DROP TABLE records", "refused"),
    ("DROP VIEW events", "refused"),
    ("CREATE TABLE x (y)", "schema"),
    ("CREATE TEMP TABLE x (y)", "refused"),
    ("CREATE VIEW v AS SELECT 1", "schema"),
    ("CREATE VIRTUAL TABLE x USING fts5(y)", "refused"),
    ("ALTER TABLE records RENAME TO x", "refused"),
    ("ATTACH '/tmp/x.db' AS x", "ATTACH"),
    ("VACUUM", "refused"),
    ("VACUUM INTO '/tmp/x.db'", "refused"),
    ("REINDEX", "refused"),
    ("ANALYZE", "refused"),
    ("BEGIN IMMEDIATE", "transaction"),
    ("SAVEPOINT x", "transaction"),
    ("PRAGMA query_only = 0", "query_only"),
    ("PRAGMA journal_mode = DELETE", "journal_mode"),
    ("PRAGMA user_version = 5", "user_version"),
    ("PRAGMA wal_checkpoint", "wal_checkpoint"),
    ("PRAGMA writable_schema = 1", "writable_schema"),
    ("SELECT load_extension('/tmp/x.so')", "load_extension"),
    ("SELECT * FROM pragma_journal_mode('DELETE')", ""),
];

#[test]
fn queries_change_nothing() {
    let fixture = Fixture::with((0..10).map(mixed));
    for (sql, word) in CHANGES {
        let error = query(fixture.path(), sql, &Limits::default()).expect_err(sql);
        assert!(error.to_string().contains(word), "{sql}: {error}");
        if !word.is_empty() {
            assert!(matches!(error, QueryError::Refused(_)), "{sql}: {error}");
        }
    }
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 10);
    assert!(!std::path::Path::new("/tmp/x.db").exists());
}

#[test]
fn what_only_reads_is_allowed() {
    let fixture = Fixture::with((0..100).map(mixed));
    for sql in [
        "SELECT count(*) FROM events WHERE kind = 'process.exec' AND time_ns > 0",
        "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n WHERE x < 10) SELECT sum(x) FROM n",
        "SELECT json_each.value ->> '$.name' FROM events, json_each(event, '$.process.ancestors') LIMIT 3",
        "SELECT kind, count(*) OVER (PARTITION BY kind) FROM events ORDER BY time_ns DESC",
        "PRAGMA table_info(events)",
        "SELECT name FROM pragma_table_info('events')",
        "SELECT sql FROM sqlite_schema",
        "EXPLAIN QUERY PLAN SELECT * FROM events WHERE kind = 'loss'",
        "SELECT datetime(time_ns / 1000000000, 'unixepoch') FROM events; -- and a comment",
    ] {
        assert!(!fixture.query(sql).columns.is_empty(), "{sql}");
    }
}

#[test]
fn kind_and_time_are_found_by_index() {
    let fixture = Fixture::with([exec(0)]);
    let plan = fixture
        .query("EXPLAIN QUERY PLAN SELECT pid FROM events WHERE kind = 'process.exec' AND time_ns > 5");
    let plan: Vec<String> = plan.rows.concat().iter().map(ToString::to_string).collect();
    assert!(plan.iter().any(|step| step.contains("records_kind_time (kind=? AND time_ns>?)")), "{plan:?}");
}

#[test]
fn events_are_joined_with_their_exec_by_index() {
    let fixture = Fixture::with(
        (0..10_000).map(|number| if number % 2 == 0 { exec(number) } else { exit(number - 1) }),
    );
    let joined = fixture.number(
        "SELECT count(*) FROM events e JOIN events x ON e.exec_id = x.exec_id
         WHERE e.kind = 'process.exec' AND x.kind = 'process.exit'",
    );
    assert_eq!(joined, 5_000);
    let plan = fixture.query(
        "EXPLAIN QUERY PLAN SELECT f.path, e.command_line FROM events f
         JOIN events e ON e.exec_id = f.exec_id AND e.kind = 'process.exec' WHERE f.kind = 'file.delete'",
    );
    let plan: Vec<String> = plan.rows.concat().iter().map(ToString::to_string).collect();
    assert!(plan.iter().any(|step| step.contains("records_exec (exec_id=?)")), "{plan:?}");
}

#[test]
fn mistakes_are_explained() {
    let fixture = Fixture::with([exec(0)]);
    let error = |sql| query(fixture.path(), sql, &Limits::default()).unwrap_err().to_string();
    assert_eq!(error("SELECT nmae FROM events"), "no such column: nmae (at character 8)");
    assert_eq!(error("SELECT 1; SELECT 2"), "only one statement at a time");
    assert_eq!(error(""), "the statement asks for nothing");
    let missing = query("/no/such.db".as_ref(), "SELECT 1", &Limits::default()).unwrap_err().to_string();
    assert!(missing.starts_with("there is no database at /no/such.db"), "{missing}");
    let foreign = fixture.directory.path().join("notes.txt");
    std::fs::write(&foreign, "notes").unwrap();
    let foreign = query(&foreign, "SELECT 1", &Limits::default()).unwrap_err().to_string();
    assert!(foreign.contains("not a usable database"), "{foreign}");
}

const ENDLESS: &str =
    "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

#[test]
fn endless_query_is_stopped_in_time() {
    let fixture = Fixture::with([exec(0)]);
    let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
    let start = Instant::now();
    let error = query(fixture.path(), ENDLESS, &limits).unwrap_err();
    assert!(matches!(error, QueryError::TimedOut(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn query_can_be_cancelled() {
    let fixture = Fixture::with([exec(0)]);
    let limits = Limits { time: Duration::from_secs(3600), ..Limits::default() };
    let cancel = limits.cancel.clone();
    let error = std::thread::scope(|scope| {
        let query = scope.spawn(|| query(fixture.path(), ENDLESS, &limits).unwrap_err());
        cancel.cancel();
        query.join().unwrap()
    });
    assert!(matches!(error, QueryError::Cancelled), "{error}");
}

#[test]
fn rows_end_at_the_limit_and_say_so() {
    let fixture = Fixture::with((0..10).map(mixed));
    let limits = |rows| Limits { rows, ..Limits::default() };
    let few = query(fixture.path(), "SELECT id FROM events", &limits(3)).unwrap();
    assert_eq!((few.rows.len(), few.truncated), (3, true));
    let all = query(fixture.path(), "SELECT id FROM events", &limits(10)).unwrap();
    assert_eq!((all.rows.len(), all.truncated), (10, false));
    let mut seen = 0;
    query_each(fixture.path(), "SELECT id FROM events", &limits(10), |columns, _| {
        assert_eq!(columns, ["id"]);
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn reading_goes_on_while_the_writer_writes() {
    let fixture = Fixture::with([mixed(0)]);
    let mut database = fixture.open();
    let mut last = 0;
    for round in 0..20 {
        append(&mut database, (0..100).map(mixed));
        let count = fixture.number("SELECT count(*) FROM events");
        assert_eq!(count, 1 + (round + 1) * 100, "a committed batch is visible at once");
        last = count;
    }
    assert_eq!(last, 2_001);
}

#[test]
fn closed_database_is_readable_where_nothing_can_be_written() {
    let fixture = Fixture::with([mixed(0)]);
    // As for a reader without permission to write: the immutable way reads the same rows.
    use std::os::unix::fs::PermissionsExt as _;
    let read_only = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(fixture.directory.path(), permissions).unwrap();
    };
    read_only(0o500);
    let count = fixture.number("SELECT count(*) FROM events");
    read_only(0o700);
    assert_eq!(count, 1);
}
