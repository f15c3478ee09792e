//! The queue of one subscriber: bounded, with a policy, counting everything.
//!
//! One lock guards the whole state; it is held for pushing or taking a batch, never across an await or a wake-up. The
//! receiver is unique, so its waker has one slot. Publishers that wait for place (policy `Block`) use `space`.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::filter::Matcher;
use super::loss::{LossLedger, LossReason};
use super::{BusEvent, OverflowPolicy, SubscriberStatistics};
use crate::event::ExecId;

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: String,
    capacity: usize,
    policy: OverflowPolicy,
    matcher: Matcher,
    state: Mutex<State>,
    space: Notify,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<BusEvent>>,
    /// Whether publishers may still push. Never becomes true again.
    open: bool,
    /// The receiver, when it waits.
    waker: Option<Waker>,
    /// A publisher's deadline passed, and nothing has been taken since.
    stalled: bool,
    /// Losses the receiver has not been told of yet.
    untold: LossLedger,
    lost: LossLedger,
    matched: u64,
    filtered_out: u64,
    delivered: u64,
    high_water_mark: usize,
    blocked: Duration,
    /// Where to count from now on as well, once the bus has taken it off its list: what is queued can still be received,
    /// and what a publisher waits with can still be lost.
    former: Option<Arc<Former>>,
}

/// Counters of all subscribers that the bus has taken off its list.
#[derive(Debug, Default)]
pub(super) struct Former {
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// What became of a batch.
pub(super) enum Offer {
    /// Everything is queued or counted as lost.
    Done,
    /// The policy ended the subscription.
    Disconnected,
    /// The policy wants the publisher to wait with the rest.
    Blocked(Blocked),
}

/// Why nothing could be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// Nothing there, but more may come.
    #[error("no event is waiting")]
    Empty,
    /// The bus is closed or the subscription ended, and everything has been received.
    #[error("the subscription has ended")]
    Closed,
}

impl Queue {
    pub(super) fn new(id: String, capacity: usize, policy: OverflowPolicy, matcher: Matcher) -> Self {
        let state = State {
            events: VecDeque::new(),
            open: true,
            waker: None,
            stalled: false,
            untold: LossLedger::default(),
            lost: LossLedger::default(),
            matched: 0,
            filtered_out: 0,
            delivered: 0,
            high_water_mark: 0,
            blocked: Duration::ZERO,
            former: None,
        };
        Self { id, capacity, policy, matcher, state: Mutex::new(state), space: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state consistent at each step, so a poisoned lock is as good as another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what the filter selects, applying the policy where it does not fit.
    pub(super) fn offer(self: &Arc<Self>, batch: &[Arc<BusEvent>]) -> Offer {
        let mut rest = VecDeque::new();
        let mut state = self.lock();
        if !state.open {
            return Offer::Done;
        }
        for event in batch {
            if !self.matcher.matches(event) {
                state.filtered_out += 1;
                continue;
            }
            state.matched += 1;
            if state.events.len() < self.capacity && rest.is_empty() {
                state.push(event);
                continue;
            }
            match self.policy {
                OverflowPolicy::Block { .. } if !state.stalled => rest.push_back(Arc::clone(event)),
                OverflowPolicy::Block { .. } => state.lose(event, LossReason::DeadlineExceeded),
                OverflowPolicy::DropNewest => state.lose(event, LossReason::QueueFull),
                OverflowPolicy::DropOldest => {
                    if let Some(oldest) = state.events.pop_front() {
                        state.lose(&oldest, LossReason::QueueFull);
                    }
                    state.push(event);
                }
                OverflowPolicy::Disconnect => {
                    state.lose(event, LossReason::QueueFull);
                    state.open = false;
                }
            }
        }
        let open = state.open;
        let waker = state.receiver_to_wake();
        drop(state);
        wake(waker);
        if let (OverflowPolicy::Block { deadline }, false) = (self.policy, rest.is_empty()) {
            let queue = Arc::clone(self);
            return Offer::Blocked(Blocked { queue, rest, deadline, since: Instant::now() });
        }
        if open { Offer::Done } else { Offer::Disconnected }
    }

    /// The image whose subtree the filter selects.
    pub(super) fn subtree(&self) -> Option<ExecId> {
        self.matcher.subtree()
    }

    /// Ends the subscription. What is queued can still be received.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        let waker = state.waker.take();
        drop(state);
        wake(waker);
        self.space.notify_waiters();
    }

    /// The receiver is gone: forgets what it did not take.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.open = false;
        let left = std::mem::take(&mut state.events);
        drop(state);
        // Dropped outside of the lock: this may free many events.
        drop(left);
        self.space.notify_waiters();
    }

    /// Takes up to `max` events, reports of losses first.
    pub(super) fn take(&self, out: &mut Vec<Arc<BusEvent>>, max: usize) -> Result<usize, TryRecvError> {
        let mut state = self.lock();
        self.take_locked(&mut state, out, max)
    }

