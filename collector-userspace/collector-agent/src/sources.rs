//! The sources of a run: those of the kernel programs, and the one that needs none, performance samples.

use std::fs::{File, read};

use collector_core::EventSource;
use collector_sources::performance::{PerformanceConfig, PerformanceHandle, PerformanceSource};
use collector_sources::{CaptureHandle, KernelConfig};

use crate::capture::{PlannedKind, Running};
use crate::config::{Config, Performance, Source};
use crate::failure::{Failure, Kind};
use crate::status::Status;

/// What a run captures with.
#[derive(Debug)]
pub(crate) struct Sources {
    kernel: Option<Running>,
    performance: Option<PerformanceSource>,
    counters: Counters,
}

/// What the sources count, also after their end.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    kernel: Option<CaptureHandle>,
    performance: Option<PerformanceHandle>,
}

impl Sources {
    /// Starts what is wanted. Kernel programs are loaded only if something needs them.
    pub(crate) fn start(config: &Config, kernel: &KernelConfig) -> Result<Self, Failure> {
        let performance = performance(config)?;
        let kernel = config.capture.needs_kernel().then(|| Running::start(kernel)).transpose()?;
        let counters = Counters {
            kernel: kernel.as_ref().map(Running::handle),
            performance: performance.as_ref().map(PerformanceSource::handle),
        };
        Ok(Self { kernel, performance, counters })
    }

    /// The sources of events, once.
    pub(crate) fn take(&mut self) -> Vec<Box<dyn EventSource>> {
        let mut sources = self.kernel.as_mut().map(Running::sources).unwrap_or_default();
        sources.extend(self.performance.take().map(|source| -> Box<dyn EventSource> { Box::new(source) }));
        sources
    }

    /// What they count.
    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// What serves which kind.
    pub(crate) fn plan(&self) -> Vec<PlannedKind> {
        let mut plan = self.kernel.as_ref().map(Running::plan).unwrap_or_default();
        plan.extend(self.counters.performance.as_ref().map(|_| planned_samples()));
        plan
    }
}

impl Counters {
    /// Puts the counters of the moment into the status.
    pub(crate) fn fill(&self, status: &mut Status) {
        let Self { kernel, performance } = self;
        status.capture = kernel.as_ref().map(CaptureHandle::stats).unwrap_or_default();
        status.performance = performance.as_ref().map(PerformanceHandle::stats);
    }
}

fn performance(config: &Config) -> Result<Option<PerformanceSource>, Failure> {
    if !config.capture.sources.contains(&Source::Performance) {
        return Ok(None);
    }
    if !config.capture.filter.is_empty() {
        tracing::warn!("filters are for the kernel programs: performance samples are of the whole system");
    }
    let source = PerformanceSource::new(library_config(&config.performance));
    source.map(Some).map_err(|error| Failure::new(Kind::Usage, error))
}

/// What the library needs to know.
pub(crate) const fn library_config(performance: &Performance) -> PerformanceConfig {
    let Performance { interval, max_processes, cpu_threshold, memory_threshold } = *performance;
    PerformanceConfig {
        interval: interval.0,
        max_processes,
        cpu_threshold,
        memory_threshold: memory_threshold.0,
    }
}

/// How samples fare here.
pub(crate) fn planned_samples() -> PlannedKind {
    let mut lacks = Vec::new();
    let readable = File::open("/proc/stat");
    let captured = readable.is_ok();
    if let Err(error) = readable {
        lacks.push(format!("cannot read /proc/stat: {error}"));
    } else if let Err(error) = read("/proc/pressure/cpu") {
        lacks.push(format!("pressure: cannot read /proc/pressure: {error}"));
    }
    PlannedKind { kind: "performance.sample".to_owned(), captured, tier: "C".to_owned(), lacks }
}
