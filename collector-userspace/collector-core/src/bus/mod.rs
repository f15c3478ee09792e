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

mod ancestry;
mod config;
mod correlation;
mod error;
mod filter;
mod local;
mod loss;
mod queue;
mod shared;
mod statistics;
mod subscription;
mod tags;
#[cfg(test)]
mod tests;
mod topic;

use async_trait::async_trait;

use self::ancestry::Subtrees;
pub use ancestry::AncestryStatistics;
pub use config::{AncestryMode, BusConfigError, EventBusConfig, OverflowPolicy};
pub use correlation::CorrelationMetadata;
pub use error::EventBusError;
pub use filter::{ByName, CorrelationFilter, EventFilter, EventType};
pub use local::LocalEventBus;
pub use queue::TryRecvError;
pub use statistics::{EventBusStatistics, SubscriberStatistics};
pub use subscription::{EventSubscription, Subscription};
pub use tags::CorrelationTags;
pub use topic::TopicPatternError;

use crate::event::{CollectionEvent, KindIndex};
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
    subtrees: Subtrees,
}

impl BusEvent {
    pub(crate) fn new(id: u64, event: CollectionEvent) -> Self {
        Self::with_tags(id, event, CorrelationTags::default())
    }

    #[inline]
    fn with_tags(id: u64, event: CollectionEvent, tags: CorrelationTags) -> Self {
        Self {
            id,
            kind: KindIndex::of(&event),
            line: KeptLine::default(),
            correlation: CorrelationMetadata::of(id, &event, tags),
            subtrees: Subtrees::default(),
            event,
        }
    }

    /// The topic under which it was published, one of [`TOPICS`](crate::event::TOPICS).
    #[must_use]
    pub fn topic(&self) -> &'static str {
        self.kind.topic()
    }

    /// The correlation id its publisher gave it, or the one a trigger request or alert carries.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        let given = self.correlation.tags.correlation_id();
        let carried = || match &self.event {
            CollectionEvent::TriggerRequest(request) => Some(request.correlation_id.as_str()),
            CollectionEvent::Alert(alert) => Some(alert.correlation_id.as_str()),
            _ => None,
        };
        given.or_else(|| carried().filter(|id| !id.is_empty()))
    }
}

/// What can be done with a bus, whatever carries it. [`LocalEventBus`] has the same methods without a box per call.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Gives one event to every subscriber that wants it.
    ///
    /// # Errors
    /// When the bus does not run.
    async fn publish(&self, event: CollectionEvent) -> Result<(), EventBusError>;

    /// Gives one event to every subscriber that wants it, with a correlation id and tags.
    ///
    /// # Errors
    /// When the bus does not run, or the tags are too many or too long.
    async fn publish_with(&self, event: CollectionEvent, tags: CorrelationTags) -> Result<(), EventBusError>;

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
