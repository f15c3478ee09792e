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
use tokio::time::{Instant, sleep, timeout};

use crate::kernel::SOURCE_NAMES;
use crate::session::{Session, lock};

/// Records decoded before their events are handed over.
const BATCH: usize = 512;

/// Longest time until the shutdown signal is seen by a source that waits for records.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(250);

/// Between two looks at the process ring while records come: half of it is the latency to expect. The other rings have
/// [`KernelConfig::drain_interval`](crate::KernelConfig::drain_interval).
const PROCESS_INTERVAL: Duration = Duration::from_millis(1);

/// Looks in vain after which a source sleeps until the kernel wakes it.
const AWAKE_LOOKS: u32 = 4;

/// How often losses are stated while records come.
const SETTLE_INTERVAL: Duration = Duration::from_millis(500);

/// How often otherwise: a full ring or a skipped run may leave nothing but its counter.
const IDLE_SETTLE_INTERVAL: Duration = Duration::from_secs(5);

/// A domain of a kernel capture as an event source.
#[derive(Debug)]
pub(crate) struct KernelSource {
    session: Arc<Session>,
    domain: Domain,
    /// Ring to wait on, until the source is started.
    ring: Mutex<Option<OwnedFd>>,
}

impl KernelSource {
    pub(crate) fn new(session: Arc<Session>, domain: Domain, ring: OwnedFd) -> Self {
        Self { session, domain, ring: Mutex::new(Some(ring)) }
    }

    async fn run(&self, tx: &mpsc::Sender<CollectionEvent>, shutdown: &AtomicBool) -> anyhow::Result<()> {
        let mut wait = Wait::new(self)?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut settled = Instant::now();
        let mut idle = true;
        let mut empty = true;
        while !shutdown.load(Ordering::Relaxed) {
            // Under overload the ring is never empty: losses are stated and the end is seen between batches.
            if empty {
                wait.next(&self.session).await?;
            }
            empty = self.session.take(self.domain, BATCH, &mut batch);
            wait.looked(!batch.is_empty());
            idle &= batch.is_empty();
            if settled.elapsed() >= if idle { IDLE_SETTLE_INTERVAL } else { SETTLE_INTERVAL } {
                settled = Instant::now();
                idle = true;
                self.session.settle(self.domain, &mut batch);
            }
            if !send(tx, &mut batch).await || tx.is_closed() {
                break;
            }
        }
        self.session.finish(self.domain, &mut batch);
        send(tx, &mut batch).await;
        Ok(())
    }
}

/// How a source learns that there may be records: while they come it looks again by the clock, and after some looks in
/// vain it sleeps until the kernel wakes it. So a busy ring costs no wake-up per record and an idle one nothing.
struct Wait {
    domain: Domain,
    fd: AsyncFd<OwnedFd>,
    /// Between two looks.
    interval: Duration,
    /// Looks since the last record.
    empty: u32,
}

impl Wait {
    fn new(source: &KernelSource) -> anyhow::Result<Self> {
        let fd = lock(&source.ring).take().context("started twice")?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd keeps it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        let interval = match source.domain {
            Domain::Process => PROCESS_INTERVAL,
            Domain::Network | Domain::File => source.session.config.drain_interval,
        };
        Ok(Self { domain: source.domain, fd: fd.context("cannot wait on the ring")?, interval, empty: 0 })
    }

    async fn next(&mut self, session: &Session) -> anyhow::Result<()> {
        if self.empty < AWAKE_LOOKS {
            sleep(self.interval).await;
            if self.empty + 1 == AWAKE_LOOKS {
                // One more look after asking: a record on its way at that moment would come without a wake-up.
                session.ask_for_wakeup(self.domain)?;
            }
            return Ok(());
        }
        let readable = async {
            if self.domain == Domain::Process {
                tokio::select! {
                    guard = self.fd.readable() => guard.map(|mut guard| guard.clear_ready()),
                    () = session.process_pending.notified() => Ok(()),
                }
            } else {
                self.fd.readable().await.map(|mut guard| guard.clear_ready())
            }
        };
        match timeout(SHUTDOWN_CHECK, readable).await {
            Ok(result) => result.context("cannot wait on the ring"),
            Err(_) => Ok(()),
        }
    }

    /// After a look that found records or did not.
    fn looked(&mut self, any: bool) {
        self.empty = if any { 0 } else { self.empty.saturating_add(1) };
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
