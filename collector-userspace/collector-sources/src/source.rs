//! The three `KERNEL_LEVEL` event sources: waiting for records, handing events over, ending cleanly.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use collector_common::Domain;
use collector_core::{CollectionEvent, EventSource, SourceCaps};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::kernel::SOURCE_NAMES;
use crate::session::{Session, lock};

/// Records decoded before their events are handed over.
const BATCH: usize = 512;

/// Longest time until the shutdown signal is seen by a source that waits for records.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(100);

/// Between two looks at the process ring while records come: half of it is the latency to expect.
const AWAKE_INTERVAL: Duration = Duration::from_millis(1);

/// Looks without a record after which the process source sleeps until the kernel wakes it.
const AWAKE_DRAINS: u32 = 4;

/// How often losses are stated.
const SETTLE_INTERVAL: Duration = Duration::from_millis(500);

/// A domain of a kernel capture as an event source.
#[derive(Debug)]
pub(crate) struct KernelSource {
    session: Arc<Session>,
    domain: Domain,
    /// Process ring to wait on; the other rings are drained on a timer.
    ring: Mutex<Option<OwnedFd>>,
}

impl KernelSource {
    pub(crate) fn new(session: Arc<Session>, domain: Domain, ring: Option<OwnedFd>) -> Self {
        Self { session, domain, ring: Mutex::new(ring) }
    }

    /// Hands over everything in the ring, and stays while more comes. Returns whether anything came; `None` when
    /// nobody listens any more.
    async fn drain(
        &self,
        tx: &mpsc::Sender<CollectionEvent>,
        batch: &mut Vec<CollectionEvent>,
    ) -> Option<bool> {
        let mut any = false;
        loop {
            let empty = self.session.take(self.domain, BATCH, batch);
            any |= !batch.is_empty();
            if !send(tx, batch).await {
                return None;
            }
            if empty {
                return Some(any);
            }
        }
    }

    async fn run(&self, tx: &mpsc::Sender<CollectionEvent>, shutdown: &AtomicBool) -> anyhow::Result<()> {
        let mut wait = Wait::new(self)?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut settled = Instant::now();
        while !shutdown.load(Ordering::Relaxed) && !tx.is_closed() {
            wait.next(&self.session).await?;
            let Some(any) = self.drain(tx, &mut batch).await else { break };
            wait.drained(any);
            if settled.elapsed() >= SETTLE_INTERVAL {
                settled = Instant::now();
                self.session.settle(self.domain, &mut batch);
                send(tx, &mut batch).await;
            }
        }
        self.session.finish(self.domain, &mut batch);
        send(tx, &mut batch).await;
        Ok(())
    }
}

/// How a source learns that there may be records.
enum Wait {
    /// The kernel says so when nothing came for a while; else it looks again by itself: low latency without a wake-up
    /// per record.
    Ring {
        /// The ring's descriptor.
        fd: AsyncFd<OwnedFd>,
        /// Drains since the last record.
        empty: u32,
    },
    /// It looks by the clock: lowest cost.
    Timer(tokio::time::Interval),
}

impl Wait {
    fn new(source: &KernelSource) -> anyhow::Result<Self> {
        if let Some(fd) = lock(&source.ring).take() {
            // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd keeps it.
            let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
            return Ok(Self::Ring { fd: fd.context("cannot wait on the process ring")?, empty: 0 });
        }
        let mut timer = interval(source.session.config.drain_interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self::Timer(timer))
    }

    async fn next(&mut self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Timer(timer) => {
                timer.tick().await;
                Ok(())
            }
            Self::Ring { empty, .. } if *empty < AWAKE_DRAINS => {
                sleep(AWAKE_INTERVAL).await;
                if *empty + 1 == AWAKE_DRAINS {
                    // One more look after asking: a record on its way at that moment would come without a wake-up.
                    session.ask_for_wakeup()?;
                }
                Ok(())
            }
            Self::Ring { fd, .. } => {
                let readable = async {
                    tokio::select! {
                        guard = fd.readable() => guard.map(|mut guard| guard.clear_ready()),
                        () = session.process_pending.notified() => Ok(()),
                    }
                };
                match timeout(SHUTDOWN_CHECK, readable).await {
                    Ok(result) => result.context("cannot wait on the process ring"),
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// After a drain that found records or did not.
    fn drained(&mut self, any: bool) {
        if let Self::Ring { empty, .. } = self {
            *empty = if any { 0 } else { empty.saturating_add(1) };
        }
    }
}

/// Sends all events, waiting for room: the ring is the elastic buffer. False when nobody listens any more.
async fn send(tx: &mpsc::Sender<CollectionEvent>, events: &mut Vec<CollectionEvent>) -> bool {
    let mut events = events.drain(..);
    while events.len() > 0 {
        let count = events.len().min(tx.max_capacity());
        let Ok(permits) = tx.reserve_many(count).await else { return false };
        for (permit, event) in permits.zip(&mut events) {
            permit.send(event);
        }
    }
    true
}

#[async_trait]
impl EventSource for KernelSource {
    fn name(&self) -> &'static str {
        SOURCE_NAMES[self.domain as usize]
    }

    fn capabilities(&self) -> SourceCaps {
        let what = match self.domain {
            Domain::Process => SourceCaps::PROCESS,
            Domain::Network => SourceCaps::NETWORK,
            Domain::File => SourceCaps::FILESYSTEM,
        };
        let reach = if self.session.config.filter == crate::config::Filter::default() {
            SourceCaps::SYSTEM_WIDE
        } else {
            SourceCaps::empty()
        };
        what | SourceCaps::REALTIME | SourceCaps::KERNEL_LEVEL | reach
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        self.run(&tx, &shutdown_signal).await
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.session.detach();
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.session.is_attached(), "the kernel programs are not attached");
        Ok(())
    }
}
