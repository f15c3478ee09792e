//! Counters of the runtime.

use std::time::Duration;

use crate::bus::EventBusStatistics;
use crate::source::SourceCaps;

/// Where a source is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceState {
    /// The collector does not run yet.
    #[default]
    Registered,
    /// Its `start` has been called and is not [started](crate::EventSource::is_started) yet.
    Starting,
    /// Its `start` goes on.
    Running,
    /// Its `start` failed and will be called again after a pause.
    Restarting,
    /// Its `start` returned without an error.
    Finished,
    /// Its `start` returned an error or panicked.
    Failed,
    /// It did not end in time.
    Abandoned,
}

/// Counters of one source.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SourceStats {
    /// The source.
    pub name: &'static str,
    /// Where it is in its life.
    pub state: SourceState,
    /// What it says it can see now.
    pub capabilities: SourceCaps,
    /// Events it sent.
    pub events_received: u64,
    /// Events of it that were put on the bus.
    pub events_published: u64,
    /// Batches those came in.
    pub batches: u64,
    /// Events that were still between source and bus when the shutdown timeout was over.
    pub events_lost_at_shutdown: u64,
    /// How often it was started again after a failure.
    pub restarts: u64,
    /// Failures of `start`, `stop` and health checks.
    pub errors: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Counters of a collector since it was made.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct RuntimeStats {
    /// How long the collector has existed.
    #[serde(with = "crate::config::duration")]
    pub uptime: Duration,
    /// Sources registered.
    pub registered_sources: usize,
    /// Sources whose `start` goes on.
    pub active_sources: usize,
    /// Events put on the bus, of all sources.
    pub events_processed: u64,
    /// Errors of all sources.
    pub errors_total: u64,
    /// Each source, in order of registration.
    pub sources: Vec<SourceStats>,
    /// The bus.
    pub event_bus: EventBusStatistics,
}
