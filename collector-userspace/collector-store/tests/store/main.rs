//! The store as its users see it: files on disk, readers beside writers, crashes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod crash;
mod monitor;
mod query;
mod retention;
mod rows;
#[allow(unreachable_pub, reason = "shared with the unit tests and benches")]
mod samples;

use std::path::Path;

use collector_core::CollectionEvent;
use collector_store::{Database, Limits, Rows, StoreConfig, Value};

/// A database in a directory of its own.
struct Fixture {
    directory: tempfile::TempDir,
    config: StoreConfig,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(directory.path().join("events.db")).keep_everything();
        Self { directory, config }
    }

    fn with(events: impl IntoIterator<Item = CollectionEvent>) -> Self {
        let fixture = Self::new();
        append(&mut fixture.open(), events);
        fixture
    }

    fn open(&self) -> Database {
        Database::open(&self.config, &samples::lines()).unwrap()
    }

    fn path(&self) -> &Path {
        &self.config.path
    }

    fn query(&self, sql: &str) -> Rows {
        collector_store::query(self.path(), sql, &Limits::default())
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn number(&self, sql: &str) -> i64 {
        match self.query(sql).rows.as_slice() {
            [row] => match row.as_slice() {
                [Value::Integer(number)] => *number,
                other => panic!("{sql} gave {other:?}"),
            },
            other => panic!("{sql} gave {other:?}"),
        }
    }
}

fn append(database: &mut Database, events: impl IntoIterator<Item = CollectionEvent>) {
    let events: Vec<CollectionEvent> = events.into_iter().collect();
    database.append(&events).unwrap();
}
