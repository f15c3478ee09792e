//! What polling costs on this machine: processor time of a look at all processes, and at all TCP sockets.
//!
//! ```console
//! $ cargo run --release -p collector-sources --example poll_cost -- [LOOKS [FURTHER PROCESSES]]
//! ```
//! Further processes are `cat`s that wait for input; they end with the example.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector_core::{Collector, CollectorConfig};
use collector_sources::procfs::{ProcfsCapture, ProcfsConfig};
use collector_sources::procmond::MonitorHandle;
use rustix::time::{ClockId, clock_gettime};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let looks = arguments.next().transpose()?.unwrap_or(50).max(1);
    let further = arguments.next().transpose()?.unwrap_or(0);
    let spawn = |_| Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let children: Vec<Child> = (0..further).map(spawn).collect::<Result<_, _>>()?;

    let mut config = ProcfsConfig::default();
    // Looks when it is told to.
    config.monitor.base_config.collection_interval = Duration::from_secs(3600);
    let mut capture = ProcfsCapture::new(&config)?;
    let mut collector = Collector::new(CollectorConfig::new());
    for source in capture.sources() {
        collector.register(source)?;
    }
    let handle = collector.handle();
    let runtime = tokio::runtime::Runtime::new()?;
    let run = runtime.spawn(collector.run());
    for monitor in capture.handle().monitors() {
        measure(monitor, looks);
    }
    handle.shutdown();
    let result = runtime.block_on(run)?;
    for mut child in children {
        // Its input ends, and with that it does.
        drop(child.stdin.take());
        child.wait()?;
    }
    result
}

fn measure(monitor: &MonitorHandle, looks: u32) {
    // The first one reads everything in full, and is not what polling costs.
    until(monitor, 1);
    let first = Duration::from_nanos(monitor.stats().cycle_time_ns);
    let before = clock_gettime(ClockId::ProcessCPUTime);
    for number in 0..looks {
        monitor.look_now();
        until(monitor, u64::from(number) + 2);
    }
    let after = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_ns = (after.tv_sec - before.tv_sec) * 1_000_000_000 + after.tv_nsec - before.tv_nsec;
    let stats = monitor.stats();
    let look_ms = cpu_ns as f64 / 1e6 / f64::from(looks);
    let seen = stats.seen.max(1);
    println!(
        "{:15} {seen:6} seen, first look {:7.2} ms, then {look_ms:7.2} ms processor time a look, {:6.1} µs each",
        monitor.source(),
        first.as_secs_f64() * 1e3,
        look_ms * 1e3 / seen as f64,
    );
}

fn until(monitor: &MonitorHandle, cycles: u64) {
    while monitor.stats().collection_cycles < cycles {
        std::thread::sleep(Duration::from_millis(1));
    }
}
