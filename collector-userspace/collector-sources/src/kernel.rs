//! A running kernel capture: programs, rings, readers, and what they share.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use collector_common::{Domain, Kind, LossReason};
use collector_core::{CollectionEvent, EventSource};
use tokio::sync::Notify;

use crate::clock::{Anchor, Clock, boottime_ns};
use crate::config::{Filter, KernelConfig};
use crate::features::{Features, probe};
use crate::identity::snapshot::{Procfs, SnapshotEntry};
use crate::identity::{Boot, ProcessTable, TableConfig, Users, clock_ticks};
use crate::ledger::{CounterDelta, Start};
use crate::loader::{KernelTraits, LoadError, Loaded, Rings, load};
use crate::offsets;
use crate::pipeline::{Pipeline, Shared};
use crate::plan::{Outcome, Plan, plan};
use crate::reader::Reader;
use crate::source::KernelSource;
use crate::stats::{CaptureStats, DomainStats, LossCount};
use crate::tap::Tap;

/// Names of the sources, by domain.
pub const SOURCE_NAMES: [&str; Domain::COUNT] = ["kernel-process", "kernel-network", "kernel-file"];

/// Most process events kept for the process source while other domains read ahead for identities.
const PROCESS_PENDING_MAX: usize = 8192;

/// Why a capture could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Nothing that was asked for can be captured on this kernel with these privileges.
    #[error(
        "cannot capture {kinds}: {reason}; `collector doctor` lists what this kernel and these privileges allow"
    )]
    Unavailable {
        /// What was asked for.
        kinds: String,
        /// The first reason.
        reason: String,
    },
    /// The kernel programs could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The boot id could not be read: no identity would be stable.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Boot {
        /// File.
        path: &'static str,
        /// Reason.
        source: std::io::Error,
    },
    /// No process to filter on.
    #[error("no process {0}: it does not exist or has ended")]
    NoProcess(u32),
    /// A ring could not be waited on.
    #[error("cannot duplicate the descriptor of a ring: {0}")]
    Descriptor(std::io::Error),
}

/// The kernel programs at work.
#[derive(Debug)]
pub struct KernelCapture {
    session: Arc<Session>,
    plan: Plan,
    features: Features,
    /// Rings to wait on, until the sources are made.
    process_fd: Option<OwnedFd>,
}

/// A view of a capture's counters that outlives its sources.
#[derive(Clone, Debug)]
pub struct CaptureHandle {
    session: Arc<Session>,
}

/// What the sources of one capture share.
pub(crate) struct Session {
    pub(crate) config: KernelConfig,
    loaded: Mutex<Loaded>,
    readers: [Option<Mutex<Reader>>; Domain::COUNT],
    shared: Arc<Mutex<Shared>>,
    tap: Mutex<Option<Box<dyn Tap>>>,
    /// Rung when process events were decoded on behalf of another domain.
    pub(crate) process_pending: Notify,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("config", &self.config).finish_non_exhaustive()
    }
}

impl KernelCapture {
    /// Probes the kernel, plans, loads and attaches. From here on records gather in the rings.
    ///
    /// # Errors
    /// See [`StartError`]; nothing stays behind in the kernel.
    pub fn start(config: &KernelConfig) -> Result<Self, StartError> {
        let probed = probe();
        let plan = plan(&probed.features, &probed.offsets, config.kinds | identity_kinds());
        if plan.served() & config.kinds == 0 {
            return Err(unavailable(&plan, config.kinds));
        }
        let features = &probed.features;
        let kernel = KernelTraits {
            cgroup_v1: features.cgroups.value.in_memory_hierarchy() && probed.offsets.has(offsets::CGROUP_V1),
            group_dead: features
                .tracepoints
                .get("sched_process_exit")
                .is_some_and(|point| point.arguments >= 2),
        };
        let (loaded, rings) = load(&plan, &probed.offsets.offsets, kernel, config)?;
        let boot = Boot::new(&boot_id()?, clock_ticks());
        let table = TableConfig { max_processes: config.max_processes, ..TableConfig::default() };
        let shared = Shared::new(ProcessTable::new(boot, table), Clock::new(Anchor::read()));
        let process_fd = match &rings[Domain::Process as usize] {
            Some(ring) => Some(ring.as_fd().try_clone_to_owned().map_err(StartError::Descriptor)?),
            None => None,
        };
        let session = Session {
            config: config.clone(),
            loaded: Mutex::new(loaded),
            readers: readers(rings, &shared, config),
            shared,
            tap: Mutex::new(None),
            process_pending: Notify::new(),
        };
        Ok(Self { session: Arc::new(session), plan, features: probed.features, process_fd })
    }

    /// Sends a copy of all raw input to `tap` from now on. Call it before [`KernelCapture::sources`].
    pub fn record_to(&mut self, mut tap: Box<dyn Tap>) {
        tap.anchor(lock(&self.session.shared).clock.anchor());
        *lock(&self.session.tap) = Some(tap);
    }

