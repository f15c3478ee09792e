//! A capture of a test's own, whose events it collects.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use collector_common::Kind;
use collector_core::{CollectionEvent, EventSource};
use collector_sources::features::probe;
use collector_sources::plan::{Limits, Outcome, Plan, Tier, plan};
use collector_sources::{CaptureHandle, Filter, KernelCapture, KernelConfig, RingSizes, SelfCheck};
use tokio::sync::mpsc;

use crate::trace::{Event, Trace};
use crate::{Actor, DEADLINE};

/// Events on their way from a source to whoever takes them.
const CHANNEL: usize = 1024;

/// Watches an actor from its first step to its end, through a capture of its own: for tests that look at the capture.
/// Others use [`watch`](crate::watch), which need not load programs.
#[must_use]
pub fn watch_alone(actor: Actor, change: impl FnOnce(&mut KernelConfig)) -> Trace {
    let mut config = quiet(&[actor.pid()]);
    change(&mut config);
    let capture = Capture::start(&config);
    let finished = actor.finish();
    let trace = capture.finish().by(finished);
    trace.assert_nothing_lost();
    trace
}

/// What tests capture by default: everything, in the tier that `COLLECTOR_TEST_TIER` names or else the best.
///
/// # Panics
/// When the variable names no tier.
#[must_use]
pub fn everything() -> KernelConfig {
    KernelConfig { tier: forced_tier(), ..KernelConfig::default() }
}

/// The tier that tests have to use.
#[must_use]
pub fn forced_tier() -> Option<Tier> {
    match std::env::var("COLLECTOR_TEST_TIER").ok()?.as_str() {
        "A" => Some(Tier::A),
        "B" => Some(Tier::B),
        other => panic!("COLLECTOR_TEST_TIER is {other}: there are A and B"),
    }
}

/// The tier in which [`everything`] captures a kind on this kernel, where it captures it.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn tier_of(kind: Kind) -> Tier {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let probed = probe();
        let limits = Limits { tier: forced_tier(), ..Limits::default() };
        plan(&probed.features, &probed.offsets, u64::MAX, &limits)
    });
    match plan.kinds.iter().find(|of| of.kind == kind).map(|of| &of.outcome) {
        Some(Outcome::Served { tier, .. }) => *tier,
        other => panic!("{kind:?} is not captured: {other:?}"),
    }
}

/// What events say of where names were read, for kinds whose objects are gone or unknown when a system call ends.
///
/// # Panics
/// As [`tier_of`].
#[must_use]
pub fn names_from(kind: Kind) -> &'static str {
    match tier_of(kind) {
        Tier::A => "kernel",
        _ => "syscall",
    }
}

/// All kinds of events of these processes and their descendants, through small rings.
#[must_use]
pub fn quiet(pids: &[u32]) -> KernelConfig {
    KernelConfig {
        filter: Filter { pids: pids.to_vec(), ..Filter::default() },
        rings: RingSizes { process: 1 << 20, network: 1 << 20, file: 1 << 20 },
        ..everything()
    }
}

/// The kernel programs at work, and what came of it so far.
#[expect(missing_debug_implementations, reason = "sources have none")]
pub struct Capture {
    plan: Plan,
    handle: CaptureHandle,
    /// Until they are let run.
    sources: Vec<Box<dyn EventSource>>,
    arrived: Arc<Arrived>,
    shutdown: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Arrived {
    events: Mutex<Vec<CollectionEvent>>,
    news: Condvar,
}

impl Arrived {
    fn events(&self) -> MutexGuard<'_, Vec<CollectionEvent>> {
        self.events.lock().expect("no holder panics")
    }
}

impl Capture {
    /// Loads, attaches and reads.
    #[must_use]
    pub fn start(config: &KernelConfig) -> Self {
        let mut capture = Self::attach(config);
        capture.poll();
        capture
    }

    /// Loads and attaches, and leaves the rings alone until [`Capture::poll`].
    #[must_use]
    pub fn attach(config: &KernelConfig) -> Self {
        match KernelCapture::start(config) {
            Ok(capture) => Self::of(capture),
            Err(error) => panic!("the kernel tests need root and the kernel programs: {error}"),
        }
    }

    /// A capture that was started otherwise; leaves its rings alone until [`Capture::poll`].
    #[must_use]
    pub fn of(mut capture: KernelCapture) -> Self {
        Self {
            plan: capture.report(),
            handle: capture.handle(),
            sources: capture.sources(),
            arrived: Arc::default(),
            shutdown: Arc::default(),
            thread: None,
        }
    }

    /// Begins to read the rings.
    pub fn poll(&mut self) {
        let arrived = Arc::clone(&self.arrived);
        self.poll_into(move |event| {
            arrived.events().push(event);
            arrived.news.notify_all();
        });
    }

    /// Begins to read the rings, and hands every event to `sink`.
    pub(crate) fn poll_into(&mut self, sink: impl FnMut(CollectionEvent) + Send + 'static) {
        let sources = std::mem::take(&mut self.sources);
        let shutdown = Arc::clone(&self.shutdown);
        self.thread = Some(std::thread::spawn(move || run(sources, &shutdown, sink)));
    }

    /// Which programs serve which kind.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What proved to run.
    #[must_use]
    pub fn self_check(&self) -> SelfCheck {
        self.handle.self_check()
    }

    /// Its counters.
    pub(crate) const fn handle(&self) -> &CaptureHandle {
        &self.handle
    }

    /// Waits until an event like this has come, and returns it.
    #[must_use]
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let mut seen = 0;
        self.wait(what, |events| {
            let mut new = events.get(seen..)?.iter().cloned().map(Event::new);
            seen = events.len();
            new.find(|event| is_it(event))
        })
    }

    /// Waits until this many events of a kind have come.
    pub fn wait_for_count(&self, kind: &str, count: usize) {
        let (mut seen, mut of_kind) = (0, 0);
        self.wait(&format!("{count} events {kind}"), |events| {
            of_kind += events.get(seen..)?.iter().filter(|event| event.kind() == kind).count();
            seen = events.len();
            (of_kind >= count).then_some(())
        });
    }

    fn wait<T>(&self, what: &str, mut check: impl FnMut(&[CollectionEvent]) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut events = self.arrived.events();
        loop {
            if let Some(found) = check(&events) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in {DEADLINE:?}; {} events came", events.len());
            (events, _) = self.arrived.news.wait_timeout(events, left).expect("no holder panics");
        }
    }

    /// Detaches, and returns everything that happened: the rings are drained and the ledger is closed.
    #[must_use]
    pub fn finish(mut self) -> Trace {
        if self.thread.is_none() {
            self.poll();
        }
        self.stop();
        let events = std::mem::take(&mut *self.arrived.events());
        Trace::of_capture(events, &self.handle.stats())
    }

    fn stop(&mut self) {
        self.shutdown.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed; a second one here would only hide the first.
            let _ = thread.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs all sources on one thread until they end.
fn run(
    sources: Vec<Box<dyn EventSource>>,
    shutdown: &Arc<AtomicBool>,
    mut sink: impl FnMut(CollectionEvent),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(async {
        let (tx, mut rx) = mpsc::channel(CHANNEL);
        let tasks: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let (tx, shutdown) = (tx.clone(), Arc::clone(shutdown));
                tokio::spawn(async move { source.start(tx, shutdown).await })
            })
            .collect();
        drop(tx);
        while let Some(event) = rx.recv().await {
            sink(event);
        }
        for task in tasks {
            task.await.expect("a source does not panic").expect("a source does not fail");
        }
    });
}
