//! The sources of a run: those of the kernel programs or, where the kernel takes none, of polling; and performance samples,
//! which need neither.

use std::fs::{File, read};

use collector_core::EventSource;
use collector_sources::performance::{PerformanceConfig, PerformanceHandle, PerformanceSource};
use collector_sources::procfs::{ProcfsCapture, ProcfsHandle};
use collector_sources::{CaptureHandle, KernelConfig};

use crate::capture::{PlannedKind, Running, describe};
use crate::config::{Config, Mode, Performance, Source};
use crate::failure::{Failure, Kind};
use crate::output::message;
use crate::polling;
use crate::status::Status;

/// What a run captures with.
#[derive(Debug)]
pub(crate) struct Sources {
    kernel: Option<Running>,
    polling: Option<ProcfsCapture>,
    performance: Option<PerformanceSource>,
    /// How what is polled fares.
    polled: Vec<PlannedKind>,
    counters: Counters,
}

/// What the sources count, also after their end.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    kernel: Option<CaptureHandle>,
    polling: Option<ProcfsHandle>,
    /// Why it is polled, if that was not asked for.
    refused: Option<String>,
    performance: Option<PerformanceHandle>,
}

impl Sources {
    /// Starts what is wanted. Kernel programs are loaded only if something needs them; where the kernel refuses them, and the
    /// configuration allows it, what polling can see is polled instead, and a message says so.
    pub(crate) fn start(config: &Config, kernel: &KernelConfig) -> Result<Self, Failure> {
        let performance = performance(config)?;
        let capture = &config.capture;
        let poll = || polling::start(capture, kernel.filter.clone());
        let (running, polling, refused) = match capture.mode {
            _ if !capture.needs_kernel() => (None, None, None),
            Mode::Kernel => (Some(Running::start(kernel)?), None, None),
            Mode::Procfs => (None, Some(poll()?), None),
            Mode::Auto => match Running::start(kernel) {
                Ok(running) => (Some(running), None, None),
                // Without anything to poll the refusal is the story.
                Err(refusal) => match poll() {
                    Ok(polling) => (None, Some(polling), Some(refusal)),
                    Err(_) => return Err(refusal),
                },
            },
        };
        if let Some(refusal) = &refused {
            tell(refusal);
        }
        let polled = polling.as_ref().map(|_| polling::plan(&capture.sources)).unwrap_or_default();
        let kernel = running;
        let counters = Counters {
            kernel: kernel.as_ref().map(Running::handle),
            polling: polling.as_ref().map(ProcfsCapture::handle),
            refused: refused.as_ref().map(Failure::sentence),
            performance: performance.as_ref().map(PerformanceSource::handle),
        };
        Ok(Self { kernel, polling, performance, polled, counters })
    }

    /// The sources of events, once.
    pub(crate) fn take(&mut self) -> Vec<Box<dyn EventSource>> {
        let mut sources = self.kernel.as_mut().map(Running::sources).unwrap_or_default();
        sources.extend(self.polling.as_mut().map(ProcfsCapture::sources).unwrap_or_default());
        sources.extend(self.performance.take().map(|source| -> Box<dyn EventSource> { Box::new(source) }));
        sources
    }

    /// What they count.
    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Whether `/proc` is polled for processes, connections or both.
    pub(crate) fn polls(&self) -> bool {
        self.polling.is_some()
    }

    /// What serves which kind.
    pub(crate) fn plan(&self) -> Vec<PlannedKind> {
        let mut plan = self.kernel.as_ref().map(Running::plan).unwrap_or_default();
        plan.extend(self.polled.iter().cloned());
        plan.extend(self.counters.performance.as_ref().map(|_| planned_samples()));
        plan
    }
}

impl Counters {
    /// Puts the counters of the moment into the status.
    pub(crate) fn fill(&self, status: &mut Status) {
        let Self { kernel, polling, refused, performance } = self;
        status.capture = kernel.as_ref().map(CaptureHandle::stats).unwrap_or_default();
        if let Some(kernel) = kernel {
            status.self_check = kernel.self_check();
            // Programs may have been replaced since the last time.
            for now in describe(&kernel.plan(), u64::MAX) {
                if let Some(planned) = status.plan.iter_mut().find(|planned| planned.kind == now.kind) {
                    *planned = now;
                }
            }
        }
        let polling = polling.iter().flat_map(ProcfsHandle::stats);
        status.polling = polling.map(|(name, stats)| (name.to_owned(), stats)).collect();
        status.kernel_refused.clone_from(refused);
        status.performance = performance.as_ref().map(PerformanceHandle::stats);
    }
}

/// Says that less is seen than was hoped for.
fn tell(refusal: &Failure) {
    message(format_args!("warning: the kernel takes no programs: {}", refusal.sentence()));
    message(format_args!(
        "warning: polling /proc instead: processes and connections that end between two looks are missed, files are not seen"
    ));
    if let Some(remedy) = refusal.remedy() {
        message(format_args!("hint: {remedy}"));
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
    PlannedKind {
        kind: "performance.sample".to_owned(),
        captured,
        tier: "C".to_owned(),
        lacks,
        no_better: String::new(),
    }
}
