//! What the writer did so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// State and totals of a store's writer since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreStats {
    /// The database file.
    pub path: String,
    /// Events committed.
    pub written: u64,
    /// Transactions that committed them.
    pub batches: u64,
    /// Events that were dropped because they could not be written, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Whether the last write failed: events are being dropped until the next attempt works.
    pub failing: bool,
    /// What went wrong last; kept after recovery.
    pub last_error: Option<String>,
    /// Rows deleted because of their age.
    pub deleted_by_age: u64,
    /// Rows deleted because the database was too large.
    pub deleted_by_size: u64,
    /// Bytes in use in the database.
    pub bytes: u64,
    /// Time of the oldest row, in nanoseconds since 1970.
    pub oldest_time_ns: Option<i64>,
}

impl StoreStats {
    /// Events that were dropped, whatever the reason.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }
}
