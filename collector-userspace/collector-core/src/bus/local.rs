//! The bus inside one process.

use std::sync::Arc;

use async_trait::async_trait;

use super::shared::{Phase, Shared, deliver_all};
use super::{
    CorrelationTags, EventBus, EventBusConfig, EventBusError, EventBusStatistics, EventSubscription,
    Subscription,
};
use crate::event::CollectionEvent;

/// An [`EventBus`] inside one process. Clones are handles to the same bus.
///
/// ```
/// use collector_core::{CollectionEvent, CorrelationFilter, EventBusConfig, EventFilter, LocalEventBus, ProcessEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let event_bus = LocalEventBus::new(EventBusConfig::default()).await?;
/// event_bus.start().await?;
///
/// let filter = EventFilter::new()
///     .with_event_type(CollectionEvent::Process)
///     .with_correlation_filter(CorrelationFilter::by_pid(1234));
/// let mut subscription = event_bus.subscribe(filter).await?;
///
/// let event = ProcessEvent { pid: 1234, ..ProcessEvent::default() };
/// event_bus.publish(CollectionEvent::Process(event)).await?;
/// event_bus.shutdown().await;
///
/// let received = subscription.recv().await.map(|event| event.event.kind());
/// assert_eq!(received, Some("process.snapshot"));
/// assert!(subscription.recv().await.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LocalEventBus {
    shared: Arc<Shared>,
}

impl LocalEventBus {
    /// A bus that has not started yet: it can be subscribed to, not published on.
    ///
    /// # Errors
    /// [`EventBusError::Config`].
    pub async fn new(config: EventBusConfig) -> Result<Self, EventBusError> {
        config.validate()?;
        Ok(Self::create(config, Phase::Created))
    }

    /// A running bus for a collector, which validates its configuration before it publishes.
    pub(crate) fn running(config: EventBusConfig) -> Self {
        Self::create(config, Phase::Running)
    }

    fn create(config: EventBusConfig, phase: Phase) -> Self {
        Self { shared: Arc::new(Shared::new(config, phase)) }
    }

    /// Opens the bus for publishers. Starting twice is no error.
    ///
    /// # Errors
    /// [`EventBusError::Closed`] after [`shutdown`](Self::shutdown).
    pub async fn start(&self) -> Result<(), EventBusError> {
        self.shared.start()
    }

    /// Gives one event to every subscriber that wants it.
    ///
    /// Waits only for subscribers with [`OverflowPolicy::Block`](super::OverflowPolicy), and only after all others have it.
    /// That waiting needs a tokio runtime with timers. Dropping the future while it waits loses the event for the
    /// subscribers it waits for; that is counted.
    ///
    /// # Errors
    /// [`EventBusError::NotStarted`] or [`EventBusError::Closed`].
    pub async fn publish(&self, event: CollectionEvent) -> Result<(), EventBusError> {
        deliver_all(self.shared.publish(event, CorrelationTags::default())?).await;
        Ok(())
    }

    /// Like [`publish`](Self::publish), and says what the event belongs to, for subscribers with
    /// [`CorrelationFilter::by_correlation_id`](super::CorrelationFilter::by_correlation_id) or
    /// [`by_tag`](super::CorrelationFilter::by_tag).
    ///
    /// # Errors
    /// As `publish`, and [`EventBusError::TooManyTags`] or [`EventBusError::TagTooLong`].
    pub async fn publish_with(
        &self,
        event: CollectionEvent,
        tags: CorrelationTags,
    ) -> Result<(), EventBusError> {
        tags.check()?;
        deliver_all(self.shared.publish(event, tags)?).await;
        Ok(())
    }

    /// Gives events to every subscriber that wants them, in order. Locks and wake-ups are paid once a batch, so this is
    /// several times cheaper per event than [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`EventBusError::NotStarted`] or [`EventBusError::Closed`]: none of the events was published.
    pub async fn publish_batch(
        &self,
        events: impl IntoIterator<Item = CollectionEvent>,
    ) -> Result<(), EventBusError> {
        let blocked = {
            // Numbered before any lock is taken: what the iterator does is the caller's business.
            let events = events.into_iter();
            if self.shared.is_nobody_there()? {
                events.for_each(|event| self.shared.count_unheard(&event));
                return Ok(());
            }
            let mut batch = Vec::with_capacity(events.size_hint().0);
            batch.extend(events.map(|event| Arc::new(self.shared.number(event, CorrelationTags::default()))));
            self.shared.publish_batch(&mut batch)?
        };
        deliver_all(blocked).await;
        Ok(())
    }

    /// Subscribes; an [`EventFilter`](super::EventFilter) is enough. Only events published from now on are received.
    ///
    /// # Errors
    /// [`EventBusError::Closed`], [`TooManySubscribers`](EventBusError::TooManySubscribers),
    /// [`DuplicateSubscriber`](EventBusError::DuplicateSubscriber) or [`ZeroCapacity`](EventBusError::ZeroCapacity); for
    /// its filter [`UnknownEventType`](EventBusError::UnknownEventType), [`Topic`](EventBusError::Topic),
    /// [`SelectsNothing`](EventBusError::SelectsNothing), [`EmptyRange`](EventBusError::EmptyRange) or
    /// [`TooManySubtrees`](EventBusError::TooManySubtrees).
    pub async fn subscribe(
        &self,
        subscription: impl Into<EventSubscription>,
    ) -> Result<Subscription, EventBusError> {
        self.shared.subscribe(subscription.into())
    }

    /// Ends a subscription from this side: its receiver gets what is queued, then the end.
    ///
    /// # Errors
    /// [`EventBusError::UnknownSubscriber`].
    pub async fn unsubscribe(&self, subscriber_id: &str) -> Result<(), EventBusError> {
        self.shared.unsubscribe(subscriber_id)
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> EventBusStatistics {
        self.shared.statistics()
    }

    /// Closes the bus: nothing can be published any more; subscribers receive what is queued, then the end. Returns at
    /// once. Closing twice is no error.
    pub async fn shutdown(&self) {
        self.close();
    }

    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

#[async_trait]
impl EventBus for LocalEventBus {
    async fn publish(&self, event: CollectionEvent) -> Result<(), EventBusError> {
        Self::publish(self, event).await
    }

    async fn publish_with(&self, event: CollectionEvent, tags: CorrelationTags) -> Result<(), EventBusError> {
        Self::publish_with(self, event, tags).await
    }

    async fn publish_batch(&self, events: Vec<CollectionEvent>) -> Result<(), EventBusError> {
        Self::publish_batch(self, events).await
    }

    async fn subscribe(&self, subscription: EventSubscription) -> Result<Subscription, EventBusError> {
        Self::subscribe(self, subscription).await
    }

    async fn unsubscribe(&self, subscriber_id: &str) -> Result<(), EventBusError> {
        Self::unsubscribe(self, subscriber_id).await
    }

    fn statistics(&self) -> EventBusStatistics {
        Self::statistics(self)
    }

    async fn shutdown(&self) {
        Self::shutdown(self).await;
    }
}
