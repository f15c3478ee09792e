//! One sample: the system, and the processes worth reporting.

use std::fs::read_to_string;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::SystemTime;

use collector_core::CollectionEvent;

use super::clock::SampleClock;
use super::config::PerformanceConfig;
use super::details::{InputOutput, describe};
use super::files::{Reader, open_directory};
use super::processes::{Found, Machine, Processes};
use super::stats::{PerformanceHandle, add};
use super::system::System;
use super::values::{CPU_USAGE, MEMORY_USAGE, Metric, Of, PROCESSES, Values};
use crate::identity::{Boot, clock_ticks};

/// Why a sample could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; is /proc mounted, and may this user read it?", path.display())]
pub struct SampleError {
    /// What could not be read.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Takes samples whenever it is asked to. [`PerformanceSource`](super::PerformanceSource) does so at intervals.
///
/// Rates are over the time since the sample before, so the first one has none.
#[derive(Debug)]
pub struct PerformanceSampler {
    config: PerformanceConfig,
    proc: PathBuf,
    pub(super) clock: SampleClock,
    boot: Option<Boot>,
    ticks_per_second: u64,
    own: u32,
    handle: PerformanceHandle,
    reader: Reader,
    system: System,
    processes: Processes,
    input_output: InputOutput,
}

impl PerformanceSampler {
    /// A sampler of this machine. Values of the configuration are taken as they are.
    #[must_use]
    pub fn new(config: PerformanceConfig, handle: PerformanceHandle) -> Self {
        Self::at(config, handle, PathBuf::from("/proc"), PathBuf::from("/sys"))
    }

    pub(super) fn at(
        config: PerformanceConfig,
        handle: PerformanceHandle,
        proc: PathBuf,
        sys: PathBuf,
    ) -> Self {
        let ticks_per_second = clock_ticks();
        let boot_id = read_to_string(proc.join("sys/kernel/random/boot_id")).ok();
        Self {
            config,
            clock: SampleClock::default(),
            boot: boot_id.map(|boot_id| Boot::new(&boot_id, ticks_per_second)),
            ticks_per_second,
            own: std::process::id(),
            handle,
            reader: Reader::new(),
            system: System::new(sys),
            processes: Processes::new(),
            input_output: InputOutput::default(),
            proc,
        }
    }

    /// Looks at everything once. A sample that fails is counted, and rates go on from the one before.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn sample(&mut self) -> Result<Vec<CollectionEvent>, SampleError> {
        let result = self.try_sample();
        let counters = self.handle.counters();
        match &result {
            Ok(events) => {
                add(&counters.samples, 1);
                add(&counters.values, events.len() as u64);
            }
            Err(_) => add(&counters.failures, 1),
        }
        result
    }

    fn try_sample(&mut self) -> Result<Vec<CollectionEvent>, SampleError> {
        let Self { config, proc: path, clock, boot, ticks_per_second, own, handle, reader, .. } = self;
        let failed = |path: PathBuf| move |source| SampleError { path, source };
        let proc = open_directory(path).map_err(failed(path.clone()))?;
        let counters = handle.counters();
        let mut values = Values::new(SystemTime::now(), counters);
        let processors = self
            .system
            .sample(proc.as_fd(), reader, clock.now_ns(), &mut values)
            .map_err(failed(path.join("stat")))?;
        let machine = Machine {
            ticks_per_second: *ticks_per_second,
            processors,
            page_bytes: rustix::param::page_size() as u64,
        };
        self.processes.look(proc.as_fd(), reader, clock, machine, counters).map_err(failed(path.clone()))?;
        values.level(&Of::System, Metric("processes", PROCESSES), self.processes.count() as f64);
        for found in self.processes.choose(config, *own, counters) {
            let process = describe(proc.as_fd(), reader, *boot, &found);
            let of = if found.pid == *own { Of::Collector(process) } else { Of::Process(process) };
            let Found { cpu, interval_ns, rss_bytes, .. } = found;
            if let Some(cpu) = cpu {
                values.over(&of, CPU_USAGE, Ok(cpu), interval_ns);
            }
            values.level(&of, MEMORY_USAGE, rss_bytes as f64);
            self.input_output.sample(proc.as_fd(), reader, clock, (&found, &of), &mut values);
        }
        self.input_output.finish();
        Ok(values.events)
    }
}
