//! Counters of analyzers and of the coordinator.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::defaults::AlertStatistics;
use super::hash::HasherStatistics;

/// Counters of a coordinator since it was made.
///
/// `submitted = completed + failed + cancelled + timed_out + running + waiting`; what was refused was not submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AnalysisStatistics {
    /// Executions that were taken.
    pub submitted: u64,
    /// Executions that were not taken, because the queue was full.
    pub refused: u64,
    /// Executions that completed.
    pub completed: u64,
    /// Executions of which a stage failed.
    pub failed: u64,
    /// Executions that were cancelled.
    pub cancelled: u64,
    /// Executions that took too long.
    pub timed_out: u64,
    /// Executions that run at the moment.
    pub running: usize,
    /// Executions that wait at the moment.
    pub waiting: usize,
    /// Reports of ended executions that are kept at the moment.
    pub reports_kept: usize,
    /// Reports that are no longer kept, by number or by age.
    pub reports_dropped: u64,
    /// Each analyzer, by name.
    pub analyzers: BTreeMap<String, AnalyzerStatistics>,
    /// The hasher of the default analyzers.
    pub hasher: HasherStatistics,
    /// Alerts of the default analyzer for them.
    pub alerts: AlertStatistics,
}

/// Counters of one analyzer. An attempt that runs at the moment is counted when it ends:
/// `runs = successes + failures + timeouts + panics + cancelled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AnalyzerStatistics {
    /// Attempts that ended.
    pub runs: u64,
    /// Attempts with an output.
    pub successes: u64,
    /// Attempts that ended with an error.
    pub failures: u64,
    /// Attempts that took too long.
    pub timeouts: u64,
    /// Attempts that panicked.
    pub panics: u64,
    /// Attempts that were cancelled.
    pub cancelled: u64,
    /// How many of `runs` were repetitions.
    pub retries: u64,
    /// Time of all attempts together.
    #[serde(with = "crate::config::duration")]
    pub run_time: Duration,
    /// Time of the longest attempt.
    #[serde(with = "crate::config::duration")]
    pub longest_run: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    Success,
    Failure,
    Timeout,
    Panic,
    Cancelled,
}

#[derive(Debug, Default)]
pub(super) struct AnalyzerCounters(Mutex<AnalyzerStatistics>);

impl AnalyzerCounters {
    pub(super) fn snapshot(&self) -> AnalyzerStatistics {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, end: AttemptEnd, attempt: u32, time: Duration) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.runs += 1;
        counters.retries += u64::from(attempt > 1);
        counters.run_time = counters.run_time.saturating_add(time);
        counters.longest_run = counters.longest_run.max(time);
        let place = match end {
            AttemptEnd::Success => &mut counters.successes,
            AttemptEnd::Failure => &mut counters.failures,
            AttemptEnd::Timeout => &mut counters.timeouts,
            AttemptEnd::Panic => &mut counters.panics,
            AttemptEnd::Cancelled => &mut counters.cancelled,
        };
        *place += 1;
    }
}

/// Counts an attempt when it is dropped: an attempt that nobody finishes was cancelled.
pub(super) struct AttemptTally<'a> {
    counters: &'a AnalyzerCounters,
    attempt: u32,
    since: Instant,
    end: AttemptEnd,
}

impl<'a> AttemptTally<'a> {
    pub(super) fn begin(counters: &'a AnalyzerCounters, attempt: u32) -> Self {
        Self { counters, attempt, since: Instant::now(), end: AttemptEnd::Cancelled }
    }

    pub(super) fn finish(mut self, end: AttemptEnd) {
        self.end = end;
    }
}

impl Drop for AttemptTally<'_> {
    fn drop(&mut self) {
        self.counters.count(self.end, self.attempt, self.since.elapsed());
    }
}
