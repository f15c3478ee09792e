//! The monitor as an event source.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use async_trait::async_trait;
use collector_core::analysis::{BinaryHasher, CancellationToken};
use collector_core::monitor::{
    LifecycleTracker, MemoryChange, MonitorCollector, MonitorCollectorStats, MonitorCollectorStatsSnapshot,
    MonitorDatabase, RememberedProcess,
};
use collector_core::{CollectionEvent, EventSource, ProcessEvent, SourceCaps, Subscription};
use tokio::sync::{Notify, mpsc};

use super::deliver::Delivery;
use super::eye::ProcessEye;
use super::hash::Hashing;
use super::{MonitorError, ProcmondMonitorConfig};
use crate::config::Filter;
use crate::identity::snapshot::Procfs;
use crate::identity::{Boot, clock_ticks};
use crate::procfs::poll::Polling;
use crate::procfs::scan::ProcessScan;
use crate::session::lock;

/// A database that others may use as well. It is locked for the length of one transaction, on a thread for blocking work.
pub type SharedDatabase = Arc<Mutex<dyn MonitorDatabase>>;

/// Polls `/proc` and reports what happened to processes between two looks; see the [module](super).
///
/// Neither `REALTIME` nor `KERNEL_LEVEL`. A reader who may not see the place of another user's stack, which takes root or
/// `CAP_SYS_PTRACE`, gives that user's images no digest in `exec_id`, and notices an exec by the path of the executable alone.
#[derive(Debug)]
pub struct ProcmondMonitorCollector {
    polling: Polling<ProcessEye>,
    is_filtered: bool,
    database: Option<Database>,
    hashing: Option<Hashing>,
}

/// The database, and what it remembers of earlier boots and must forget.
struct Database {
    shared: SharedDatabase,
    stale: Mutex<HashMap<u32, MemoryChange>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// A view of a monitor that outlives its registration: its counters, and a way to make it look.
#[derive(Clone, Debug)]
pub struct MonitorHandle {
    pub(crate) source: &'static str,
    pub(crate) stats: Arc<MonitorCollectorStats>,
    pub(crate) asked: Arc<Notify>,
}

impl MonitorHandle {
    /// Name of the source.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        self.source
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> MonitorCollectorStatsSnapshot {
        self.stats.snapshot()
    }

    /// Makes the monitor look as soon as it can instead of waiting for the interval.
    pub fn look_now(&self) {
        self.asked.notify_one();
    }
}

impl ProcmondMonitorCollector {
    /// Name of the source.
    pub const NAME: &'static str = "procmond";

    /// A monitor that keeps its events, and what it has seen, in a database. It asks the database what had been seen before.
    ///
    /// The database is one that nobody else fills with the same events: a store that subscribes to the bus keeps them as well.
    ///
    /// # Errors
    /// What does not work, see [`MonitorError`].
    pub async fn new<D: MonitorDatabase + 'static>(
        database: Arc<Mutex<D>>,
        config: ProcmondMonitorConfig,
    ) -> Result<Self, MonitorError> {
        let mut monitor = Self::build(Self::NAME, Procfs::default(), config, Filter::default())?;
        monitor.keep_in(database).await?;
        Ok(monitor)
    }

    /// A monitor without a database: after a restart everybody is present, and nobody is known to have ended. `filter` says whose
    /// processes are reported.
    ///
    /// # Errors
    /// What does not work, see [`MonitorError`].
    pub fn without_database(
        name: &'static str,
        config: ProcmondMonitorConfig,
        filter: Filter,
    ) -> Result<Self, MonitorError> {
        Self::build(name, Procfs::default(), config, filter)
    }

    /// The same with another `/proc`.
    pub(crate) fn build(
        name: &'static str,
        procfs: Procfs,
        config: ProcmondMonitorConfig,
        filter: Filter,
    ) -> Result<Self, MonitorError> {
        config.validate()?;
        let ProcmondMonitorConfig { base_config, process_config, lifecycle_config } = config;
        let hasher = BinaryHasher::new(process_config.hasher.clone())?;
        let stats = Arc::new(MonitorCollectorStats::default());
        let hashing = process_config.compute_executable_hashes.then(|| Hashing {
            hasher: Arc::new(hasher),
            procfs: procfs.clone(),
            stats: Arc::clone(&stats),
        });
        let boot = boot(&procfs)?;
        let is_filtered = filter != Filter::default();
        let scan = ProcessScan::new(procfs, boot, name, process_config, filter, Arc::clone(&stats));
        let tracker = LifecycleTracker::new(lifecycle_config);
        let eye = ProcessEye { scan, tracker, stats: Arc::clone(&stats) };
        let polling = Polling::new(eye, name, base_config, stats);
        Ok(Self { polling, is_filtered, database: None, hashing })
    }

