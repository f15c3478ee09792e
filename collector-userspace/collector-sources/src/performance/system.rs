//! What the whole system does.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use super::delta::{NoValue, growth, per_second};
use super::devices::{Devices, Which};
use super::files::{Reader, open_directory};
use super::parse::{self, CpuTicks, Memory, Pressure, SystemStat};
use super::values::{
    BYTES, BYTES_PER_SECOND, CPU_USAGE, DISK_READ, DISK_WRITE, MEMORY_USAGE, Metric, Of, PER_SECOND, PERCENT,
    PROCESSES, Values,
};

/// Files that a kernel may not have, each with the bit that remembers that this was said.
const OPTIONAL: [(&str, &str); 7] = [
    ("meminfo", "memory"),
    ("loadavg", "load"),
    ("pressure/cpu", "pressure on processors"),
    ("pressure/memory", "pressure on memory"),
    ("pressure/io", "pressure on I/O"),
    ("diskstats", "disks"),
    ("net/dev", "network interfaces"),
];

/// Samples the system, and remembers the counters of the last time.
#[derive(Debug)]
pub(super) struct System {
    sys: PathBuf,
    last: Option<(SystemStat, u64)>,
    disks: Devices,
    interfaces: Devices,
    /// A bit for each of [`OPTIONAL`] that is missing.
    missing: u8,
}

impl System {
    pub(super) fn new(sys: PathBuf) -> Self {
        Self { sys, last: None, disks: Devices::default(), interfaces: Devices::default(), missing: 0 }
    }

    /// Adds the values of the system; returns the number of processors.
    pub(super) fn sample(
        &mut self,
        proc: BorrowedFd<'_>,
        reader: &mut Reader,
        now_ns: u64,
        values: &mut Values<'_>,
    ) -> std::io::Result<u32> {
        let stat = SystemStat::parse(reader.read(proc, "stat")?)
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "it has no line `cpu`"))?;
        let last = self.last.replace((stat, now_ns));
        let elapsed_ns = last.map_or(0, |(_, then_ns)| now_ns.saturating_sub(then_ns));
        if let Some((before, _)) = last {
            cpu(before.cpu, stat.cpu, elapsed_ns, values);
            for (name, before, after) in [
                ("context_switches", before.context_switches, stat.context_switches),
                ("process_forks", before.forks, stat.forks),
            ] {
                if let (Some(before), Some(after)) = (before, after) {
                    let rate = per_second(before, after, elapsed_ns);
                    values.over(&Of::System, Metric(name, PER_SECOND), rate, elapsed_ns);
                }
            }
        }
        for (name, value) in [("processes_running", stat.running), ("processes_blocked", stat.blocked)] {
            level(values, Metric(name, PROCESSES), value);
        }
        let Self { sys, disks, interfaces, missing, .. } = self;
        memory(optional(proc, reader, missing, 0).map(Memory::parse), values);
        if let Some(loads) = optional(proc, reader, missing, 1).and_then(parse::load) {
            for (name, load) in ["load_1m", "load_5m", "load_15m"].into_iter().zip(loads) {
                values.level(&Of::System, Metric(name, PROCESSES), load);
            }
        }
        let pressures = [2, 3, 4].map(|index| optional(proc, reader, missing, index).map(Pressure::parse));
        pressure(pressures, values);
        if let Some(text) = optional(proc, reader, missing, 5) {
            observe(disks, &sys.join("block"), parse::disks(text));
            let sum = disks.sum(Which::Real);
            rates([DISK_READ, DISK_WRITE], sum, elapsed_ns, values);
        }
        if let Some(text) = optional(proc, reader, missing, 6) {
            let others = parse::interfaces(text).filter(|(name, _)| *name != b"lo");
            observe(interfaces, &sys.join("class/net"), others);
            let metrics = ["network_receive", "network_transmit"].map(|name| Metric(name, BYTES_PER_SECOND));
            rates(metrics, interfaces.sum(Which::RealOrAll), elapsed_ns, values);
        }
        Ok(stat.processors.max(1))
    }
}

