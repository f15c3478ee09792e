//! What the sources of one capture share: readers, programs, identities, and the order of everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use collector_common::{Domain, Kind, LossReason, Table};
use collector_core::{CollectionEvent, EventMeta, LossEvent};
use tokio::sync::Notify;

use crate::check::{Bell, SelfCheck};
use crate::clock::boottime_ns;
use crate::config::{Filter, KernelConfig};
use crate::identity::Users;
use crate::identity::snapshot::{Procfs, SnapshotEntry};
use crate::kernel::{RunTimes, SOURCE_NAMES};
use crate::ledger::{CounterDelta, Start};
use crate::loader::{LoadError, Loaded, Rings};
use crate::pipeline::{Pipeline, Shared};
use crate::plan::Plan;
use crate::reader::Reader;
use crate::stats::{CaptureStats, DomainStats, LossCount};
use crate::tables::Tables;
use crate::tap::Tap;

/// Most process events kept for the process source while other domains read ahead for identities.
const PROCESS_PENDING_MAX: usize = 8192;

/// What the sources of one capture share.
pub(crate) struct Session {
    pub(crate) config: KernelConfig,
    /// Keeps the kernel accounting run times.
    _run_times: Option<RunTimes>,
    /// Runs of each program that the kernel skipped, as stated so far.
    missed: Mutex<HashMap<String, u64>>,
    pub(crate) loaded: Mutex<Loaded>,
    /// What the programs at work are there for.
    plan: Mutex<Plan>,
    /// What the self-check has found.
    self_check: Mutex<SelfCheck>,
    /// Ends the self-check.
    bell: Arc<Bell>,
    /// Apart from the programs: looking through a full table takes time.
    tables: Mutex<Option<Tables>>,
    readers: [Option<Mutex<Reader>>; Domain::COUNT],
    shared: Arc<Mutex<Shared>>,
    tap: Mutex<Option<Box<dyn Tap>>>,
    /// Rung when process events were decoded on behalf of another domain.
    pub(crate) process_pending: Notify,
    /// One source watches its shutdown signal for all, which sleep longer for it.
    watched: AtomicBool,
    /// Rung when the watching source has ended.
    pub(crate) unwatched: Notify,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Not waiting: the check may be who drops it.
        self.bell.end_all();
    }
}

impl Session {
    /// `run_times` keeps the kernel accounting run times, if it is wanted.
    pub(crate) fn new(
        config: &KernelConfig,
        mut loaded: Loaded,
        plan: Plan,
        rings: Rings,
        shared: Arc<Mutex<Shared>>,
        run_times: Option<RunTimes>,
    ) -> Self {
        Self {
            config: config.clone(),
            _run_times: run_times,
            missed: Mutex::new(HashMap::new()),
            tables: Mutex::new(loaded.take_tables()),
            loaded: Mutex::new(loaded),
            plan: Mutex::new(plan),
            self_check: Mutex::default(),
            bell: Arc::default(),
            readers: readers(rings, &shared, config),
            shared,
            tap: Mutex::new(None),
            process_pending: Notify::new(),
            watched: AtomicBool::new(false),
            unwatched: Notify::new(),
        }
    }

    /// Whether the caller is the one to look at its shutdown signal from now on.
    pub(crate) fn claim_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// The watching source ends, and probably all do: they look for themselves.
    pub(crate) fn leave_watch(&self) {
        self.watched.store(false, Ordering::Release);
        self.unwatched.notify_waiters();
    }

    /// Sends a copy of all raw input to `tap` from now on.
    pub(crate) fn record_to(&self, mut tap: Box<dyn Tap>) {
        tap.anchor(lock(&self.shared).clock.anchor());
        *lock(&self.tap) = Some(tap);
    }

    /// Ends recording.
    pub(crate) fn take_tap(&self) -> Option<Box<dyn Tap>> {
        lock(&self.tap).take()
    }

    /// What serves which kind now.
    pub(crate) fn plan(&self) -> Plan {
        lock(&self.plan).clone()
    }

