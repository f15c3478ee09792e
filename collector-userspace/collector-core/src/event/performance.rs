//! Measurements.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{EventMeta, ProcessRef};

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceEvent {
    /// What was measured, for example `cpu_usage`.
    pub metric_name: String,
    /// The value.
    pub value: f64,
    /// Its unit, for example `percent` or `bytes`.
    pub unit: String,
    /// Process it belongs to.
    pub pid: Option<u32>,
    /// Part of the system it belongs to, for example `system`, `process` or `collector`.
    pub component: String,
    /// The time over which it was taken, for a rate or an average; absent for what was read at one moment.
    pub interval: Option<Duration>,
    /// That process in a few words, where more than its pid is known.
    pub process: Option<Arc<ProcessRef>>,
    /// When it was measured.
    pub timestamp: SystemTime,
    /// Provenance.
    pub meta: EventMeta,
}

impl Default for PerformanceEvent {
    fn default() -> Self {
        Self {
            metric_name: String::new(),
            value: 0.0,
            unit: String::new(),
            pid: None,
            component: String::new(),
            interval: None,
            process: None,
            timestamp: SystemTime::UNIX_EPOCH,
            meta: EventMeta::default(),
        }
    }
}
