//! The bus inside one process.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Poll;
use std::time::Instant;

use async_trait::async_trait;

use super::queue::{Blocked, Offer, Queue};
use super::{
    BusEvent, EventBus, EventBusConfig, EventBusError, EventBusStatistics, EventSubscription, Subscription,
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

/// What the handles of a bus share.
#[derive(Debug)]
pub(super) struct Shared {
    config: EventBusConfig,
    since: Instant,
    next_id: AtomicU64,
    registry: RwLock<Registry>,
}

#[derive(Debug)]
struct Registry {
    phase: Phase,
    queues: Vec<Arc<Queue>>,
    next_name: u64,
    /// Counters of subscribers that have left.
    delivered: u64,
    dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Created,
    Running,
    Closed,
}

impl Phase {
    /// Whether events can be published.
    const fn check(self) -> Result<(), EventBusError> {
        match self {
            Self::Created => Err(EventBusError::NotStarted),
            Self::Running => Ok(()),
            Self::Closed => Err(EventBusError::Closed),
        }
    }
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
        let registry = Registry { phase, queues: Vec::new(), next_name: 1, delivered: 0, dropped: 0 };
        let shared = Shared {
            config,
            since: Instant::now(),
            next_id: AtomicU64::new(1),
            registry: RwLock::new(registry),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Opens the bus for publishers. Starting twice is no error.
    ///
    /// # Errors
    /// [`EventBusError::Closed`] after [`shutdown`](Self::shutdown).
    pub async fn start(&self) -> Result<(), EventBusError> {
        let mut registry = self.shared.write();
        if registry.phase == Phase::Closed {
            return Err(EventBusError::Closed);
        }
        registry.phase = Phase::Running;
        Ok(())
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
        if !self.shared.admit(1)? {
            return Ok(());
        }
        let blocked = {
            let event = Arc::new(self.shared.number(event));
            self.shared.offer(std::slice::from_ref(&event))?
        };
        deliver_all(blocked).await;
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
            let mut batch = Vec::with_capacity(events.size_hint().0);
            batch.extend(events.map(|event| Arc::new(self.shared.number(event))));
            self.shared.offer(&batch)?
        };
        deliver_all(blocked).await;
        Ok(())
    }

    /// Subscribes; an [`EventFilter`](super::EventFilter) is enough. Only events published from now on are received.
    ///
    /// # Errors
    /// [`EventBusError::Closed`], [`TooManySubscribers`](EventBusError::TooManySubscribers),
    /// [`DuplicateSubscriber`](EventBusError::DuplicateSubscriber), [`ZeroCapacity`](EventBusError::ZeroCapacity) or
    /// [`UnknownEventType`](EventBusError::UnknownEventType).
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
        let queue = self.shared.read().queues.iter().find(|queue| queue.id == subscriber_id).cloned();
        let queue = queue.ok_or_else(|| EventBusError::UnknownSubscriber { id: subscriber_id.to_owned() })?;
        self.shared.remove(&queue);
        queue.close();
        Ok(())
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> EventBusStatistics {
        let registry = self.shared.read();
        let mut statistics = EventBusStatistics {
            events_published: self.shared.next_id.load(Ordering::Relaxed) - 1,
            events_delivered: registry.delivered,
            events_dropped: registry.dropped,
            active_subscribers: registry.queues.len(),
            uptime: self.shared.since.elapsed(),
            subscribers: registry.queues.iter().map(|queue| queue.statistics()).collect(),
        };
        for subscriber in &statistics.subscribers {
            statistics.events_delivered += subscriber.delivered;
            statistics.events_dropped += subscriber.dropped;
        }
        statistics
    }

    /// Closes the bus: nothing can be published any more; subscribers receive what is queued, then the end. Returns at
    /// once. Closing twice is no error.
    pub async fn shutdown(&self) {
        self.close();
    }

    pub(crate) fn close(&self) {
        let mut registry = self.shared.write();
        registry.phase = Phase::Closed;
        let queues = registry.queues.clone();
        drop(registry);
        for queue in queues {
            queue.close();
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, event: CollectionEvent) -> BusEvent {
        BusEvent::new(self.next_id.fetch_add(1, Ordering::Relaxed), event)
    }

    /// Whether events can be published and anybody is there; if nobody is, counts them as published.
    fn admit(&self, count: u64) -> Result<bool, EventBusError> {
        let registry = self.read();
        registry.phase.check()?;
        let anybody = !registry.queues.is_empty();
        if !anybody {
            self.next_id.fetch_add(count, Ordering::Relaxed);
        }
        Ok(anybody)
    }

    /// The part of publishing that never waits. The registry stays locked for reading meanwhile, so that an event either
    /// reaches the queues before the bus closes or is refused.
    fn offer(&self, batch: &[Arc<BusEvent>]) -> Result<Vec<Blocked>, EventBusError> {
        let mut blocked = Vec::new();
        let mut disconnected = Vec::new();
        let registry = self.read();
        registry.phase.check()?;
        for queue in &registry.queues {
            match queue.offer(batch) {
                Offer::Done => {}
                Offer::Disconnected => disconnected.push(Arc::clone(queue)),
                Offer::Blocked(rest) => blocked.push(rest),
            }
        }
        drop(registry);
        for queue in disconnected {
            tracing::warn!(subscriber = queue.id, "subscriber was too slow and is disconnected");
            self.remove(&queue);
        }
        Ok(blocked)
    }

    fn subscribe(self: &Arc<Self>, wanted: EventSubscription) -> Result<Subscription, EventBusError> {
        let EventSubscription { mut subscriber_id, filter, capacity, overflow } = wanted;
        let matcher = filter.compile()?;
        let capacity = capacity.unwrap_or(self.config.buffer_size);
        let mut registry = self.write();
        if registry.phase == Phase::Closed {
            return Err(EventBusError::Closed);
        }
        let limit = self.config.max_subscribers;
        if registry.queues.len() >= limit {
            return Err(EventBusError::TooManySubscribers { limit });
        }
        while subscriber_id.is_empty() {
            let name = format!("subscriber-{}", registry.next_name);
            registry.next_name += 1;
            if !registry.has(&name) {
                subscriber_id = name;
            }
        }
        if registry.has(&subscriber_id) {
            return Err(EventBusError::DuplicateSubscriber { id: subscriber_id });
        }
        if capacity == 0 {
            return Err(EventBusError::ZeroCapacity { id: subscriber_id });
        }
        let policy = overflow.unwrap_or(self.config.overflow);
        let queue = Arc::new(Queue::new(subscriber_id, capacity, policy, matcher));
        registry.queues.push(Arc::clone(&queue));
        Ok(Subscription::new(queue, Arc::downgrade(self)))
    }

    /// Takes a subscriber off the list, if it still is on it, and keeps its counts.
    pub(super) fn remove(&self, queue: &Arc<Queue>) {
        let mut registry = self.write();
        if let Some(index) = registry.queues.iter().position(|other| Arc::ptr_eq(other, queue)) {
            registry.queues.remove(index);
            let (delivered, dropped) = queue.totals();
            registry.delivered += delivered;
            registry.dropped += dropped;
        }
    }
}

impl Registry {
    fn has(&self, id: &str) -> bool {
        self.queues.iter().any(|queue| queue.id == id)
    }
}

impl Drop for Shared {
    /// Without a publisher left the subscribers must not wait for ever.
    fn drop(&mut self) {
        for queue in &self.registry.get_mut().unwrap_or_else(PoisonError::into_inner).queues {
            queue.close();
        }
    }
}

/// Waits for all blocked subscribers at the same time, so that one does not delay another.
async fn deliver_all(blocked: Vec<Blocked>) {
    if blocked.is_empty() {
        return;
    }
    let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::with_capacity(blocked.len());
    for rest in blocked {
        waits.push(Box::pin(rest.deliver()));
    }
    poll_fn(|context| {
        waits.retain_mut(|wait| wait.as_mut().poll(context).is_pending());
        if waits.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[async_trait]
impl EventBus for LocalEventBus {
    async fn publish(&self, event: CollectionEvent) -> Result<(), EventBusError> {
        Self::publish(self, event).await
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
