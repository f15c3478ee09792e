//! Counters of the index of processes.

/// What the bus knows of who descends from whom, and what it had to forget. See
/// [`CorrelationFilter::with_subtree`](crate::CorrelationFilter::with_subtree).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AncestryStatistics {
    /// Subtrees subscribed to at the moment, each counted once.
    pub subtrees: usize,
    /// Processes known at the moment.
    pub processes: usize,
    /// Most processes that can be known.
    pub capacity: usize,
    /// Processes that were forgotten, to make place, after they had ended. Costs nothing but their own late events.
    pub forgotten_ended: u64,
    /// Processes that were forgotten, or not taken in, of which only descendants had been met.
    pub forgotten_ancestors: u64,
    /// Processes that were forgotten, or not taken in, while they were running: their network and file events are not
    /// found in a subtree until their next process event. The capacity is too small for this host.
    pub forgotten_running: u64,
    /// Events of processes that the index did not know.
    pub unknown_processes: u64,
}
