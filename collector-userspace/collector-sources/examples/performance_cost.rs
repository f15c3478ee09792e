//! What a performance sample costs: `cargo run --release -p collector-sources --example performance_cost -- 500`.
//!
//! Starts idle processes until there are that many, takes samples one after the other, and prints the processor time of one,
//! kernel included, and its share of a processor at the default interval.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector_sources::performance::{PerformanceConfig, PerformanceHandle, PerformanceSampler};
use rustix::time::{ClockId, clock_gettime};

/// Samples measured.
const SAMPLES: u32 = 100;

/// A process that waits for input that never comes; ends when this one does, whatever happens.
struct Idle(Child);

impl Idle {
    fn start() -> std::io::Result<Self> {
        Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map(Self)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn processes() -> std::io::Result<usize> {
    let names = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.parse::<u32>().is_ok()).count())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: usize = std::env::args().nth(1).map_or(Ok(500), |count| count.parse())?;
    let missing = wanted.saturating_sub(processes()?);
    let idle = (0..missing).map(|_| Idle::start()).collect::<Result<Vec<_>, _>>()?;
    let config = PerformanceConfig::default();
    let mut sampler = PerformanceSampler::new(config, PerformanceHandle::default());
    // The first one has no rates, and fills the tables.
    for _ in 0..2 {
        sampler.sample()?;
    }
    let start = processor_time();
    let mut events = 0;
    for _ in 0..SAMPLES {
        events += sampler.sample()?.len();
    }
    let cost = (processor_time() - start) / SAMPLES;
    println!(
        "{} processes: {cost:?} of processor time and {} events a sample, {:.4} % of a processor every {:?}",
        processes()?,
        events / SAMPLES as usize,
        cost.as_secs_f64() / config.interval.as_secs_f64() * 100.0,
        config.interval
    );
    drop(idle);
    Ok(())
}