    pub(crate) fn set_plan(&self, plan: Plan) {
        *lock(&self.plan) = plan;
    }

    /// What the self-check has found.
    pub(crate) fn self_check(&self) -> SelfCheck {
        lock(&self.self_check).clone()
    }

    pub(crate) fn set_self_check(&self, found: SelfCheck) {
        *lock(&self.self_check) = found;
    }

    pub(crate) const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Stops the programs. Records in the rings can still be taken.
    pub(crate) fn halt(&self) {
        self.bell.ring();
        lock(&self.loaded).halt();
    }

    /// Asks for a wake-up at the next record of `domain`.
    pub(crate) fn ask_for_wakeup(&self, domain: Domain) -> Result<(), LoadError> {
        lock(&self.loaded).ask_for_wakeup(domain)
    }

    /// Whether programs are at work.
    pub(crate) fn is_at_work(&self) -> bool {
        lock(&self.loaded).is_at_work()
    }

    pub(crate) fn reader(&self, domain: Domain) -> Option<&Mutex<Reader>> {
        self.readers.get(domain as usize)?.as_ref()
    }

    /// Decodes up to `limit` records of `domain` and hands over their events. Returns whether the ring was empty
    /// at the end.
    ///
    /// A network or file record is decoded only when every process record older than it has been: whoever acted
    /// is known by then.
    pub(crate) fn take(&self, domain: Domain, limit: usize, out: &mut Vec<CollectionEvent>) -> bool {
        let Some(reader) = self.reader(domain) else { return true };
        // Locks are taken in this order everywhere: a domain's reader, the process reader, the tap.
        let mut reader = lock(reader);
        let mut processes = match domain {
            Domain::Process => None,
            Domain::Network | Domain::File => self.reader(Domain::Process).map(lock),
        };
        let mut tap = lock(&self.tap);
        if let Some(processes) = processes.as_deref_mut().filter(|_| !self.config.wants(Domain::Process)) {
            // Nobody else empties that ring.
            read_ahead(processes, &mut tap);
        }
        let mut known_until = 0;
        let empty = reader.drain(limit, |ktime, bytes| {
            if ktime > known_until
                && let Some(processes) = processes.as_deref_mut()
            {
                // Records up to this moment have their process records in the ring already.
                known_until = boottime_ns();
                read_ahead(processes, &mut tap);
            }
            if let Some(tap) = tap.as_deref_mut() {
                tap.record(domain, bytes);
            }
        });
        reader.take(out);
        if processes.is_some_and(|processes| processes.has_pending()) {
            self.process_pending.notify_one();
        }
        empty
    }

    /// States losses of `domain` that have become certain, and looks at the clocks.
    pub(crate) fn settle(&self, domain: Domain, out: &mut Vec<CollectionEvent>) {
        let Some(reader) = self.reader(domain) else { return };
        let mut reader = lock(reader);
        let now_ns = boottime_ns();
        if let Some(anchor) = reader.pipeline.check_clock(now_ns)
            && let Some(tap) = lock(&self.tap).as_deref_mut()
        {
            tap.anchor(anchor);
        }
        let deltas = self.deltas(domain, &mut reader);
        if let Some(tap) = lock(&self.tap).as_deref_mut() {
            tap.losses(now_ns, domain, &deltas);
        }
        reader.settle(now_ns, &deltas);
        reader.take(out);
        let timestamp = lock(&self.shared).clock.system_time(now_ns);
        self.state_missed(domain, timestamp, out);
    }

    /// States runs that the kernel skipped because the program was interrupted by itself: they took no sequence
    /// number, so the ledger does not know of them.
    fn state_missed(&self, domain: Domain, timestamp: SystemTime, out: &mut Vec<CollectionEvent>) {
        let programs = lock(&self.loaded).program_stats();
        let mut stated = lock(&self.missed);
        for program in programs.into_iter().filter(|program| domain_of(&program.name) == domain) {
            let before = stated.entry(program.name).or_default();
            let count = program.missed.saturating_sub(*before);
            *before = program.missed;
            if count > 0 {
                out.push(CollectionEvent::Loss(LossEvent {
                    timestamp,
                    meta: EventMeta { source: SOURCE_NAMES[domain as usize], ..EventMeta::default() },
                    domain: domain.name(),
                    kind: None,
                    reason: REENTERED,
                    count,
                    cpu: None,
                    first_seq: None,
                    last_seq: None,
                }));
            }
        }
    }

