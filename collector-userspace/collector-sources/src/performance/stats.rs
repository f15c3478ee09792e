//! What the performance source has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counters of the performance source, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerformanceStats {
    /// Samples taken.
    pub samples: u64,
    /// Values sent, one event each.
    pub values: u64,
    /// Samples that could not be taken, because `/proc` could not be read.
    pub failures: u64,
    /// Values left out because a counter went backwards.
    pub backwards: u64,
    /// Values left out because they were impossible.
    pub implausible: u64,
    /// Processes looked at without a memory of the last sample, because there were too many: their processor time is missing.
    pub untracked: u64,
    /// Processes above a threshold that were not reported, because there were too many.
    pub unreported: u64,
}

/// The counters, for whoever asks while the source runs.
#[derive(Clone, Debug, Default)]
pub struct PerformanceHandle(Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) samples: AtomicU64,
    pub(super) values: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) backwards: AtomicU64,
    pub(super) implausible: AtomicU64,
    pub(super) untracked: AtomicU64,
    pub(super) unreported: AtomicU64,
}

impl PerformanceHandle {
    /// The counters of the moment.
    #[must_use]
    pub fn stats(&self) -> PerformanceStats {
        let Counters { samples, values, failures, backwards, implausible, untracked, unreported } = &*self.0;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PerformanceStats {
            samples: read(samples),
            values: read(values),
            failures: read(failures),
            backwards: read(backwards),
            implausible: read(implausible),
            untracked: read(untracked),
            unreported: read(unreported),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
