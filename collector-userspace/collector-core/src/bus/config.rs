//! Settings of the bus and of its queues.

use std::time::Duration;

/// How an event bus behaves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EventBusConfig {
    /// Most subscribers at one time. Default 1000.
    pub max_subscribers: usize,
    /// Capacity of a subscriber's queue, in events, unless its subscription says otherwise. Default 10 000.
    pub buffer_size: usize,
    /// What happens when a queue is full, unless its subscription says otherwise. Default: the oldest event goes.
    pub overflow: OverflowPolicy,
    /// When the bus remembers who descends from whom. Default: while a subtree is subscribed to.
    pub ancestry: AncestryMode,
    /// Most processes it remembers then, at about 0.3 KiB each. Default 16 384.
    pub ancestry_capacity: usize,
}

impl Default for EventBusConfig {
    fn default() -> Self {
        Self {
            max_subscribers: 1000,
            buffer_size: 10_000,
            overflow: OverflowPolicy::default(),
            ancestry: AncestryMode::default(),
            ancestry_capacity: 16_384,
        }
    }
}

impl EventBusConfig {
    /// Sets [`max_subscribers`](Self::max_subscribers).
    #[must_use]
    pub const fn with_max_subscribers(mut self, count: usize) -> Self {
        self.max_subscribers = count;
        self
    }

    /// Sets [`buffer_size`](Self::buffer_size), in events.
    #[must_use]
    pub const fn with_buffer_size(mut self, events: usize) -> Self {
        self.buffer_size = events;
        self
    }

    /// Sets [`overflow`](Self::overflow).
    #[must_use]
    pub const fn with_overflow(mut self, policy: OverflowPolicy) -> Self {
        self.overflow = policy;
        self
    }

    /// Sets [`ancestry`](Self::ancestry).
    #[must_use]
    pub const fn with_ancestry(mut self, mode: AncestryMode) -> Self {
        self.ancestry = mode;
        self
    }

    /// Sets [`ancestry_capacity`](Self::ancestry_capacity), in processes.
    #[must_use]
    pub const fn with_ancestry_capacity(mut self, processes: usize) -> Self {
        self.ancestry_capacity = processes;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first field that cannot work.
    pub const fn validate(&self) -> Result<(), BusConfigError> {
        if self.max_subscribers == 0 {
            return Err(BusConfigError::Zero { field: "max_subscribers" });
        }
        if self.buffer_size == 0 {
            return Err(BusConfigError::Zero { field: "buffer_size" });
        }
        if self.ancestry_capacity == 0 {
            return Err(BusConfigError::Zero { field: "ancestry_capacity" });
        }
        Ok(())
    }
}

/// What is wrong with the settings of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusConfigError {
    /// A number that must not be zero is.
    #[error("{field} is 0; it must be at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
}

/// When a bus remembers who descends from whom, which [`CorrelationFilter::by_subtree`](crate::CorrelationFilter::by_subtree)
/// and the ancestry of network and file events need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AncestryMode {
    /// From the moment when a subtree is subscribed to until nobody subscribes to one any more. Costs nothing otherwise.
    #[default]
    OnDemand,
    /// From the beginning, so that a subtree that is subscribed to late is found in full. Costs a fraction of a microsecond
    /// per event.
    Always,
}

/// What happens to events for a subscriber whose queue is full. Whatever is dropped is counted, and the subscriber is told
/// by a [`LossEvent`](crate::LossEvent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// The publisher waits, after all other subscribers have been served. Events that found no place when `deadline` is
    /// over are dropped. From then on nobody waits for this subscriber until it takes an event: a subscriber that is stuck
    /// costs the publisher one deadline, not one a batch.
    Block {
        /// Longest time a publisher waits for one batch.
        #[serde(with = "crate::config::duration")]
        deadline: Duration,
    },
    /// The oldest event in the queue makes place: for those who want to see what is happening now.
    #[default]
    DropOldest,
    /// The new event is dropped: for those who want the beginning without holes.
    DropNewest,
    /// The subscription ends: for those to whom an incomplete stream is worthless.
    Disconnect,
}
