//! Measurements.

use std::time::SystemTime;

use super::EventMeta;

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
    /// Part of the system it belongs to.
    pub component: String,
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
            timestamp: SystemTime::UNIX_EPOCH,
            meta: EventMeta::default(),
        }
    }
}
