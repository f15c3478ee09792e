//! The writer dies without a word: what was committed is there, and nothing is damaged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use collector_store::{Database, StoreConfig};

use crate::samples::{lines, mixed};
use crate::{Fixture, append};

const BATCH: u64 = 100;
const CHILD: &str = "COLLECTOR_STORE_TEST_CRASH_DB";

#[test]
fn killed_writer_leaves_all_its_commits_and_no_damage() {
    let fixture = Fixture::new();
    let mut committed = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child_that_writes_until_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, fixture.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The harness prints lines of its own.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = lines.filter(|line| line.starts_with("committed")).take(20 + round * 7).count();
        child.kill().unwrap();
        child.wait().unwrap();
        committed += said as i64;

        let rows = fixture.number("SELECT count(*) FROM events");
        assert!(
            rows >= committed * BATCH as i64,
            "{committed} batches were committed, but only {rows} rows are there"
        );
        assert_eq!(rows % BATCH as i64, 0, "half a transaction");
        let check = rusqlite::Connection::open(fixture.path())
            .unwrap()
            .pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(check, "ok");
        committed = rows / BATCH as i64;
    }
    // And it is written on as if nothing had happened.
    append(&mut fixture.open(), [mixed(0)]);
    assert_eq!(fixture.number("SELECT count(*) FROM events"), committed * BATCH as i64 + 1);
}

/// No test of its own: the process that the test above kills.
#[test]
fn child_that_writes_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut database = Database::open(&StoreConfig::new(path).keep_everything(), &lines()).unwrap();
    let mut out = std::io::stdout();
    for batch in 0.. {
        append(&mut database, (batch * BATCH..(batch + 1) * BATCH).map(mixed));
        // Whoever listened is gone: so is this test.
        if writeln!(out, "\ncommitted {batch}").is_err() {
            return;
        }
    }
}
