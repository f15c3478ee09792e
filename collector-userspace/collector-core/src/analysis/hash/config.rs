//! Settings of the hasher.

use std::time::Duration;

use crate::analysis::AnalysisConfigError;
use crate::analysis::config::{check_duration, check_number};

/// How the [`BinaryHasher`](super::BinaryHasher) behaves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HasherConfig {
    /// Largest file that is hashed, in bytes. Default 512 MiB.
    pub max_file_size: u64,
    /// Longest time for one file, and also the longest wait for a turn before it. Default 10 s.
    #[serde(with = "crate::config::duration")]
    pub time_limit: Duration,
    /// Files hashed at one time, each on a blocking thread. Default 2.
    pub max_concurrent: usize,
    /// Requests that may wait for a turn; more are refused as busy. Default 256.
    pub max_waiting: usize,
    /// Bytes read in one go, and so between two looks at the time limit and the cancellation. Default 128 KiB.
    pub chunk_size: usize,
    /// Files whose digests are remembered. Default 4096; 0 remembers none.
    pub cache_entries: usize,
    /// Digests of a file that changed less than this before it was hashed are not remembered: a further change within
    /// the file system's grain of time would not show in its times. Default 100 ms; 2 s for FAT.
    #[serde(with = "crate::config::duration")]
    pub settle_time: Duration,
}

impl Default for HasherConfig {
    fn default() -> Self {
        Self {
            max_file_size: 512 << 20,
            time_limit: Duration::from_secs(10),
            max_concurrent: 2,
            max_waiting: 256,
            chunk_size: 128 << 10,
            cache_entries: 4096,
            settle_time: Duration::from_millis(100),
        }
    }
}

/// What is waited beyond the time limit for a thread that looks at the limit itself, but may be stuck in one read of a
/// dead network file system.
pub(super) const STUCK: Duration = Duration::from_secs(1);

/// A chunk is memory that every running request holds.
const MAX_CHUNK: usize = 16 << 20;

impl HasherConfig {
    /// Sets [`max_file_size`](Self::max_file_size), in bytes.
    #[must_use]
    pub const fn with_max_file_size(mut self, bytes: u64) -> Self {
        self.max_file_size = bytes;
        self
    }

    /// Sets [`time_limit`](Self::time_limit).
    #[must_use]
    pub const fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets [`max_concurrent`](Self::max_concurrent), in files.
    #[must_use]
    pub const fn with_max_concurrent(mut self, files: usize) -> Self {
        self.max_concurrent = files;
        self
    }

    /// Sets [`max_waiting`](Self::max_waiting), in requests.
    #[must_use]
    pub const fn with_max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }

    /// Sets [`chunk_size`](Self::chunk_size), in bytes.
    #[must_use]
    pub const fn with_chunk_size(mut self, bytes: usize) -> Self {
        self.chunk_size = bytes;
        self
    }

    /// Sets [`cache_entries`](Self::cache_entries), in files.
    #[must_use]
    pub const fn with_cache_entries(mut self, files: usize) -> Self {
        self.cache_entries = files;
        self
    }

    /// Sets [`settle_time`](Self::settle_time).
    #[must_use]
    pub const fn with_settle_time(mut self, time: Duration) -> Self {
        self.settle_time = time;
        self
    }

    /// Longest time a request takes, its wait included.
    pub(crate) const fn longest(&self) -> Duration {
        self.time_limit.saturating_mul(2).saturating_add(STUCK)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first field that cannot work, and why.
    pub fn validate(&self) -> Result<(), AnalysisConfigError> {
        let Self {
            max_file_size: _,
            time_limit,
            max_concurrent,
            max_waiting: _,
            chunk_size,
            cache_entries: _,
            settle_time: _,
        } = self;
        check_duration("hasher.time_limit", *time_limit)?;
        check_number("hasher.max_concurrent", *max_concurrent, tokio::sync::Semaphore::MAX_PERMITS)?;
        check_number("hasher.chunk_size", *chunk_size, MAX_CHUNK)
    }
}
