//! Looking at intervals, or early when somebody asks, until the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use collector_core::monitor::{MonitorCollectorConfig, MonitorCollectorStats};
use collector_core::{CollectionEvent, Subscription};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::procmond::MonitorHandle;
use crate::session::lock;

/// Longest time until the shutdown signal is seen: it is a flag that wakes nobody.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(250);

/// Shortest time between two looks that events cause.
const EVENT_GAP: Duration = Duration::from_secs(1);

/// Something that looks and says what it found.
pub(crate) trait Eye: Send + 'static {
    /// What it finds.
    type Found: Send + 'static;

    /// Looks. May block: it is called on a thread for that.
    ///
    /// # Errors
    /// Why nothing could be seen.
    fn look(&mut self) -> io::Result<Vec<Self::Found>>;
}

/// What makes a source look early.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    asked: Arc<Notify>,
    events: Mutex<Option<Subscription>>,
}

impl Wake {
    pub(crate) fn listen_to(&self, events: Subscription) {
        *lock(&self.events) = Some(events);
    }
}

/// What a polling source consists of besides its eye.
#[derive(Debug)]
pub(crate) struct Polling<E> {
    /// Absent while it looks. An eye that never comes back from a look is lost.
    eye: Mutex<Option<E>>,
    pub(crate) source: &'static str,
    pub(crate) config: MonitorCollectorConfig,
    pub(crate) wake: Wake,
    pub(crate) stats: Arc<MonitorCollectorStats>,
}

impl<E: Eye> Polling<E> {
    pub(crate) fn new(
        eye: E,
        source: &'static str,
        config: MonitorCollectorConfig,
        stats: Arc<MonitorCollectorStats>,
    ) -> Self {
        Self { eye: Mutex::new(Some(eye)), source, config, wake: Wake::default(), stats }
    }

    /// Prepares the eye, before it looks for the first time.
    pub(crate) fn with_eye(&self, prepare: impl FnOnce(&mut E)) {
        if let Some(eye) = &mut *lock(&self.eye) {
            prepare(eye);
        }
    }

    pub(crate) fn handle(&self) -> MonitorHandle {
        MonitorHandle {
            source: self.source,
            stats: Arc::clone(&self.stats),
            asked: Arc::clone(&self.wake.asked),
        }
    }

    /// Looks until the end and hands what was found to `found`, which holds up the next look while it is full.
    ///
    /// # Errors
    /// When there is nothing to look with.
    pub(crate) async fn run(
        &self,
        found: &mpsc::Sender<Vec<E::Found>>,
        shutdown: &AtomicBool,
    ) -> anyhow::Result<()> {
        let mut events = lock(&self.wake.events).take();
        let result = self.look_until(found, shutdown, &mut events).await;
        if let Some(events) = events {
            self.wake.listen_to(events);
        }
        result
    }

    async fn look_until(
        &self,
        found: &mpsc::Sender<Vec<E::Found>>,
        shutdown: &AtomicBool,
        events: &mut Option<Subscription>,
    ) -> anyhow::Result<()> {
        loop {
            let begin = Instant::now();
            let Some(batch) = until_end(shutdown, self.look()).await else { return Ok(()) };
            let batch = batch?;
            let count = batch.len();
            match until_end(shutdown, found.send(batch)).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return Ok(()),
                None => {
                    MonitorCollectorStats::add(&self.stats.events_abandoned, count);
                    return Ok(());
                }
            }
            let wait = async {
                tokio::select! {
                    () = sleep_until(begin + self.config.collection_interval) => false,
                    () = self.wake.asked.notified() => true,
                    () = self.told(events) => {
                        sleep_until(begin + EVENT_GAP).await;
                        true
                    }
                    () = found.closed() => false,
                }
            };
            let Some(is_early) = until_end(shutdown, wait).await else { return Ok(()) };
            if found.is_closed() {
                return Ok(());
            }
            MonitorCollectorStats::add(&self.stats.early_cycles, usize::from(is_early));
        }
    }

    /// One look on a thread that may block. A look that fails gives nothing and is counted.
    async fn look(&self) -> anyhow::Result<Vec<E::Found>> {
        let mut eye = lock(&self.eye)
            .take()
            .context("started twice, or the last look has not come back: a file in /proc does not answer")?;
        let begin = std::time::Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            let result = eye.look();
            (eye, result)
        });
        let (eye, result) = looked.await.context("the look panicked")?;
        *lock(&self.eye) = Some(eye);
        let stats = &self.stats;
        MonitorCollectorStats::add(&stats.collection_cycles, 1);
        MonitorCollectorStats::add(&stats.cycle_time_ns, begin.elapsed().as_nanos() as usize);
        Ok(match result {
            Ok(found) => {
                MonitorCollectorStats::set(&stats.failing_looks, 0);
                MonitorCollectorStats::add(&stats.lifecycle_events, found.len());
                found
            }
            Err(error) => {
                MonitorCollectorStats::add(&stats.collection_errors, 1);
                MonitorCollectorStats::add(&stats.failing_looks, 1);
                tracing::warn!(source = self.source, %error, "look failed");
                Vec::new()
            }
        })
    }

    /// Returns when an event says that something has changed. Never, where events do not count.
    async fn told(&self, events: &mut Option<Subscription>) {
        while self.config.enable_event_driven
            && let Some(subscription) = events
        {
            match subscription.recv().await {
                Some(event) if is_hint(&event.event, self.source) => return,
                Some(_) => {}
                None => *events = None,
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Whether an event of somebody else says that something has changed that polling would see.
fn is_hint(event: &CollectionEvent, own: &str) -> bool {
    let is_change = match event {
        CollectionEvent::Process(event) => event.kind != collector_core::ProcessEventKind::Snapshot,
        CollectionEvent::Network(_) => true,
        _ => false,
    };
    is_change && event.meta().is_none_or(|meta| meta.source != own)
}

/// What the future gives, or `None` once the end is wished for.
pub(crate) async fn until_end<T>(shutdown: &AtomicBool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    loop {
        if shutdown.load(Ordering::Relaxed) {
            return None;
        }
        tokio::select! {
            output = &mut future => return Some(output),
            () = sleep(SHUTDOWN_CHECK) => {}
        }
    }
}

/// Hands events over, waiting for the collector where it is behind. Says whether there still is one.
pub(crate) async fn send_all(
    tx: &mpsc::Sender<CollectionEvent>,
    events: impl IntoIterator<Item = CollectionEvent>,
    stats: &MonitorCollectorStats,
) -> bool {
    for event in events {
        let sent = match tx.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(event)) => {
                MonitorCollectorStats::add(&stats.backpressure_events, 1);
                tx.send(event).await.is_ok()
            }
        };
        if !sent {
            return false;
        }
        MonitorCollectorStats::add(&stats.events_sent, 1);
        stats.events_in_flight.fetch_sub(1, Ordering::Relaxed);
    }
    true
}