    /// Like [`take`](Self::take), and registers the waker when there is nothing.
    pub(super) fn poll_take(
        &self,
        waiter: &Context<'_>,
        out: &mut Vec<Arc<BusEvent>>,
        max: usize,
    ) -> Poll<Result<usize, TryRecvError>> {
        let mut state = self.lock();
        match self.take_locked(&mut state, out, max) {
            Err(TryRecvError::Empty) => {
                match &mut state.waker {
                    Some(waker) => waker.clone_from(waiter.waker()),
                    slot => *slot = Some(waiter.waker().clone()),
                }
                Poll::Pending
            }
            taken => Poll::Ready(taken),
        }
    }

    fn take_locked(
        &self,
        state: &mut State,
        out: &mut Vec<Arc<BusEvent>>,
        max: usize,
    ) -> Result<usize, TryRecvError> {
        let before = out.len();
        while out.len() - before < max
            && let Some(report) = state.untold.report_next()
        {
            out.push(report);
        }
        let count = state.events.len().min(max - (out.len() - before));
        out.extend(state.events.drain(..count));
        state.delivered += count as u64;
        if let Some(former) = &state.former {
            former.delivered.fetch_add(count as u64, Ordering::Relaxed);
        }
        if count > 0 {
            state.stalled = false;
            if matches!(self.policy, OverflowPolicy::Block { .. }) {
                // Publishers register before they look at the queue, so none misses this.
                self.space.notify_waiters();
            }
        }
        match out.len() - before {
            0 if max == 0 => Ok(0),
            0 if state.open => Err(TryRecvError::Empty),
            0 => Err(TryRecvError::Closed),
            taken => Ok(taken),
        }
    }

    /// Adds its counters to those of former subscribers, now and in future. To be called once.
    pub(super) fn retire(&self, former: &Arc<Former>) {
        let mut state = self.lock();
        former.delivered.fetch_add(state.delivered, Ordering::Relaxed);
        former.dropped.fetch_add(state.lost.total(), Ordering::Relaxed);
        state.former = Some(Arc::clone(former));
    }

    pub(super) fn statistics(&self) -> SubscriberStatistics {
        let state = self.lock();
        SubscriberStatistics {
            id: self.id.clone(),
            matched: state.matched,
            filtered_out: state.filtered_out,
            delivered: state.delivered,
            dropped: state.lost.total(),
            dropped_by_kind: state.lost.by_kind(),
            dropped_by_reason: state.lost.by_reason(),
            queued: state.events.len(),
            capacity: self.capacity,
            high_water_mark: state.high_water_mark,
            blocked_ns: u64::try_from(state.blocked.as_nanos()).unwrap_or(u64::MAX),
            stalled: state.stalled,
        }
    }
}

impl State {
    fn push(&mut self, event: &Arc<BusEvent>) {
        self.events.push_back(Arc::clone(event));
        self.high_water_mark = self.high_water_mark.max(self.events.len());
    }

    fn lose(&mut self, event: &BusEvent, reason: LossReason) {
        self.lost.add(event.kind, reason);
        self.untold.add(event.kind, reason);
        if let Some(former) = &self.former {
            former.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The receiver's waker, if it waits and there is something for it.
    fn receiver_to_wake(&mut self) -> Option<Waker> {
        if self.events.is_empty() && self.untold.is_empty() && self.open { None } else { self.waker.take() }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The part of a batch that waits for place. Dropping it counts what is left as lost.
pub(super) struct Blocked {
    queue: Arc<Queue>,
    rest: VecDeque<Arc<BusEvent>>,
    deadline: Duration,
    since: Instant,
}

impl Blocked {
    /// Queues the rest as place comes free, until the deadline.
    pub(super) async fn deliver(mut self) {
        let queue = Arc::clone(&self.queue);
        let mut deadline = pin!(tokio::time::sleep(self.deadline));
        loop {
            let mut space = pin!(queue.space.notified());
            // Registered before looking, so that place made in between is not missed.
            space.as_mut().enable();
            if self.push() {
                return;
            }
            tokio::select! {
                () = space => {}
                () = &mut deadline => {
                    self.push();
                    self.give_up(LossReason::DeadlineExceeded);
                    return;
                }
            }
        }
    }

    /// Queues what fits; true when nothing more is to be done.
    fn push(&mut self) -> bool {
        let mut state = self.queue.lock();
        if !state.open {
            drop(state);
            self.give_up(LossReason::SubscriptionEnded);
            return true;
        }
        while state.events.len() < self.queue.capacity
            && let Some(event) = self.rest.pop_front()
        {
            state.push(&event);
        }
        let waker = state.receiver_to_wake();
        drop(state);
        wake(waker);
        self.rest.is_empty()
    }

    fn give_up(&mut self, reason: LossReason) {
        let mut state = self.queue.lock();
        if reason == LossReason::DeadlineExceeded && !self.rest.is_empty() {
            state.stalled = true;
        }
        for event in self.rest.drain(..) {
            state.lose(&event, reason);
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.give_up(LossReason::PublishCancelled);
        self.queue.lock().blocked += self.since.elapsed();
    }
}
