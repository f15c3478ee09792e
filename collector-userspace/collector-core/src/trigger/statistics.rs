//! What became of triggers.

use std::collections::BTreeMap;

/// What became of the triggers of one collector, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TriggerCounts {
    /// Conditions that were met.
    pub matched: u64,
    /// Requests made of them.
    pub requested: u64,
    /// Left out, because the same trigger was made a short while ago.
    pub deduplicated: u64,
    /// Dropped, because there were more than the collector takes in a second.
    pub rate_limited: u64,
    /// Dropped, because too many were waiting; less urgent ones that had to make room are among them.
    pub queue_full: u64,
    /// Given up, because they had waited for their collector too long.
    pub expired: u64,
    /// Handed to a handler.
    pub started: u64,
    /// Done.
    pub succeeded: u64,
    /// Ended with an error, or with a panic of the handler.
    pub failed: u64,
    /// Abandoned, because the analysis took too long.
    pub timed_out: u64,
    /// Waiting now.
    pub pending: u64,
    /// Being analysed now.
    pub running: u64,
}

/// The counters of a [`TriggerManager`](super::TriggerManager).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TriggerStatistics {
    /// Events that were looked at.
    pub evaluated: u64,
    /// Conditions registered.
    pub conditions: usize,
    /// How often each condition was met.
    pub matches: BTreeMap<String, u64>,
    /// By collector.
    pub collectors: BTreeMap<String, TriggerCounts>,
}

impl TriggerStatistics {
    /// The counters of all collectors together.
    #[must_use]
    pub fn totals(&self) -> TriggerCounts {
        let mut totals = TriggerCounts::default();
        for counts in self.collectors.values() {
            let TriggerCounts {
                matched,
                requested,
                deduplicated,
                rate_limited,
                queue_full,
                expired,
                started,
                succeeded,
                failed,
                timed_out,
                pending,
                running,
            } = counts;
            totals.matched += matched;
            totals.requested += requested;
            totals.deduplicated += deduplicated;
            totals.rate_limited += rate_limited;
            totals.queue_full += queue_full;
            totals.expired += expired;
            totals.started += started;
            totals.succeeded += succeeded;
            totals.failed += failed;
            totals.timed_out += timed_out;
            totals.pending += pending;
            totals.running += running;
        }
        totals
    }
}
