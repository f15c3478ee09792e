//! Subscribing and receiving.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::queue::{Queue, TryRecvError};
use super::shared::Shared;
use super::{BusEvent, EventFilter, OverflowPolicy};

/// What a subscriber wants. An [`EventFilter`] alone is enough; id, capacity and policy then come from the bus.
///
/// ```
/// use collector_core::{EventFilter, EventSubscription, OverflowPolicy};
/// use std::time::Duration;
///
/// let store = EventSubscription::new("store")
///     .with_capacity(50_000)
///     .with_overflow(OverflowPolicy::Block { deadline: Duration::from_secs(1) });
/// let processes = EventSubscription::from(EventFilter::new().with_event_type("process"));
/// # let _ = (store, processes);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSubscription {
    /// Names the subscriber in statistics; unique on its bus. Empty: the bus gives it one (`subscriber-1`…).
    pub subscriber_id: String,
    /// Which events it gets.
    pub filter: EventFilter,
    /// Most events that may wait for it; at least 1. `None`: the bus's `buffer_size`.
    pub capacity: Option<usize>,
    /// What happens when they are more. `None`: the bus's `overflow`.
    pub overflow: Option<OverflowPolicy>,
}

impl EventSubscription {
    /// A subscription to everything.
    #[must_use]
    pub fn new(subscriber_id: impl Into<String>) -> Self {
        Self { subscriber_id: subscriber_id.into(), ..Self::default() }
    }

    /// Sets [`filter`](Self::filter).
    #[must_use]
    pub fn with_filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets [`capacity`](Self::capacity), in events.
    #[must_use]
    pub const fn with_capacity(mut self, events: usize) -> Self {
        self.capacity = Some(events);
        self
    }

    /// Sets [`overflow`](Self::overflow).
    #[must_use]
    pub const fn with_overflow(mut self, policy: OverflowPolicy) -> Self {
        self.overflow = Some(policy);
        self
    }
}

impl From<EventFilter> for EventSubscription {
    fn from(filter: EventFilter) -> Self {
        Self { filter, ..Self::default() }
    }
}

/// The receiving end of a subscription. Dropping it unsubscribes.
///
/// After the end (bus closed, [`unsubscribe`](super::LocalEventBus::unsubscribe), policy `Disconnect`) what is queued can
/// still be received. When events were lost on the way to this subscriber, the next thing it receives is a
/// [`LossEvent`](crate::LossEvent) for each kind and reason: domain `subscriber`, [`BusEvent::id`] 0.
pub struct Subscription {
    queue: Arc<Queue>,
    bus: Weak<Shared>,
    one: Vec<Arc<BusEvent>>,
}

impl Subscription {
    pub(super) const fn new(queue: Arc<Queue>, bus: Weak<Shared>) -> Self {
        Self { queue, bus, one: Vec::new() }
    }

    /// Its id on the bus.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.queue.id
    }

    /// The next event; `None` after the end. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Arc<BusEvent>> {
        let Self { queue, one, .. } = self;
        // A result is one of: an event, or closed. `one` never keeps an event between calls.
        let _closed_leaves_it_empty = poll_fn(|waiter| poll_take(queue, waiter, one, 1)).await;
        one.pop()
    }

    /// Waits for at least one event, appends up to `max` to `out` and returns how many; 0 after the end (or for `max` 0).
    /// Cancel-safe. Cheaper per event than [`recv`](Self::recv).
    pub async fn recv_many(&mut self, out: &mut Vec<Arc<BusEvent>>, max: usize) -> usize {
        poll_fn(|waiter| poll_take(&self.queue, waiter, out, max)).await.unwrap_or(0)
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] or [`TryRecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<Arc<BusEvent>, TryRecvError> {
        self.queue.take(&mut self.one, 1)?;
        self.one.pop().ok_or(TryRecvError::Empty)
    }

    /// Like [`recv_many`](Self::recv_many) for a subscriber with a thread of its own: blocks it up to `timeout`. Not to be
    /// called from async code.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when `timeout` is over, [`TryRecvError::Closed`] after the end.
    pub fn recv_blocking_many(
        &mut self,
        out: &mut Vec<Arc<BusEvent>>,
        max: usize,
        timeout: Duration,
    ) -> Result<usize, TryRecvError> {
        match self.queue.take(out, max) {
            Err(TryRecvError::Empty) => {}
            taken => return taken,
        }
        let start = Instant::now();
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if let Poll::Ready(taken) = self.queue.poll_take(&Context::from_waker(&waker), out, max) {
                return taken;
            }
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(TryRecvError::Empty);
            };
            std::thread::park_timeout(left);
        }
    }
}

/// Takes within tokio's cooperative budget, so that a full queue does not keep a task from ever yielding.
fn poll_take(
    queue: &Queue,
    waiter: &mut Context<'_>,
    out: &mut Vec<Arc<BusEvent>>,
    max: usize,
) -> Poll<Result<usize, TryRecvError>> {
    let budget = ready!(tokio::task::coop::poll_proceed(waiter));
    let taken = queue.poll_take(waiter, out, max);
    if taken.is_ready() {
        budget.made_progress();
    }
    taken
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(bus) = self.bus.upgrade() {
            bus.remove(&self.queue);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.queue.id).finish_non_exhaustive()
    }
}

/// Wakes a thread that is parked for an event.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
