//! Collectors that look at intervals, and what changed between two looks.
//!
//! Polling sees what is there when it looks: a process that starts and ends between two looks leaves no trace, and the time of
//! a change is the time of the look that found it. What it can tell it tells with the same events as a source that sees things
//! happen, so that rules need not know the difference; `capture` and the object `lifecycle` of an event say how it was learnt.
//!
//! * [`MonitorCollector`]: an [`EventSource`](crate::EventSource) that polls, with statistics and a health check;
//!   [`MonitorCollectorConfig`] and [`MonitorCollectorStats`] are what all of them share.
//! * [`LifecycleTracker`]: from successive [`Look`]s at the processes to [`LifecycleEvent`]s. Pure: it reads nothing, knows no
//!   clock, and is bounded.
//! * [`MonitorDatabase`]: where a monitor keeps its events, and what it has seen, so that a restart loses neither.

mod collector;
mod config;
mod database;
mod lifecycle;
mod stats;

pub use collector::MonitorCollector;
pub use config::{MonitorCollectorConfig, MonitorConfigError};
pub use database::{MemoryChange, MonitorBatch, MonitorDatabase, MonitorDatabaseError};
pub use lifecycle::{
    LIFECYCLE_KEY, LifecycleChange, LifecycleEvent, LifecycleTracker, LifecycleTrackingConfig, Look,
    RememberedProcess, Suspicion, TrackerCounts,
};
pub use stats::{MonitorCollectorStats, MonitorCollectorStatsSnapshot};
