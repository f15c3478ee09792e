//! Looking into a collector and stopping it from elsewhere.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::health::CollectorHealth;
use super::hold::Holds;
use super::lane::Lane;
use super::statistics::{RuntimeStats, SourceState};
use crate::bus::LocalEventBus;
use crate::config::CollectorConfig;
use crate::health::HealthStatus;
use crate::source::SourceCaps;

/// What a collector, its run and its handles share.
pub(super) struct Shared {
    pub(super) config: CollectorConfig,
    pub(super) bus: LocalEventBus,
    /// Becomes true when somebody wants the collector to stop.
    pub(super) stop: watch::Sender<bool>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    holds: Mutex<Holds>,
    since: Instant,
}

impl Shared {
    pub(super) fn new(config: CollectorConfig) -> Self {
        let bus = LocalEventBus::running(config.event_bus.clone());
        let (lanes, holds) = (Mutex::default(), Mutex::default());
        Self { config, bus, stop: watch::Sender::new(false), lanes, holds, since: Instant::now() }
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The union over all sources that have not ended.
    pub(super) fn capabilities(&self) -> SourceCaps {
        let lanes = self.lanes().clone();
        let alive = lanes.iter().filter(|lane| !lane.has_ended());
        alive.map(|lane| lane.capabilities()).fold(SourceCaps::empty(), SourceCaps::union)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.lanes().iter().map(|lane| lane.name).collect();
        f.debug_struct("Shared")
            .field("config", &self.config)
            .field("sources", &sources)
            .finish_non_exhaustive()
    }
}

/// A handle to a collector; clones are handles to the same one. It keeps the collector's counters alive after the run.
#[derive(Clone, Debug)]
pub struct CollectorHandle {
    shared: Arc<Shared>,
}

impl CollectorHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes [`Collector::run`](super::Collector::run) stop. Returns at once; asking twice, or before the run, is no error.
    pub fn shutdown(&self) {
        self.shared.stop.send_replace(true);
    }

    /// What all sources that have not ended can see together.
    #[must_use]
    pub fn capabilities(&self) -> SourceCaps {
        self.shared.capabilities()
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> RuntimeStats {
        let lanes = self.shared.lanes().clone();
        let sources: Vec<_> = lanes.iter().map(|lane| lane.statistics()).collect();
        let active = |state| matches!(state, SourceState::Starting | SourceState::Running);
        RuntimeStats {
            uptime: self.shared.since.elapsed(),
            registered_sources: sources.len(),
            active_sources: sources.iter().filter(|source| active(source.state)).count(),
            events_processed: sources.iter().map(|source| source.events_published).sum(),
            errors_total: sources.iter().map(|source| source.errors).sum(),
            sources,
            event_bus: self.shared.bus.statistics(),
        }
    }

    /// How well the sources do, as of their last health check.
    #[must_use]
    pub fn health(&self) -> CollectorHealth {
        let sources: Vec<_> = self.shared.lanes().iter().map(|lane| lane.health()).collect();
        let status = sources.iter().map(|source| source.status).max().unwrap_or(HealthStatus::Unknown);
        CollectorHealth { status, sources }
    }
}
