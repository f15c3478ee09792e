//! The event bus: every event to every subscriber that wants it.
//!
//! Each subscriber has a bounded queue of its own with an [`OverflowPolicy`]; there is no other place where events wait,
//! and none where they are lost without being counted. Guarantees:
//!
//! * One publisher's events arrive in the order it published them.
//! * A subscriber's slowness costs it its own events, by its own policy. Only [`OverflowPolicy::Block`] can slow the
//!   publisher, up to its deadline, and only after everybody else has the batch.
//! * What a subscriber misses it is told, before anything else it receives, and its statistics show it.
//! * What was published before [`shutdown`](LocalEventBus::shutdown) can be received after it.

mod config;
mod filter;
mod local;
mod loss;
mod queue;
mod statistics;
mod subscription;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use config::{BusConfigError, EventBusConfig, OverflowPolicy};
pub use filter::{ByName, CorrelationFilter, EventFilter, EventType};
pub use local::LocalEventBus;
pub use queue::TryRecvError;
pub use statistics::{EventBusStatistics, SubscriberStatistics};
pub use subscription::{EventSubscription, Subscription};

use crate::event::{CollectionEvent, ExecId, KindIndex};
use crate::json::KeptLine;

/// An event as subscribers get it: shared, never copied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BusEvent {
    /// Number of the event on its bus, from 1. 0 for a report of losses made for this subscriber alone.
    pub id: u64,
    /// What happened.
    pub event: CollectionEvent,
    /// What it belongs to.
    pub correlation: CorrelationMetadata,
    pub(crate) kind: KindIndex,
    pub(crate) line: KeptLine,
}

impl BusEvent {
    pub(crate) fn new(id: u64, event: CollectionEvent) -> Self {
        let correlation =
            CorrelationMetadata { sequence_number: id, pid: event.pid(), exec_id: event.exec_id() };
        Self { id, kind: KindIndex::of(&event), line: KeptLine::default(), correlation, event }
    }
}

/// What an event belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorrelationMetadata {
    /// Place in the order of publication, as [`BusEvent::id`].
    pub sequence_number: u64,
    /// Process the event is about or was caused by.
    pub pid: Option<u32>,
    /// Identity of that process's image.
    pub exec_id: Option<ExecId>,
}

/// What can be done with a bus, whatever carries it. [`LocalEventBus`] has the same methods without a box per call.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Gives one event to every subscriber that wants it.
    ///
    /// # Errors
    /// When the bus does not run.
    async fn publish(&self, event: CollectionEvent) -> Result<(), EventBusError>;

    /// Gives events to every subscriber that wants them, in order.
    ///
    /// # Errors
    /// When the bus does not run; then none of the events was published.
    async fn publish_batch(&self, events: Vec<CollectionEvent>) -> Result<(), EventBusError>;

    /// Subscribes to events published from now on.
    ///
    /// # Errors
    /// When the bus is closed or full, or the subscription is not possible.
    async fn subscribe(&self, subscription: EventSubscription) -> Result<Subscription, EventBusError>;

    /// Ends a subscription; its receiver gets what is queued, then the end.
    ///
    /// # Errors
    /// When there is no such subscriber.
    async fn unsubscribe(&self, subscriber_id: &str) -> Result<(), EventBusError>;

    /// The counters.
    fn statistics(&self) -> EventBusStatistics;

    /// Closes the bus; subscribers receive what is queued, then the end.
    async fn shutdown(&self);
}

/// Why the bus refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventBusError {
    /// Publishing before `start`.
    #[error("the event bus has not been started")]
    NotStarted,
    /// The bus was shut down.
    #[error("the event bus is closed")]
    Closed,
    /// The id is taken.
    #[error("there already is a subscriber {id:?}")]
    DuplicateSubscriber {
        /// The id.
        id: String,
    },
    /// The limit of the configuration is reached.
    #[error("the event bus has {limit} subscribers, its limit")]
    TooManySubscribers {
        /// The limit.
        limit: usize,
    },
    /// Nobody subscribed with this id, or not any more.
    #[error("there is no subscriber {id:?}")]
    UnknownSubscriber {
        /// The id.
        id: String,
    },
    /// A filter names a type that does not exist.
    #[error("there are no events of type {name:?}")]
    UnknownEventType {
        /// The name.
        name: String,
    },
    /// A queue without place.
    #[error("subscriber {id:?} wants a queue for 0 events; it must be at least 1")]
    ZeroCapacity {
        /// The subscriber.
        id: String,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] BusConfigError),
}
