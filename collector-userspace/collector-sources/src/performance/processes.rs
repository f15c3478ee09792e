//! What the processes do: a look at all of them, and which ones are worth reporting.

use std::fmt::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustc_hash::FxHashMap;
use rustix::fs::{Mode, OFlags, RawDir, openat};

use super::clock::SampleClock;
use super::config::PerformanceConfig;
use super::delta::{NoValue, growth, percent_of_one};
use super::files::Reader;
use super::parse::{PidStat, number};
use super::stats::{Counters, add};

/// Most processes remembered from one sample to the next, at 40 bytes each.
const MOST_REMEMBERED: usize = 65_536;
/// Most processes reported in a sample.
const MOST_REPORTED: usize = 2_000;
/// Bytes of directory entries taken from the kernel at once.
const ENTRIES: usize = 32 << 10;

/// Looks at all processes, and remembers their processor time.
#[derive(Debug)]
pub(super) struct Processes {
    known: FxHashMap<u32, Known>,
    found: Vec<Found>,
    entries: Vec<u8>,
    path: String,
    round: u32,
    /// When the last look began.
    last_ns: Option<u64>,
}

/// A process as it was seen last. Pid and start make its identity.
#[derive(Clone, Copy, Debug)]
struct Known {
    start_ticks: u64,
    cpu_ticks: u64,
    read_ns: u64,
    round: u32,
}

/// A process as it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) start_stack: u64,
    /// Percent of one processor, where it is known.
    pub(super) cpu: Option<f64>,
    /// The time that is about.
    pub(super) interval_ns: u64,
    pub(super) rss_bytes: u64,
    chosen: bool,
}

/// What does not change from process to process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) ticks_per_second: u64,
    pub(super) processors: u32,
    pub(super) page_bytes: u64,
}

impl Processes {
    pub(super) fn new() -> Self {
        Self {
            known: FxHashMap::default(),
            found: Vec::new(),
            entries: Vec::with_capacity(ENTRIES),
            path: String::new(),
            round: 0,
            last_ns: None,
        }
    }

