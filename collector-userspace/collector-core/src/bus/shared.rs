//! What the handles of a bus share: the subscribers, and the part of publishing that never waits.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Poll;
use std::time::Instant;

use super::ancestry::Ancestry;
use super::queue::{Blocked, Former, Offer, Queue};
use super::{
    AncestryMode, BusEvent, CorrelationTags, EventBusConfig, EventBusError, EventBusStatistics,
    EventSubscription, Subscription,
};
use crate::event::{CollectionEvent, KindIndex, TOPICS};

/// What the handles of a bus share.
#[derive(Debug)]
pub(super) struct Shared {
    config: EventBusConfig,
    since: Instant,
    next_id: AtomicU64,
    /// Events published, by kind.
    published: [AtomicU64; KINDS],
    registry: RwLock<Registry>,
    former: Arc<Former>,
    /// Locked after the registry, never before.
    ancestry: Mutex<Ancestry>,
}

/// How many kinds of events there are.
const KINDS: usize = TOPICS.len();

#[derive(Debug)]
struct Registry {
    phase: Phase,
    queues: Vec<Arc<Queue>>,
    next_name: u64,
    /// Whether the index of processes is kept.
    remembers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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

impl Shared {
    pub(super) fn new(config: EventBusConfig, phase: Phase) -> Self {
        let remembers = config.ancestry == AncestryMode::Always;
        let registry = Registry { phase, queues: Vec::new(), next_name: 1, remembers };
        Self {
            since: Instant::now(),
            next_id: AtomicU64::new(1),
            published: std::array::from_fn(|_| AtomicU64::new(0)),
            registry: RwLock::new(registry),
            former: Arc::default(),
            ancestry: Mutex::new(Ancestry::new(config.ancestry_capacity)),
            config,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ancestry(&self) -> MutexGuard<'_, Ancestry> {
        self.ancestry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the bus for publishers.
    pub(super) fn start(&self) -> Result<(), EventBusError> {
        let mut registry = self.write();
        if registry.phase == Phase::Closed {
            return Err(EventBusError::Closed);
        }
        registry.phase = Phase::Running;
        Ok(())
    }

    /// Closes the bus; what is queued stays.
    pub(super) fn close(&self) {
        let mut registry = self.write();
        registry.phase = Phase::Closed;
        let queues = registry.queues.clone();
        drop(registry);
        for queue in queues {
            queue.close();
        }
    }

    #[inline]
    pub(super) fn number(&self, event: CollectionEvent, tags: CorrelationTags) -> BusEvent {
        BusEvent::with_tags(self.next_id.fetch_add(1, Ordering::Relaxed), event, tags)
    }

    /// Publishes one event, as far as that is possible without waiting. If nobody is there it is only counted.
    // Inlined, because an event is large and each call moves it once more.
    #[inline]
    pub(super) fn publish(
        &self,
        event: CollectionEvent,
        tags: CorrelationTags,
    ) -> Result<Vec<Blocked>, EventBusError> {
        let registry = self.read();
        registry.phase.check()?;
        if registry.is_nobody_there() {
            self.count_unheard(&event);
            return Ok(Vec::new());
        }
        let mut event = Arc::new(self.number(event, tags));
        Ok(self.offer(registry, std::slice::from_mut(&mut event)))
    }

    /// Whether an event would only be counted at the moment; not an answer for later.
    pub(super) fn is_nobody_there(&self) -> Result<bool, EventBusError> {
        let registry = self.read();
        registry.phase.check()?;
        Ok(registry.is_nobody_there())
    }

    /// Publishes an event to nobody.
    pub(super) fn count_unheard(&self, event: &CollectionEvent) {
        self.next_id.fetch_add(1, Ordering::Relaxed);
        self.count(KindIndex::of(event), 1);
    }

    /// Publishes events of which nobody else has a handle yet, as far as that is possible without waiting.
    pub(super) fn publish_batch(&self, batch: &mut [Arc<BusEvent>]) -> Result<Vec<Blocked>, EventBusError> {
        let registry = self.read();
        registry.phase.check()?;
        Ok(self.offer(registry, batch))
    }

    /// The registry stays locked for reading until everybody has the batch, so that an event either reaches the queues
    /// before the bus closes or is refused, and so that the subtrees found here mean the same when the queues ask.
    fn offer(&self, registry: RwLockReadGuard<'_, Registry>, batch: &mut [Arc<BusEvent>]) -> Vec<Blocked> {
        for run in batch.chunk_by(|a, b| a.kind == b.kind) {
            if let Some(first) = run.first() {
                self.count(first.kind, run.len() as u64);
            }
        }
        if registry.remembers {
            let mut ancestry = self.ancestry();
            for event in batch.iter_mut().filter_map(Arc::get_mut) {
                ancestry.observe(event);
            }
        }
        let mut blocked = Vec::new();
        let mut disconnected = Vec::new();
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
        blocked
    }

    fn count(&self, kind: KindIndex, events: u64) {
        if let Some(counter) = self.published.get(kind.index()) {
            counter.fetch_add(events, Ordering::Relaxed);
        }
    }

    pub(super) fn statistics(&self) -> EventBusStatistics {
        let registry = self.read();
        let counts = self.published.iter().map(|counter| counter.load(Ordering::Relaxed));
        let by_topic = TOPICS.iter().copied().zip(counts).filter(|(_, count)| *count > 0);
        let published_by_topic: BTreeMap<_, _> = by_topic.collect();
        let mut statistics = EventBusStatistics {
            events_published: published_by_topic.values().sum(),
            published_by_topic,
            events_delivered: self.former.delivered.load(Ordering::Relaxed),
            events_dropped: self.former.dropped.load(Ordering::Relaxed),
            active_subscribers: registry.queues.len(),
            uptime: self.since.elapsed(),
            ancestry: self.ancestry().statistics(),
            subscribers: registry.queues.iter().map(|queue| queue.statistics()).collect(),
        };
        for subscriber in &statistics.subscribers {
            statistics.events_delivered += subscriber.delivered;
            statistics.events_dropped += subscriber.dropped;
        }
        statistics
    }

    pub(super) fn subscribe(
        self: &Arc<Self>,
        wanted: EventSubscription,
    ) -> Result<Subscription, EventBusError> {
        let EventSubscription { mut subscriber_id, filter, capacity, overflow } = wanted;
        let mut matcher = filter.compile()?;
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
        if let Some(root) = matcher.subtree() {
            matcher.set_subtree_bit(self.ancestry().register(root)?);
            registry.remembers = true;
        }
        let policy = overflow.unwrap_or(self.config.overflow);
        let queue = Arc::new(Queue::new(subscriber_id, capacity, policy, matcher));
        registry.queues.push(Arc::clone(&queue));
        Ok(Subscription::new(queue, Arc::downgrade(self)))
    }

    /// Ends a subscription from the bus's side.
    pub(super) fn unsubscribe(&self, subscriber_id: &str) -> Result<(), EventBusError> {
        let queue = self.read().queues.iter().find(|queue| queue.id == subscriber_id).cloned();
        let queue = queue.ok_or_else(|| EventBusError::UnknownSubscriber { id: subscriber_id.to_owned() })?;
        self.remove(&queue);
        queue.close();
        Ok(())
    }

    /// Takes a subscriber off the list, if it still is on it, and keeps its counts.
    pub(super) fn remove(&self, queue: &Arc<Queue>) {
        let mut registry = self.write();
        if let Some(index) = registry.queues.iter().position(|other| Arc::ptr_eq(other, queue)) {
            registry.queues.remove(index);
            queue.retire(&self.former);
            if let Some(root) = queue.subtree() {
                let mut ancestry = self.ancestry();
                ancestry.unregister(root);
                if !ancestry.is_wanted() && self.config.ancestry == AncestryMode::OnDemand {
                    ancestry.clear();
                    registry.remembers = false;
                }
            }
        }
    }
}

impl Registry {
    /// Whether nobody needs the events.
    const fn is_nobody_there(&self) -> bool {
        self.queues.is_empty() && !self.remembers
    }

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
pub(super) async fn deliver_all(blocked: Vec<Blocked>) {
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