    /// One event source per domain that is on, after the processes that run already were entered in the
    /// identity table. Events of the start-up snapshot come from the process source.
    pub fn sources(&mut self) -> Vec<Box<dyn EventSource>> {
        self.session.snapshot();
        Domain::ALL
            .into_iter()
            .filter(|&domain| self.session.config.wants(domain) && self.session.reader(domain).is_some())
            .map(|domain| {
                let fd = if domain == Domain::Process { self.process_fd.take() } else { None };
                Box::new(KernelSource::new(Arc::clone(&self.session), domain, fd)) as Box<dyn EventSource>
            })
            .collect()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.session.stats()
    }

    /// A handle for counters that may be kept apart from the capture.
    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        CaptureHandle { session: Arc::clone(&self.session) }
    }

    /// What serves which kind.
    #[must_use]
    pub const fn report(&self) -> &Plan {
        &self.plan
    }

    /// What the kernel allows.
    #[must_use]
    pub const fn features(&self) -> &Features {
        &self.features
    }
}

impl CaptureHandle {
    /// Counters.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.session.stats()
    }

    /// Ends recording and gives the tap back, if there was one. For after the sources have ended.
    #[must_use]
    pub fn take_tap(&self) -> Option<Box<dyn Tap>> {
        lock(&self.session.tap).take()
    }
}

impl Session {
    /// Stops the programs. Records in the rings can still be taken.
    pub(crate) fn detach(&self) {
        lock(&self.loaded).detach();
    }

    /// Asks for a wake-up at the next process record.
    pub(crate) fn ask_for_wakeup(&self) -> Result<(), LoadError> {
        lock(&self.loaded).ask_for_wakeup()
    }

    /// Whether programs are at work.
    pub(crate) fn is_attached(&self) -> bool {
        lock(&self.loaded).is_attached()
    }

    fn reader(&self, domain: Domain) -> Option<&Mutex<Reader>> {
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
        let mut known_until = 0;
        let empty = reader.drain(limit, |ktime, bytes| {
            if ktime > known_until
                && let Some(processes) = processes.as_deref_mut()
            {
                // Records up to this moment have their process records in the ring already.
                known_until = boottime_ns();
                processes.drain(PROCESS_PENDING_MAX, |_, bytes| {
                    if let Some(tap) = tap.as_deref_mut() {
                        tap.record(Domain::Process, bytes);
                    }
                });
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
    }

    /// Stops the programs, drains the rest of `domain` and closes its ledger.
    pub(crate) fn finish(&self, domain: Domain, out: &mut Vec<CollectionEvent>) {
        self.detach();
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
    }

    /// What the loss counters of `domain` have gained since the last call.
    fn deltas(&self, domain: Domain, reader: &mut Reader) -> Vec<CounterDelta> {
        let loaded = lock(&self.loaded);
        let mut deltas = Vec::new();
        for &kind in Kind::ALL.iter().filter(|kind| kind.domain() == domain) {
            for reason in LossReason::ALL.into_iter().filter(|reason| reason.in_sequence()) {
                reader.counters.update(kind, reason, &loaded.counter(kind, reason), &mut deltas);
            }
        }
        deltas
    }

    /// Enters the processes that run already in the identity table.
    fn snapshot(&self) {
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
            let publish = passing.check(&entry) && self.config.wants(Domain::Process);
            let mut reader = lock(reader);
            if let Some(tap) = lock(&self.tap).as_deref_mut() {
                tap.snapshot(&entry);
            }
            reader.snapshot(&entry, publish);
        }
        for pid in passing.descendants {
            if let Err(error) = lock(&self.loaded).follow(pid) {
                tracing::warn!(pid, %error, "cannot follow a descendant");
            }
        }
    }

    fn stats(&self) -> CaptureStats {
        let loaded = lock(&self.loaded);
        let mut losses = Vec::new();
        let mut lost = [0; Domain::COUNT];
        for &kind in Kind::ALL {
            for reason in LossReason::ALL {
                let count: u64 = loaded.counter(kind, reason).iter().sum();
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

/// Kinds without which nobody knows who acted: captured always, published when wanted.
fn identity_kinds() -> u64 {
    Kind::ProcessExec.bit() | Kind::ProcessFork.bit() | Kind::ProcessExit.bit()
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
            *slot = Some(Mutex::new(Reader::new(domain, ring, pipeline, config.wants(domain))));
        }
    }
    readers
}

fn unavailable(plan: &Plan, kinds: u64) -> StartError {
    let wanted = || plan.kinds.iter().filter(|planned| kinds & planned.kind.bit() != 0);
    let mut domains: Vec<&str> = wanted().map(|planned| planned.kind.domain().name()).collect();
    domains.dedup();
    let reason = wanted()
        .find_map(|planned| match &planned.outcome {
            Outcome::Unavailable { reason } => Some(reason.clone()),
            Outcome::Served { .. } => None,
        })
        .unwrap_or_else(|| "no kind was asked for".to_owned());
    StartError::Unavailable { kinds: format!("{} events", domains.join(", ")), reason }
}

fn boot_id() -> Result<String, StartError> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(PATH)
        .map(|text| text.trim().to_owned())
        .map_err(|source| StartError::Boot { path: PATH, source })
}

/// A panic in one task must not silence the others: what the locks protect stays consistent between calls.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