    /// Keeps events and memory in a database from now on, and compares the first look with what it remembers.
    pub(crate) async fn keep_in<D: MonitorDatabase + 'static>(
        &mut self,
        database: Arc<Mutex<D>>,
    ) -> Result<(), MonitorError> {
        let shared: SharedDatabase = database;
        let (asked, source) = (Arc::clone(&shared), self.polling.source);
        let recall = move || lock(&asked).recall(source);
        let states = tokio::task::spawn_blocking(recall).await.map_err(|_| MonitorError::Panicked)??;
        let remembered = states.iter().filter_map(|state| {
            let remembered: RememberedProcess = serde_json::from_str(state).ok()?;
            remembered.to_event()
        });
        let mut stale = HashMap::new();
        self.polling.with_eye(|eye| {
            let boot = eye.scan.boot().id;
            let is_current = |process: &ProcessEvent| process.exec_id.is_some_and(|id| id.boot == boot);
            let (current, old): (Vec<_>, Vec<_>) = remembered.partition(is_current);
            stale = old.iter().map(|old| (old.pid, MemoryChange::Forget { pid: old.pid })).collect();
            // Without anybody of this boot the first look is the first.
            if !current.is_empty() {
                eye.tracker.restore(current);
            }
        });
        self.database = Some(Database { shared, stale: Mutex::new(stale) });
        Ok(())
    }

    /// Reports only processes that the filter lets through. Before it is started.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.is_filtered = filter != Filter::default();
        self.polling.with_eye(|eye| eye.scan.set_filter(filter));
        self
    }

    /// Lets events on a bus cause an early look: starts, execs and ends of processes that other sources report, and their network
    /// events. Events of this source are ignored.
    #[must_use]
    pub fn with_events(self, events: Subscription) -> Self {
        self.polling.wake.listen_to(events);
        self
    }

    /// A handle for counters, and to make it look, that may be kept apart.
    #[must_use]
    pub fn handle(&self) -> MonitorHandle {
        self.polling.handle()
    }
}

#[async_trait]
impl EventSource for ProcmondMonitorCollector {
    fn name(&self) -> &'static str {
        self.polling.source
    }

    fn capabilities(&self) -> SourceCaps {
        let everybody = if self.is_filtered { SourceCaps::empty() } else { SourceCaps::SYSTEM_WIDE };
        SourceCaps::PROCESS | everybody
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let cancel = CancellationToken::new();
        let delivery = Delivery {
            source: self.polling.source,
            max_events: self.polling.config.max_events_in_flight,
            stats: Arc::clone(&self.polling.stats),
            hashing: self.hashing.clone(),
            database: self.database.as_ref().map(|database| Arc::clone(&database.shared)),
            unwritten: self
                .database
                .as_ref()
                .map(|database| std::mem::take(&mut *lock(&database.stale)))
                .unwrap_or_default(),
            cancel: cancel.clone(),
        };
        // Room for one batch: a look ahead of the delivery, and no more.
        let (found, batches) = mpsc::channel(1);
        let delivery = tokio::spawn(delivery.run(batches, tx));
        let result = self.polling.run(&found, &shutdown_signal).await;
        drop(found);
        // The end shall not wait for digests.
        cancel.cancel();
        tokio::time::timeout(self.polling.config.shutdown_timeout, delivery)
            .await
            .context("what was found could not be handed over within shutdown_timeout")?
            .context("the delivery panicked")?;
        result
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        self.monitor_health_check().await
    }
}

#[async_trait]
impl MonitorCollector for ProcmondMonitorCollector {
    fn stats(&self) -> MonitorCollectorStatsSnapshot {
        self.polling.stats.snapshot()
    }
}

/// Which boot this is.
pub(crate) fn boot(procfs: &Procfs) -> Result<Boot, MonitorError> {
    let path = procfs.proc.join("sys/kernel/random/boot_id");
    let id = std::fs::read_to_string(&path)
        .map_err(|source| MonitorError::Boot { path: path.display().to_string(), source })?;
    Ok(Boot::new(id.trim(), clock_ticks()))
}
