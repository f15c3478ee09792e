//! Files about the whole system.

use super::{fraction, lines, number, words};

/// Ticks of all processors together, as `/proc/stat` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct CpuTicks {
    /// Running a process, the kernel or an interrupt.
    pub(in super::super) busy: u64,
    pub(in super::super) idle: u64,
    /// Idle while something waits for a disk. May go backwards.
    pub(in super::super) iowait: u64,
    /// Taken by the hypervisor for others.
    pub(in super::super) steal: u64,
}

/// What is needed of `/proc/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct SystemStat {
    pub(in super::super) cpu: CpuTicks,
    /// Processors online.
    pub(in super::super) processors: u32,
    pub(in super::super) context_switches: Option<u64>,
    pub(in super::super) forks: Option<u64>,
    pub(in super::super) running: Option<u64>,
    pub(in super::super) blocked: Option<u64>,
}

impl SystemStat {
    /// `None` without a line of all processors.
    pub(in super::super) fn parse(text: &[u8]) -> Option<Self> {
        let mut stat = Self::default();
        let mut cpu = None;
        for line in lines(text) {
            let mut fields = words(line);
            let value = |fields: &mut dyn Iterator<Item = &[u8]>| fields.next().and_then(number);
            match fields.next().unwrap_or_default() {
                b"cpu" => cpu = CpuTicks::parse(&mut fields),
                b"ctxt" => stat.context_switches = value(&mut fields),
                b"processes" => stat.forks = value(&mut fields),
                b"procs_running" => stat.running = value(&mut fields),
                b"procs_blocked" => stat.blocked = value(&mut fields),
                name if name.starts_with(b"cpu") => stat.processors = stat.processors.saturating_add(1),
                _ => {}
            }
        }
        stat.cpu = cpu?;
        Some(stat)
    }
}

impl CpuTicks {
    /// user nice system idle iowait irq softirq steal; guests are part of user and nice.
    fn parse<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut next = || fields.next().and_then(number);
        let [user, nice, system, idle] = [next()?, next()?, next()?, next()?];
        // Later ones came with later kernels.
        let [iowait, irq, softirq, steal] = [(); 4].map(|()| next().unwrap_or(0));
        let busy = [user, nice, system, irq, softirq].into_iter().try_fold(0, u64::checked_add)?;
        Some(Self { busy, idle, iowait, steal })
    }
}

/// What is needed of `/proc/meminfo`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Memory {
    pub(in super::super) total: Option<u64>,
    pub(in super::super) available: Option<u64>,
    pub(in super::super) swap_total: Option<u64>,
    pub(in super::super) swap_free: Option<u64>,
}

impl Memory {
    pub(in super::super) fn parse(text: &[u8]) -> Self {
        let mut memory = Self::default();
        for line in lines(text) {
            let mut fields = words(line);
            let place = match fields.next().unwrap_or_default() {
                b"MemTotal:" => &mut memory.total,
                b"MemAvailable:" => &mut memory.available,
                b"SwapTotal:" => &mut memory.swap_total,
                b"SwapFree:" => &mut memory.swap_free,
                _ => continue,
            };
            *place = fields.next().and_then(number).and_then(|kibibytes| kibibytes.checked_mul(1_024));
        }
        memory
    }
}

/// Load of the last 1, 5 and 15 minutes, from `/proc/loadavg`.
pub(in super::super) fn load(text: &[u8]) -> Option<[f64; 3]> {
    let mut fields = words(text);
    let mut next = || fields.next().and_then(fraction);
    Some([next()?, next()?, next()?])
}

/// Percent of the last ten seconds in which some or all tasks waited, from a file in `/proc/pressure`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Pressure {
    pub(in super::super) some: Option<f64>,
    pub(in super::super) full: Option<f64>,
}

impl Pressure {
    pub(in super::super) fn parse(text: &[u8]) -> Self {
        let average = |name: &[u8]| {
            let mut fields = lines(text)
                .map(words)
                .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
            let value = fields.find_map(|field| field.strip_prefix(b"avg10="))?;
            fraction(value).filter(|percent| *percent <= 100.0)
        };
        Self { some: average(b"some"), full: average(b"full") }
    }
}