    /// Stops the programs, drains the rest of `domain` and closes its ledger; without a process source that of the
    /// process domain too.
    pub(crate) fn finish(&self, domain: Domain, out: &mut Vec<CollectionEvent>) {
        self.halt();
        self.close(domain, out);
        if !self.config.wants(Domain::Process) {
            self.close(Domain::Process, out);
        }
    }

    fn close(&self, domain: Domain, out: &mut Vec<CollectionEvent>) {
        while !self.take(domain, usize::MAX, out) {}
        let Some(reader) = self.reader(domain) else { return };
        let mut reader = lock(reader);
        let now_ns = boottime_ns();
        let deltas = self.deltas(domain, &mut reader);
        let sent = lock(&self.loaded).sent(domain);
        if let Some(tap) = lock(&self.tap).as_deref_mut() {
            tap.finish(now_ns, domain, &sent, &deltas);
        }
        reader.finish(now_ns, &sent, &deltas);
        reader.take(out);
        let timestamp = lock(&self.shared).clock.system_time(now_ns);
        self.state_missed(domain, timestamp, out);
    }

    /// What the loss counters of `domain` have gained since the last call.
    fn deltas(&self, domain: Domain, reader: &mut Reader) -> Vec<CounterDelta> {
        let mut deltas = Vec::new();
        if let Some(tables) = lock(&self.tables).as_mut() {
            // Without programs nothing changes any more: the last count is exact.
            let is_last = !self.is_at_work();
            for table in Table::ALL.into_iter().filter(|table| table.missing().domain() == domain) {
                reader.forgotten.update(table, tables.forgotten(table, is_last), &mut deltas);
            }
        }
        let loaded = lock(&self.loaded);
        for &kind in Kind::ALL.iter().filter(|kind| kind.domain() == domain) {
            for reason in LossReason::ALL.into_iter().filter(|&reason| is_stated(reason)) {
                reader.counters.update(kind, reason, &loaded.counter(kind, reason), &mut deltas);
            }
        }
        deltas
    }

    /// Enters the processes that run already in the identity table.
    pub(crate) fn snapshot(&self) {
        let Some(reader) = self.reader(Domain::Process) else { return };
        let entries = match Procfs::default().snapshot() {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "cannot list /proc: processes that run already stay unknown");
                return;
            }
        };
        let mut passing = Passing::new(&self.config.filter);
        for entry in entries {
            let passes = passing.check(&entry);
            let mut reader = lock(reader);
            if let Some(tap) = lock(&self.tap).as_deref_mut()
                && passes
            {
                // A recording holds what was asked for, not everybody's command lines.
                tap.snapshot(&entry);
            }
            reader.snapshot(&entry, passes);
        }
        for pid in passing.descendants {
            if let Err(error) = lock(&self.loaded).follow(pid) {
                tracing::warn!(pid, %error, "cannot follow a descendant");
            }
        }
    }

    pub(crate) fn stats(&self) -> CaptureStats {
        let known = |table| lock(&self.tables).as_ref().map_or(0, |tables| tables.known(table));
        let forgotten = Table::ALL.map(|table| (table.missing(), known(table)));
        let loaded = lock(&self.loaded);
        let mut losses = Vec::new();
        let mut lost = [0; Domain::COUNT];
        for &kind in Kind::ALL {
            for reason in LossReason::ALL {
                let mut count: u64 = loaded.counter(kind, reason).iter().sum();
                if reason == LossReason::TableFull {
                    count +=
                        forgotten.iter().filter(|(missing, _)| *missing == kind).map(|(_, n)| n).sum::<u64>();
                }
                if count == 0 {
                    continue;
                }
                if reason.in_sequence() {
                    lost[kind.domain() as usize] += count;
                }
                losses.push(LossCount {
                    domain: kind.domain().name().to_owned(),
                    kind: kind.name().to_owned(),
                    reason: reason.name().to_owned(),
                    count,
                    is_loss: reason.is_loss(),
                });
            }
        }
        let sent = Domain::ALL.map(|domain| loaded.sent(domain).iter().sum::<u64>());
        let ring_bytes = Domain::ALL.map(|domain| loaded.ring_bytes(domain));
        let programs = loaded.program_stats();
        drop(loaded);
        for program in programs.iter().filter(|program| program.missed > 0) {
            losses.push(LossCount {
                domain: domain_of(&program.name).name().to_owned(),
                kind: program.name.clone(),
                reason: REENTERED.to_owned(),
                count: program.missed,
                is_loss: true,
            });
        }
        let mut domains = Vec::new();
        for domain in Domain::ALL {
            let Some(reader) = self.reader(domain) else { continue };
            let stats = lock(reader).pipeline.domain_stats(domain);
            let at = domain as usize;
            domains.push(DomainStats { sent: sent[at], lost: lost[at], ring_bytes: ring_bytes[at], ..stats });
        }
        let counts = lock(&self.shared).table.counts();
        CaptureStats {
            domains,
            losses,
            programs,
            processes: counts.processes,
            processes_evicted: counts.evicted_ended + counts.evicted_alive,
        }
    }
}

