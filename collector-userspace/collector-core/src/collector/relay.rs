//! A pump that runs on its source's thread, and on the run's when that thread does not let it.
//!
//! Handing events over on the thread that made them saves a wake-up per batch, which costs more than the batch. But a source
//! may block its thread, and what it sent before must go out all the same. So the pump's future is shared: the source's
//! thread polls it at home, and a stand-by in the run takes it over for good once home has gone or does not poll it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::lane::Lane;
use super::pump::PumpOrder;
use crate::event::CollectionEvent;

/// How often the stand-by looks whether events wait and home does not poll. Two to three of these is how late the events of
/// a source that blocks its thread may be.
const LOOK: Duration = Duration::from_millis(250);

type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The pump, wherever it is polled. Whoever polls it last is woken next, so home must not poll it any more once the stand-by has
/// taken it over: home can go at any moment, and nobody would be woken then.
#[derive(Clone)]
pub(super) struct Relay {
    shared: Arc<Shared>,
}

struct Shared {
    pump: Mutex<Option<Pump>>,
    /// The run's runtime. The pump's timers belong to it wherever the pump is polled: it outlives the source's, and nothing a
    /// source does keeps it from turning.
    runtime: Handle,
    /// The stand-by has it, for good. Set and asked under the lock of the pump.
    taken_over: AtomicBool,
    /// Times home has polled, without end.
    polled_at_home: AtomicU64,
    /// Asks home to poll once.
    nudge: Notify,
    /// Home has gone, or the pump has ended there.
    left: Notify,
}

impl Relay {
    /// To be called on the run's runtime.
    pub(super) fn new(pump: impl Future<Output = ()> + Send + 'static) -> Self {
        let shared = Shared {
            pump: Mutex::new(Some(Box::pin(pump))),
            runtime: Handle::current(),
            taken_over: AtomicBool::new(false),
            polled_at_home: AtomicU64::new(0),
            nudge: Notify::new(),
            left: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs the pump on the source's thread. Dropping this, finished or not, leaves the rest to the stand-by.
    pub(super) fn at_home(self) -> impl Future<Output = ()> + Send {
        // Made before the first poll: a task that is never polled is dropped as well.
        let leaving = Leaving(self.clone());
        async move {
            let _leaving = leaving;
            loop {
                let pump = poll_fn(|context| {
                    self.shared.polled_at_home.fetch_add(1, Ordering::Relaxed);
                    self.poll(context, Place::Home)
                });
                tokio::select! {
                    () = pump => return,
                    () = self.shared.nudge.notified() => {}
                }
            }
        }
    }

    /// Waits for the end of the pump, taking it over where that is needed: when home has gone, when events wait and home has
    /// not polled, not even when asked to, and when there is an order, which a blocked home would not see. The looks of all
    /// who stand by since the same moment fall together, and so do their wake-ups.
    pub(super) async fn stand_by(
        self,
        lane: Arc<Lane>,
        events: mpsc::WeakSender<CollectionEvent>,
        mut orders: watch::Receiver<PumpOrder>,
        since: Instant,
    ) {
        let mut looks = interval_at(since + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let polled = || self.shared.polled_at_home.load(Ordering::Relaxed);
        let mut before = polled();
        let mut is_asked = false;
        loop {
            tokio::select! {
                () = self.shared.left.notified() => break,
                // An error means that the run has gone, which is an order as well.
                _ = orders.changed() => break,
                _ = looks.tick() => {}
            }
            let queued = events.upgrade().is_some_and(|events| events.capacity() < events.max_capacity());
            let taken = lane.received.load(Ordering::Relaxed) > lane.published.load(Ordering::Relaxed);
            let last = std::mem::replace(&mut before, polled());
            if last != before || !(queued || taken) {
                is_asked = false;
            } else if is_asked {
                break;
            } else {
                // It may only wait for a subscriber. Then it answers.
                is_asked = true;
                self.shared.nudge.notify_one();
            }
        }
        poll_fn(|context| self.poll(context, Place::StandBy)).await;
    }

    fn poll(&self, context: &mut Context<'_>, place: Place) -> Poll<()> {
        let mut pump = self.shared.pump.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Place::StandBy => self.shared.taken_over.store(true, Ordering::Relaxed),
            Place::Home if self.shared.taken_over.load(Ordering::Relaxed) => return Poll::Ready(()),
            Place::Home => {}
        }
        let Some(future) = &mut *pump else { return Poll::Ready(()) };
        let _on_the_runs_runtime = self.shared.runtime.enter();
        let poll = future.as_mut().poll(context);
        if poll.is_ready() {
            *pump = None;
        }
        poll
    }
}

/// Who polls.
#[derive(Clone, Copy)]
enum Place {
    Home,
    StandBy,
}

/// Tells the stand-by when it is dropped.
struct Leaving(Relay);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.shared.left.notify_one();
    }
}