/// Reads a file that may not be there, and says once if it is not.
fn optional<'r>(
    proc: BorrowedFd<'_>,
    reader: &'r mut Reader,
    missing: &mut u8,
    index: usize,
) -> Option<&'r [u8]> {
    let (path, what) = *OPTIONAL.get(index)?;
    let bit = 1 << index;
    match reader.read(proc, path) {
        Ok(text) => {
            *missing &= !bit;
            Some(text)
        }
        Err(error) => {
            if *missing & bit == 0 {
                tracing::info!(file = path, %error, "no samples of {what}: this kernel does not tell");
            }
            *missing |= bit;
            None
        }
    }
}

fn level(values: &mut Values<'_>, metric: Metric, value: Option<u64>) {
    if let Some(value) = value {
        values.level(&Of::System, metric, value as f64);
    }
}

/// Percent of all processors.
fn cpu(before: CpuTicks, after: CpuTicks, elapsed_ns: u64, values: &mut Values<'_>) {
    let parts = || -> Result<[u64; 4], NoValue> {
        Ok([
            growth(before.busy, after.busy)?,
            growth(before.idle, after.idle)?,
            growth(before.iowait, after.iowait)?,
            growth(before.steal, after.steal)?,
        ])
    };
    let parts = match parts() {
        Ok(parts) => parts,
        Err(reason) => return values.none(reason),
    };
    let total = parts.iter().fold(0, |total: u64, part| total.saturating_add(*part));
    let [busy, _, iowait, steal] = parts;
    for (metric, part) in
        [(CPU_USAGE, busy), (Metric("cpu_iowait", PERCENT), iowait), (Metric("cpu_steal", PERCENT), steal)]
    {
        let share = if total == 0 {
            Err(NoValue::Implausible)
        } else {
            Ok((part as f64 / total as f64 * 100.0).min(100.0))
        };
        values.over(&Of::System, metric, share, elapsed_ns);
    }
}

fn memory(memory: Option<Memory>, values: &mut Values<'_>) {
    let Memory { total, available, swap_total, swap_free } = memory.unwrap_or_default();
    let used = |total: Option<u64>, free: Option<u64>| total?.checked_sub(free?);
    for (metric, value) in [
        (Metric("memory_total", BYTES), total),
        (Metric("memory_available", BYTES), available),
        (MEMORY_USAGE, used(total, available)),
        (Metric("swap_total", BYTES), swap_total),
        (Metric("swap_usage", BYTES), used(swap_total, swap_free)),
    ] {
        level(values, metric, value);
    }
}

/// Processors have no `full`: for the whole system the kernel writes zero there, whatever happens.
fn pressure([cpu, memory, io]: [Option<Pressure>; 3], values: &mut Values<'_>) {
    for (name, percent) in [
        ("pressure_cpu_some", cpu.and_then(|cpu| cpu.some)),
        ("pressure_memory_some", memory.and_then(|memory| memory.some)),
        ("pressure_memory_full", memory.and_then(|memory| memory.full)),
        ("pressure_io_some", io.and_then(|io| io.some)),
        ("pressure_io_full", io.and_then(|io| io.full)),
    ] {
        if let Some(percent) = percent {
            values.level(&Of::System, Metric(name, PERCENT), percent);
        }
    }
}

/// Devices that are real have a link to what they are part of.
fn observe<'t>(devices: &mut Devices, class: &Path, seen: impl Iterator<Item = (&'t [u8], [u64; 2])>) {
    let directory = open_directory(class).ok();
    devices.begin();
    for (name, counters) in seen {
        devices.observe(name, counters, || {
            let link = || {
                let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('/'))?;
                let path = format!("{name}/device");
                rustix::fs::accessat(
                    directory.as_ref()?.as_fd(),
                    path,
                    rustix::fs::Access::EXISTS,
                    rustix::fs::AtFlags::empty(),
                )
                .ok()
            };
            link().is_some()
        });
    }
}

fn rates(
    metrics: [Metric; 2],
    sum: Option<Result<[u64; 2], NoValue>>,
    elapsed_ns: u64,
    values: &mut Values<'_>,
) {
    match sum {
        None => {}
        Some(Err(reason)) => values.none(reason),
        Some(Ok(sum)) => {
            for (metric, bytes) in metrics.into_iter().zip(sum) {
                values.over(&Of::System, metric, per_second(0, bytes, elapsed_ns), elapsed_ns);
            }
        }
    }
}
