//! Where events are stored and how much of them is kept.

use std::path::PathBuf;
use std::time::Duration;

/// Configuration of a store's writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The database file. Its directory must exist.
    pub path: PathBuf,
    /// Delete events older than this.
    pub max_age: Option<Duration>,
    /// Delete the oldest events when the database holds more bytes than this. The write-ahead log, normally at most
    /// 16 MiB, comes on top.
    pub max_bytes: Option<u64>,
    /// Most events of one transaction.
    pub batch_events: usize,
    /// Longest an event waits for its transaction.
    pub batch_delay: Duration,
    /// How long to wait for another program that has locked the database.
    pub busy_timeout: Duration,
    /// Pause after a failed write, doubled by each further failure up to `retry_max`.
    pub retry_min: Duration,
    /// Longest pause after failed writes.
    pub retry_max: Duration,
}

impl StoreConfig {
    /// The defaults, for a database at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_age: Some(Duration::from_secs(7 * 24 * 3600)),
            max_bytes: Some(2 << 30),
            batch_events: 2_000,
            batch_delay: Duration::from_millis(250),
            busy_timeout: Duration::from_secs(1),
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(5),
        }
    }

    /// The same without retention: nothing is ever deleted.
    #[must_use]
    pub fn keep_everything(mut self) -> Self {
        self.max_age = None;
        self.max_bytes = None;
        self
    }
}
