//! A pump that runs on its source's thread, and on the run's when that thread does not let it.
//!
//! Handing events over on the thread that made them saves a wake-up per batch, which costs more than the batch. But a source
//! may block its thread, and what it sent before must go out all the same. So the pump's future is shared: the source's
//! thread polls it at home, and a stand-by in the run takes it over for good once home has gone or nothing moves there.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::lane::Lane;
use crate::event::CollectionEvent;

/// How often the stand-by looks whether events wait and nothing moves. One to two of these is how late the events of a
/// source that blocks its thread may be.
const LOOK: Duration = Duration::from_millis(250);

type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The pump, wherever it is polled. Whoever polls it last is woken next.
#[derive(Clone)]
pub(super) struct Relay {
    pump: Arc<Mutex<Option<Pump>>>,
    /// Home has gone, or the pump has ended there.
    left: Arc<Notify>,
}

impl Relay {
    pub(super) fn new(pump: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { pump: Arc::new(Mutex::new(Some(Box::pin(pump)))), left: Arc::default() }
    }

    /// Runs the pump on the source's thread. Dropping this, finished or not, leaves the rest to the stand-by.
    pub(super) fn at_home(self) -> impl Future<Output = ()> + Send {
        // Made before the first poll: a task that is never polled is dropped as well.
        let leaving = Leaving(Arc::clone(&self.left));
        async move {
            let _leaving = leaving;
            poll_fn(|context| self.poll(context)).await;
        }
    }

    /// Waits for the end of the pump, taking it over where that is needed. The looks of all who stand by since the same
    /// moment fall together, and so do their wake-ups.
    pub(super) async fn stand_by(
        self,
        lane: Arc<Lane>,
        events: mpsc::WeakSender<CollectionEvent>,
        since: Instant,
    ) {
        let mut looks = interval_at(since + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut received = lane.received.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                () = self.left.notified() => break,
                _ = looks.tick() => {}
            }
            let before = std::mem::replace(&mut received, lane.received.load(Ordering::Relaxed));
            let waiting = events.upgrade().is_some_and(|events| events.capacity() < events.max_capacity());
            if waiting && before == received {
                break;
            }
        }
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut pump = self.pump.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = &mut *pump else { return Poll::Ready(()) };
        let poll = future.as_mut().poll(context);
        if poll.is_ready() {
            *pump = None;
        }
        poll
    }
}

/// Tells the stand-by when it is dropped.
struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
