//! The three `KERNEL_LEVEL` event sources: waiting for records, handing events over, ending cleanly.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use collector_common::Domain;
use collector_core::{CollectionEvent, EventSource, SourceCaps};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::kernel::SOURCE_NAMES;
use crate::session::{Session, lock};

/// Records decoded before their events are handed over.
const BATCH: usize = 512;

/// Longest time until the shutdown signal is seen by the source that watches for it while all wait for records. The signal
/// is a flag that wakes nobody, and each look costs a wake-up: so one looks and rings for the others.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(250);

/// How long the others wait at most, should only their own signal be set.
const UNWATCHED_CHECK: Duration = Duration::from_secs(5);

/// Between two looks at the process ring while records come: half of it is the latency to expect. The other rings have
/// [`KernelConfig::drain_interval`](crate::KernelConfig::drain_interval).
const PROCESS_INTERVAL: Duration = Duration::from_millis(1);

/// The first of them after the kernel has woken the source: what woke it is most often a fork, and the exec follows at once.
const FIRST_INTERVAL: Duration = Duration::from_micros(300);

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
                wait.next(&self.session, shutdown).await?;
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
        // Before the rest of the work, which others need not wait for.
        drop(wait);
        self.session.finish(self.domain, &mut batch);
        send(tx, &mut batch).await;
        Ok(())
    }
}

/// How a source learns that there may be records: while they come it looks again by the clock, and after a look in vain it
/// sleeps until the kernel wakes it. So a busy ring costs no wake-up per record and an idle one nothing.
struct Wait {
    domain: Domain,
    fd: AsyncFd<OwnedFd>,
    pause: Pause,
    next: Step,
    /// The kernel has woken the source, and no look has found records since.
    woken: bool,
    watch: Watch,
}

/// What to do before the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Records came after a sleep: let those that belong to them come.
    First,
    /// Records came: let some gather.
    Pause,
    /// None came: ask for a wake-up and look once more, because one on its way just now would come without.
    Ask,
    /// None came since asking.
    Sleep,
}

impl Wait {
    fn new(source: &KernelSource) -> anyhow::Result<Self> {
        let fd = lock(&source.ring).take().context("started twice")?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd keeps it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        let fd = fd.context("cannot wait on the ring")?;
        let pause = match source.domain {
            Domain::Process => Pause::precise().context("cannot make a timer")?,
            Domain::Network | Domain::File => Pause::Coarse(source.session.config.drain_interval),
        };
        let watch = Watch::new(&source.session);
        Ok(Self { domain: source.domain, fd, pause, next: Step::Pause, woken: false, watch })
    }

    async fn next(&mut self, session: &Session, shutdown: &AtomicBool) -> anyhow::Result<()> {
        match self.next {
            Step::First => return self.pause.wait(FIRST_INTERVAL).await.context("cannot wait for a timer"),
            Step::Pause => return self.pause.wait(PROCESS_INTERVAL).await.context("cannot wait for a timer"),
            Step::Ask => return Ok(session.ask_for_wakeup(self.domain)?),
            Step::Sleep => {}
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
        // Ready to be rung before the duty is asked for and the signal looked at, so that nothing in between is missed.
        let mut unwatched = pin!(session.unwatched.notified());
        unwatched.as_mut().enable();
        let patience = if self.watch.is_mine() { SHUTDOWN_CHECK } else { UNWATCHED_CHECK };
        if shutdown.load(Ordering::Relaxed) {
            return Ok(());
        }
        tokio::select! {
            result = readable => {
                self.woken = true;
                result.context("cannot wait on the ring")
            }
            () = unwatched => Ok(()),
            () = sleep(patience) => Ok(()),
        }
    }

    /// After a look that found records or did not.
    const fn looked(&mut self, any: bool) {
        self.next = match self.next {
            Step::Sleep if any => Step::First,
            _ if any => Step::Pause,
            Step::Ask => Step::Sleep,
            // Woken, and nothing is there: the first record in the ring is still being written, and those behind it wait.
            Step::Sleep if self.woken => Step::Pause,
            // After a sleep as well: the wake-up may have been for a record which then had no room.
            Step::First | Step::Pause | Step::Sleep => Step::Ask,
        };
        self.woken = false;
    }
}

/// Whether this source is the one that looks at its shutdown signal for all.
struct Watch {
    session: Arc<Session>,
    mine: bool,
}

impl Watch {
    fn new(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), mine: false }
    }

    /// Takes the duty over if nobody has it.
    fn is_mine(&mut self) -> bool {
        self.mine = self.mine || self.session.claim_watch();
        self.mine
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.mine {
            self.session.leave_watch();
        }
    }
}

/// The time between two looks.
enum Pause {
    /// Tokio's timer, which counts whole milliseconds and waits up to two of them for one.
    Coarse(Duration),
    /// A timer of the kernel's.
    Precise(AsyncFd<OwnedFd>),
}

impl Pause {
    fn precise() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd keeps it.
        Ok(Self::Precise(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// Waits: `precise` long, if it can.
    async fn wait(&self, precise: Duration) -> std::io::Result<()> {
        match self {
            Self::Coarse(interval) => sleep(*interval).await,
            Self::Precise(timer) => {
                let it_value = Timespec { tv_sec: 0, tv_nsec: i64::from(precise.subsec_nanos()) };
                let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
                // Setting it also forgets that it has fired, so nothing needs to be read.
                timerfd_settime(
                    timer.get_ref(),
                    TimerfdTimerFlags::empty(),
                    &Itimerspec { it_interval, it_value },
                )?;
                timer.readable().await?.clear_ready();
            }
        }
        Ok(())
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
        self.session.halt();
        // Whoever watches the shutdown signal for all may be held up: the others look for themselves.
        self.session.unwatched.notify_waiters();
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.session.is_at_work(), "the kernel programs have ended");
        Ok(())
    }
}