    /// Reads one line of each process. Allocates only when there are more of them than ever before.
    pub(super) fn look(
        &mut self,
        proc: BorrowedFd<'_>,
        reader: &mut Reader,
        clock: &SampleClock,
        machine: Machine,
        counters: &Counters,
    ) -> std::io::Result<()> {
        let began_ns = clock.now_ns();
        let last_ns = self.last_ns.replace(began_ns);
        self.round = self.round.wrapping_add(1);
        self.found.clear();
        let Self { known, found, entries, path, round, .. } = self;
        let directory =
            openat(proc, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut listed = RawDir::new(directory.as_fd(), entries.spare_capacity_mut());
        while let Some(entry) = listed.next() {
            let Some(pid) = pid_of(entry?.file_name().to_bytes()) else { continue };
            path.clear();
            // Writing to a String cannot fail.
            let _ = write!(path, "{pid}/stat");
            let Ok(line) = reader.read_once(proc, path) else { continue };
            let Some(stat) = PidStat::parse(line) else { continue };
            let now = Known {
                start_ticks: stat.start_ticks,
                cpu_ticks: stat.cpu_ticks,
                read_ns: clock.now_ns(),
                round: *round,
            };
            let since = match known.get(&pid) {
                Some(before) if before.start_ticks == now.start_ticks => {
                    Some((before.cpu_ticks, before.read_ns))
                }
                // It had none before it started, so what it has it took since the last look.
                _ => last_ns
                    .filter(|last_ns| started_after(*last_ns, stat.start_ticks, machine))
                    .map(|last| (0, last)),
            };
            let interval_ns = since.map_or(0, |(_, then_ns)| now.read_ns.saturating_sub(then_ns));
            let cpu = since.and_then(|(before, _)| {
                let percent = growth(before, now.cpu_ticks).and_then(|ticks| {
                    percent_of_one(ticks, interval_ns, machine.ticks_per_second, machine.processors)
                });
                percent.map_err(|reason| count(counters, reason)).ok()
            });
            if known.len() < MOST_REMEMBERED || known.contains_key(&pid) {
                known.insert(pid, now);
            } else {
                add(&counters.untracked, 1);
            }
            found.push(Found {
                pid,
                start_ticks: stat.start_ticks,
                start_stack: stat.start_stack,
                cpu,
                interval_ns,
                rss_bytes: stat.rss_pages.saturating_mul(machine.page_bytes),
                chosen: false,
            });
        }
        let round = *round;
        known.retain(|_, process| process.round == round);
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// Those worth reporting, the busiest first: the busiest ones, the largest ones, those above a threshold, and `own`.
    pub(super) fn choose(&mut self, config: &PerformanceConfig, own: u32, counters: &Counters) -> Vec<Found> {
        let PerformanceConfig { max_processes, cpu_threshold, memory_threshold, .. } = *config;
        let found = &mut self.found;
        mark(found, max_processes, |process| process.cpu.unwrap_or(0.0));
        mark(found, max_processes, |process| process.rss_bytes as f64);
        let threshold = f64::from(cpu_threshold);
        let above = |process: &Found| {
            process.cpu.is_some_and(|cpu| cpu >= threshold) || process.rss_bytes >= memory_threshold
        };
        let is_wanted = |process: &&Found| process.chosen || process.pid == own || above(process);
        let mut chosen: Vec<Found> = found.iter().filter(is_wanted).copied().collect();
        chosen.sort_by(|one, other| {
            let key = |process: &Found| (process.pid == own, process.chosen, process.cpu.unwrap_or(0.0));
            let ((own, chosen, cpu), (other_own, other_chosen, other_cpu)) = (key(one), key(other));
            (other_own, other_chosen)
                .cmp(&(own, chosen))
                .then(other_cpu.total_cmp(&cpu))
                .then(one.pid.cmp(&other.pid))
        });
        let unreported = chosen.len().saturating_sub(MOST_REPORTED);
        chosen.truncate(MOST_REPORTED);
        add(&counters.unreported, unreported as u64);
        chosen
    }
}

/// Marks the `most` processes that have most of something; none that has nothing.
fn mark(found: &mut [Found], most: usize, amount: impl Fn(&Found) -> f64) {
    let most = if most < found.len() {
        found.select_nth_unstable_by(most, |one, other| amount(other).total_cmp(&amount(one)));
        most
    } else {
        found.len()
    };
    for process in found.iter_mut().take(most) {
        process.chosen |= amount(process) > 0.0;
    }
}

fn count(counters: &Counters, reason: NoValue) {
    add(
        match reason {
            NoValue::Backwards => &counters.backwards,
            NoValue::Implausible => &counters.implausible,
        },
        1,
    );
}

/// The pid a directory is named after. Others, `self` among them, are not named after one.
fn pid_of(name: &[u8]) -> Option<u32> {
    u32::try_from(number(name)?).ok().filter(|pid| *pid != 0)
}

/// Whether a process started after that moment. One that started in the same tick may have, and is not counted as such.
fn started_after(moment_ns: u64, start_ticks: u64, machine: Machine) -> bool {
    let tick_ns = 1_000_000_000 / machine.ticks_per_second.max(1);
    start_ticks > moment_ns / tick_ns.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pid: u32, cpu: Option<f64>, rss_bytes: u64) -> Found {
        Found { pid, start_ticks: 1, start_stack: 0, cpu, interval_ns: 1, rss_bytes, chosen: false }
    }

    fn choose(config: PerformanceConfig, found: Vec<Found>) -> (Vec<u32>, u64) {
        let counters = Counters::default();
        let mut processes = Processes { found, ..Processes::new() };
        let chosen = processes.choose(&config, 99, &counters).iter().map(|process| process.pid).collect();
        (chosen, counters.unreported.into_inner())
    }

    const NONE: PerformanceConfig = PerformanceConfig {
        interval: std::time::Duration::from_secs(10),
        max_processes: 0,
        cpu_threshold: 1_000,
        memory_threshold: u64::MAX,
    };

    #[test]
    fn the_busiest_and_the_largest_are_reported() {
        let all = || {
            vec![
                found(1, Some(5.0), 10),
                found(2, Some(50.0), 1),
                found(3, Some(0.0), 500),
                found(4, None, 400),
                found(5, Some(20.0), 0),
                found(99, Some(0.1), 2),
            ]
        };
        assert_eq!(choose(NONE, all()).0, [99]);
        assert_eq!(choose(PerformanceConfig { max_processes: 1, ..NONE }, all()).0, [99, 2, 3]);
        assert_eq!(choose(PerformanceConfig { max_processes: 2, ..NONE }, all()).0, [99, 2, 5, 3, 4]);
        assert_eq!(choose(PerformanceConfig { max_processes: 100, ..NONE }, all()).0, [99, 2, 5, 1, 3, 4]);
        assert_eq!(choose(PerformanceConfig { cpu_threshold: 20, ..NONE }, all()).0, [99, 2, 5]);
        assert_eq!(choose(PerformanceConfig { memory_threshold: 400, ..NONE }, all()).0, [99, 3, 4]);
    }

    #[test]
    fn what_does_nothing_and_has_nothing_is_no_top() {
        let idle = vec![found(1, Some(0.0), 0), found(2, None, 0)];
        assert_eq!(choose(PerformanceConfig { max_processes: 5, ..NONE }, idle).0, [0_u32; 0]);
    }

    #[test]
    fn reports_are_bounded_and_the_rest_is_counted() {
        let many = (1..=MOST_REPORTED as u32 + 7).map(|pid| found(pid + 100, Some(100.0), 1)).collect();
        let (chosen, unreported) = choose(PerformanceConfig { cpu_threshold: 50, ..NONE }, many);
        assert_eq!((chosen.len(), unreported), (MOST_REPORTED, 7));
    }

    #[test]
    fn only_numbers_are_pids() {
        let names: [&[u8]; 8] = [b"1", b"4194304", b"self", b"0", b"", b"-1", b"4294967296", b"1\xff"];
        assert_eq!(names.map(pid_of), [Some(1), Some(4_194_304), None, None, None, None, None, None]);
    }
}