/// Decides which processes of the snapshot pass the user's filter, parents first.
struct Passing<'a> {
    filter: &'a Filter,
    descendants: Vec<u32>,
}

impl<'a> Passing<'a> {
    const fn new(filter: &'a Filter) -> Self {
        Self { filter, descendants: Vec::new() }
    }

    fn check(&mut self, entry: &SnapshotEntry) -> bool {
        if !self.filter.pids.is_empty() && !self.filter.pids.contains(&entry.pid) {
            if !self.filter.pids.contains(&entry.ppid) && !self.descendants.contains(&entry.ppid) {
                return false;
            }
            self.descendants.push(entry.pid);
        }
        self.filter.uid.is_none_or(|uid| entry.uid == Some(uid))
            && self.filter.cgroup_id.is_none_or(|id| entry.cgroup_id == Some(id))
    }
}

/// Whether losses of this reason become events. The others are counted where `collector stats` shows them: what was
/// left out on purpose, and 32-bit calls, which need not have meant an event.
const fn is_stated(reason: LossReason) -> bool {
    reason.in_sequence()
        || matches!(reason, LossReason::CloseUnseen | LossReason::TableFull | LossReason::SequenceBusy)
}

/// Decodes process records on behalf of another domain.
fn read_ahead(processes: &mut Reader, tap: &mut Option<Box<dyn Tap>>) {
    processes.drain(PROCESS_PENDING_MAX, |_, bytes| {
        if let Some(tap) = tap.as_deref_mut() {
            tap.record(Domain::Process, bytes);
        }
    });
}

/// Reason of a loss that the kernel counts: a program was to run while it already ran on that processor.
const REENTERED: &str = "program_busy";

/// Whose events a program serves, by its name. The dispatchers of system calls count as the file domain's.
fn domain_of(program: &str) -> Domain {
    match program.split('_').next() {
        Some("proc") => Domain::Process,
        Some("net") => Domain::Network,
        _ => Domain::File,
    }
}

fn readers(
    rings: Rings,
    shared: &Arc<Mutex<Shared>>,
    config: &KernelConfig,
) -> [Option<Mutex<Reader>>; Domain::COUNT] {
    let mut readers = [None, None, None];
    for ((slot, ring), domain) in readers.iter_mut().zip(rings).zip(Domain::ALL) {
        if let Some(ring) = ring {
            let pipeline = Pipeline::new(Arc::clone(shared), Users::system(), SOURCE_NAMES, Start::Fresh);
            *slot = Some(Mutex::new(Reader::new(domain, ring, pipeline.publishing(config.kinds))));
        }
    }
    readers
}

/// A panic in one task must not silence the others: what the locks protect stays consistent between calls.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
