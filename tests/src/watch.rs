//! One capture for all tests of this process that only want to see what an actor does.
//!
//! Loading the programs takes longer than most tests. This capture follows the test process itself, and so every actor;
//! each test gets the events of its own actor and its descendants, of the time between the actor's first step and its end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use collector_common::Domain;
use collector_core::{CollectionEvent, ProcessEventKind};
use collector_sources::{CaptureHandle, CaptureStats, DomainStats, KernelConfig, RingSizes};

use crate::capture::{Capture, quiet};
use crate::trace::Trace;
use crate::{Actor, DEADLINE};

/// Events whose process may yet turn out to be an actor's descendant: domains overtake each other.
const UNCLAIMED_MAX: usize = 50_000;

/// Watches an actor from its first step to its end.
#[must_use]
pub fn watch(actor: Actor) -> Trace {
    watch_closes(actor, 0)
}

/// [`watch`], until so many connections have been closed: the kernel may do that later than the call that asked for it.
#[must_use]
pub fn watch_closes(actor: Actor, closes: usize) -> Trace {
    let shared = shared();
    let pid = actor.pid();
    // What it did before its first step is nobody's business.
    shared.catch_up();
    let first = shared.hub.begin(pid);
    let finished = actor.finish();
    shared.hub.wait("the connections' ends", |state| state.closes_of(pid) >= closes);
    shared.catch_up();
    Trace::of_events(shared.hub.end(pid, first)).by(finished)
}

struct Shared {
    hub: Arc<Hub>,
    handle: CaptureHandle,
    /// Runs as long as the process.
    _capture: Mutex<Capture>,
}

#[derive(Default)]
struct Hub {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Records whose events have come, by domain.
    arrived: [u64; Domain::COUNT],
    /// The actor a process belongs to.
    actors: HashMap<u32, u32>,
    /// Events by actor, with the order in which they came.
    claimed: HashMap<u32, Vec<(u64, CollectionEvent)>>,
    unclaimed: VecDeque<(u64, CollectionEvent)>,
    next: u64,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let config = KernelConfig {
            // Room for what the tests with captures of their own do meanwhile.
            rings: RingSizes { process: 32 << 20, network: 16 << 20, file: 64 << 20 },
            ..quiet(&[std::process::id()])
        };
        let mut capture = Capture::attach(&config);
        let hub: Arc<Hub> = Arc::default();
        let sink = Arc::clone(&hub);
        capture.poll_into(move |event| sink.arrive(event));
        Shared { hub, handle: capture.handle().clone(), _capture: Mutex::new(capture) }
    })
}

impl Shared {
    /// Waits until everything that has happened so far has come.
    fn catch_up(&self) {
        let CaptureStats { domains, .. } = self.handle.stats();
        self.hub.wait("events of what happened", |state| {
            domains.iter().zip(state.arrived).all(|(DomainStats { sent, .. }, arrived)| arrived >= *sent)
        });
        let CaptureStats { domains, losses, .. } = self.handle.stats();
        for DomainStats { domain, lost, decode_errors, .. } in domains {
            assert_eq!((lost, decode_errors), (0, 0), "{domain} records of the shared capture: {losses:?}");
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn arrive(&self, event: CollectionEvent) {
        self.state().arrive(event);
        self.news.notify_all();
    }

    fn begin(&self, pid: u32) -> u64 {
        let mut state = self.state();
        state.actors.insert(pid, pid);
        state.next
    }

    fn end(&self, pid: u32, first: u64) -> Vec<CollectionEvent> {
        let mut state = self.state();
        state.actors.retain(|_, actor| *actor != pid);
        let mut events = state.claimed.remove(&pid).unwrap_or_default();
        drop(state);
        events.retain(|&(order, _)| order >= first);
        events.sort_by_key(|&(order, _)| order);
        events.into_iter().map(|(_, event)| event).collect()
    }

    fn wait(&self, what: &str, is_there: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.state();
        while !is_there(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            // A test that fails must not fail the others by poisoning the lock.
            if left.is_zero() {
                drop(state);
                panic!("no {what} in {DEADLINE:?}");
            }
            (state, _) = self.news.wait_timeout(state, left).expect("no holder panics");
        }
    }
}

impl State {
    fn arrive(&mut self, event: CollectionEvent) {
        let order = self.next;
        self.next += 1;
        let Some(sequence) = event.meta().and_then(|meta| meta.sequence) else { return };
        for domain in Domain::ALL.into_iter().filter(|domain| domain.name() == sequence.domain) {
            self.arrived[domain as usize] += 1;
        }
        if let CollectionEvent::Process(child) = &event
            && child.kind == ProcessEventKind::Fork
            && let Some(&actor) = child.ppid.and_then(|ppid| self.actors.get(&ppid))
        {
            self.adopt(child.pid, actor);
        }
        match event.pid().and_then(|pid| self.actors.get(&pid)) {
            Some(&actor) => self.claimed.entry(actor).or_default().push((order, event)),
            None => self.unclaimed.push_back((order, event)),
        }
        if self.unclaimed.len() > UNCLAIMED_MAX {
            self.unclaimed.pop_front();
        }
    }

    fn adopt(&mut self, pid: u32, actor: u32) {
        self.actors.insert(pid, actor);
        let (theirs, unclaimed): (VecDeque<_>, _) =
            std::mem::take(&mut self.unclaimed).into_iter().partition(|(_, event)| event.pid() == Some(pid));
        self.unclaimed = unclaimed;
        self.claimed.entry(actor).or_default().extend(theirs);
    }

    fn closes_of(&self, actor: u32) -> usize {
        let events = self.claimed.get(&actor).map_or(&[][..], |events| events);
        events.iter().filter(|(_, event)| event.kind() == "network.close").count()
    }
}
