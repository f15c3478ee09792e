//! Selecting events by what they belong to.

use std::ops::{Bound, RangeBounds};
use std::time::SystemTime;

use crate::bus::{BusEvent, EventBusError};
use crate::event::ExecId;

/// Selects events by what they are correlated with. All given conditions must hold.
///
/// ```
/// use collector_core::{CorrelationFilter, ExecId};
/// use std::time::{Duration, SystemTime};
///
/// let shell = ExecId { boot: 1, pid: 4711, start_ticks: 88123, image: 7 };
/// let start = SystemTime::now();
/// let first_minute_of_a_session =
///     CorrelationFilter::by_subtree(shell).with_time_window(start..start + Duration::from_secs(60));
/// let one_stage = CorrelationFilter::by_correlation_id("workflow-17").with_tag("stage", "hash");
/// # let _ = (first_minute_of_a_session, one_stage);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelationFilter {
    pid: Option<u32>,
    exec_id: Option<ExecId>,
    subtree: Option<ExecId>,
    correlation_id: Option<String>,
    tags: Vec<(String, String)>,
    sequence: Option<(Bound<u64>, Bound<u64>)>,
    time: Option<(Bound<SystemTime>, Bound<SystemTime>)>,
}

impl CorrelationFilter {
    /// Events correlated with this process id: those of the process itself and of its connections and files.
    #[must_use]
    pub fn by_pid(pid: u32) -> Self {
        Self::default().with_pid(pid)
    }

    /// Events correlated with this image of a process. Unlike a pid it is never reused.
    #[must_use]
    pub fn by_exec_id(exec_id: ExecId) -> Self {
        Self::default().with_exec_id(exec_id)
    }

    /// Events of this image, of the later images of its process, and of all processes descended from them. See
    /// [`with_subtree`](Self::with_subtree).
    #[must_use]
    pub fn by_subtree(exec_id: ExecId) -> Self {
        Self::default().with_subtree(exec_id)
    }

    /// Events published with this correlation id, and trigger requests that carry it.
    #[must_use]
    pub fn by_correlation_id(id: impl Into<String>) -> Self {
        Self::default().with_correlation_id(id)
    }

    /// Events published with this tag.
    #[must_use]
    pub fn by_tag(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::default().with_tag(key, value)
    }

    /// Events whose number on the bus, [`BusEvent::id`], is in this range, for example `100..200` or `100..`.
    #[must_use]
    pub fn by_sequence(range: impl RangeBounds<u64>) -> Self {
        Self::default().with_sequence(range)
    }

    /// Events that happened in this window of time. See [`with_time_window`](Self::with_time_window).
    #[must_use]
    pub fn by_time_window(window: impl RangeBounds<SystemTime>) -> Self {
        Self::default().with_time_window(window)
    }

    /// Requires this process id; replaces an earlier one.
    #[must_use]
    pub const fn with_pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// Requires this image; replaces an earlier one.
    #[must_use]
    pub const fn with_exec_id(mut self, exec_id: ExecId) -> Self {
        self.exec_id = Some(exec_id);
        self
    }

    /// Requires the event to be of this image, a later image of its process, or a descendant of them; replaces an earlier
    /// subtree.
    ///
    /// A process event says who its ancestors are. For network and file events the bus must have met the process in a
    /// process event (exec, fork, snapshot or exit), which has these limits:
    ///
    /// * By default the bus begins to remember when the first subtree is subscribed to. Network and file events of a
    ///   descendant that runs already are selected from its next process event on, or from that of a descendant of it that
    ///   names it as its ancestor. [`AncestryMode::Always`](crate::AncestryMode) lifts this.
    /// * It remembers [`ancestry_capacity`](crate::EventBusConfig::ancestry_capacity) processes. When they are more, the
    ///   ones that ended first are forgotten, then those that are only known as ancestors, then the oldest. Their
    ///   descendants stay in the subtree; their own late events are missed, and so are subtrees of them that are subscribed
    ///   to only afterwards. [`AncestryStatistics`](crate::AncestryStatistics) counts both.
    /// * If the process events are sampled or lost, so is what they would have told.
    /// * Trigger requests belong to no subtree, and neither do performance samples whose source knows a pid alone.
    /// * Of the images of one process the bus remembers the last few. One it has not seen when the subtree is subscribed to
    ///   is taken to be older than those it has.
    #[must_use]
    pub const fn with_subtree(mut self, exec_id: ExecId) -> Self {
        self.subtree = Some(exec_id);
        self
    }

    /// Requires this correlation id; replaces an earlier one.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Requires this tag too.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Requires the number on the bus to be in this range; replaces an earlier one. An empty range makes `subscribe` fail.
    #[must_use]
    pub fn with_sequence(mut self, range: impl RangeBounds<u64>) -> Self {
        self.sequence = Some((range.start_bound().cloned(), range.end_bound().cloned()));
        self
    }

    /// Requires the event to have happened ([`CollectionEvent::timestamp`](crate::CollectionEvent::timestamp), not the
    /// moment of publication) in this window; replaces an earlier one. An empty window makes `subscribe` fail.
    #[must_use]
    pub fn with_time_window(mut self, window: impl RangeBounds<SystemTime>) -> Self {
        self.time = Some((window.start_bound().cloned(), window.end_bound().cloned()));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const fn subtree(&self) -> Option<ExecId> {
        self.subtree
    }

    pub(super) fn check(&self) -> Result<(), EventBusError> {
        if self.sequence.as_ref().is_some_and(is_empty) {
            return Err(EventBusError::EmptyRange { of: "sequence numbers" });
        }
        if self.time.as_ref().is_some_and(is_empty) {
            return Err(EventBusError::EmptyRange { of: "event times" });
        }
        Ok(())
    }

    /// Whether all conditions but the subtree hold, which is a matter of the bus.
    pub(super) fn matches(&self, event: &BusEvent) -> bool {
        let Self { pid, exec_id, subtree: _, correlation_id, tags, sequence, time } = self;
        let correlation = &event.correlation;
        (pid.is_none() || correlation.pid == *pid)
            && (exec_id.is_none() || correlation.exec_id == *exec_id)
            && sequence.is_none_or(|range| range.contains(&event.id))
            && time.is_none_or(|window| window.contains(&event.event.timestamp()))
            && correlation_id.as_ref().is_none_or(|id| event.correlation_id() == Some(id))
            && tags.iter().all(|(key, value)| correlation.tags.get(key) == Some(value))
    }
}

/// Whether nothing can be between these bounds.
fn is_empty<T: PartialOrd>(bounds: &(Bound<T>, Bound<T>)) -> bool {
    match bounds {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
