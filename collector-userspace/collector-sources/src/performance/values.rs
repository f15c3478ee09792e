//! Values on their way to becoming events.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use collector_core::{Capture, CollectionEvent, EventMeta, PerformanceEvent, ProcessRef};

use super::NAME;
use super::delta::NoValue;
use super::stats::{Counters, add};

/// Whose value it is.
#[derive(Clone, Debug)]
pub(super) enum Of {
    System,
    Process(Arc<ProcessRef>),
    /// The agent's own process.
    Collector(Arc<ProcessRef>),
}

/// What a value is called, and what it is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metric(pub(super) &'static str, pub(super) &'static str);

pub(super) const PERCENT: &str = "percent";
pub(super) const BYTES: &str = "bytes";
pub(super) const BYTES_PER_SECOND: &str = "bytes/s";
pub(super) const PER_SECOND: &str = "1/s";
pub(super) const PROCESSES: &str = "processes";

pub(super) const CPU_USAGE: Metric = Metric("cpu_usage", PERCENT);
pub(super) const MEMORY_USAGE: Metric = Metric("memory_usage", BYTES);
pub(super) const DISK_READ: Metric = Metric("disk_read", BYTES_PER_SECOND);
pub(super) const DISK_WRITE: Metric = Metric("disk_write", BYTES_PER_SECOND);

/// The values of one sample.
#[derive(Debug)]
pub(super) struct Values<'a> {
    timestamp: SystemTime,
    counters: &'a Counters,
    pub(super) events: Vec<CollectionEvent>,
}

impl<'a> Values<'a> {
    pub(super) const fn new(timestamp: SystemTime, counters: &'a Counters) -> Self {
        Self { timestamp, counters, events: Vec::new() }
    }

    /// A value of this moment.
    pub(super) fn level(&mut self, of: &Of, metric: Metric, value: f64) {
        self.push(of, metric, value, None);
    }

    /// A value over the time since the last sample, or a reason why there is none, to be counted.
    pub(super) fn over(&mut self, of: &Of, metric: Metric, value: Result<f64, NoValue>, interval_ns: u64) {
        match value {
            Ok(value) => self.push(of, metric, value, Some(Duration::from_nanos(interval_ns))),
            Err(reason) => self.none(reason),
        }
    }

    /// Counts a value that there is not.
    pub(super) fn none(&self, reason: NoValue) {
        let Counters { backwards, implausible, .. } = self.counters;
        add(
            match reason {
                NoValue::Backwards => backwards,
                NoValue::Implausible => implausible,
            },
            1,
        );
    }

    fn push(&mut self, of: &Of, metric: Metric, value: f64, interval: Option<Duration>) {
        let Metric(name, unit) = metric;
        let (component, process) = match of {
            Of::System => ("system", None),
            Of::Process(process) => ("process", Some(process)),
            Of::Collector(process) => ("collector", Some(process)),
        };
        self.events.push(CollectionEvent::Performance(PerformanceEvent {
            metric_name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            pid: process.map(|process| process.pid),
            component: component.to_owned(),
            interval,
            process: process.cloned(),
            timestamp: self.timestamp,
            meta: EventMeta { source: NAME, capture: Capture::Procfs, sequence: None },
        }));
    }
}
