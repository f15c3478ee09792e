//! What a monitor counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines the counters and their values at one moment side by side, so that neither lacks one.
macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counters of a monitor, updated while it runs. Totals since its start, but for those called "at the moment".
        #[derive(Debug, Default)]
        pub struct MonitorCollectorStats {
            $($(#[$doc])+ pub $name: AtomicU64,)+
        }

        /// The counters of a monitor at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct MonitorCollectorStatsSnapshot {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl MonitorCollectorStats {
            /// The values now.
            #[must_use]
            pub fn snapshot(&self) -> MonitorCollectorStatsSnapshot {
                MonitorCollectorStatsSnapshot { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Looks that were made.
    collection_cycles,
    /// Of those, the ones that did not wait for the interval because an event or a caller asked for them.
    early_cycles,
    /// Nanoseconds the looks took together.
    cycle_time_ns,
    /// Looks that failed as a whole.
    collection_errors,
    /// Of those, the ones since the last that worked, at the moment.
    failing_looks,
    /// Things seen in the last look: processes or sockets, at the moment.
    seen,
    /// What was listed and had ended before it was read.
    vanished,
    /// What was there and could not be read for want of permission.
    denied,
    /// What could not be read or understood for another reason.
    unreadable,
    /// What was left unread because there was more than the limit allows.
    beyond_limit,
    /// What was left out by the wish of the user, at the moment: filters, `skip_kernel_threads`, `skip_system_processes`.
    skipped,
    /// What was seen and not tracked because the table was full, at the moment.
    not_tracked,
    /// Changes found.
    lifecycle_events,
    /// Of those, the ones with something suspicious about them.
    suspicious_events,
    /// Events made and not taken yet, at the moment.
    events_in_flight,
    /// Events that had to wait for the collector.
    backpressure_events,
    /// Events that were sent.
    events_sent,
    /// Events that were found and not handed over because the end came first.
    events_abandoned,
    /// Events that were stored in the database.
    database_events,
    /// Events that were not, because the database refused them.
    database_lost_events,
    /// Attempts to store that failed since the last that worked, at the moment.
    failing_writes,
    /// Executables that were hashed, or whose digest was known.
    hashes,
    /// Executables that were to be hashed and were not: no name any more, too large, too slow, not readable, replaced.
    hash_failures,
}

impl MonitorCollectorStats {
    /// Adds to a counter of this or another monitor.
    pub fn add(counter: &AtomicU64, number: usize) {
        counter.fetch_add(number as u64, Ordering::Relaxed);
    }

    /// Sets a counter that tells the state at the moment.
    pub fn set(counter: &AtomicU64, number: usize) {
        counter.store(number as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_the_values_of_the_moment() {
        let stats = MonitorCollectorStats::default();
        MonitorCollectorStats::add(&stats.collection_cycles, 2);
        MonitorCollectorStats::set(&stats.seen, 7);
        let snapshot = stats.snapshot();
        MonitorCollectorStats::add(&stats.collection_cycles, 1);
        assert_eq!((snapshot.collection_cycles, snapshot.seen, snapshot.vanished), (2, 7, 0));
    }
}
