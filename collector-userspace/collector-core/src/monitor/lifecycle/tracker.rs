//! The tracker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::change::{has_executed, has_other_path, has_other_user, image, is_same_process};
use super::suspicion::suspicions;
use super::{LifecycleChange, LifecycleEvent, LifecycleTrackingConfig};
use crate::event::{ProcessEvent, ProcessEventKind};

/// Least difference of resident memory that is a change, in bytes.
const LEAST_MEMORY_CHANGE: u64 = 1 << 20;

/// All processes at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it was made.
    pub at: SystemTime,
    /// The processes that were read, parents before their children. Of several with one pid the first counts.
    pub processes: Vec<Arc<ProcessEvent>>,
    /// Pids that exist and were not read: these processes have not ended.
    pub unread: Vec<u32>,
}

/// Counters of a tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerCounts {
    /// Looks it was given.
    pub looks: u64,
    /// Processes it tracks at the moment.
    pub tracked: usize,
    /// Processes of the last look that it does not, because there is no room.
    pub not_tracked: usize,
}

/// Compares each [`Look`] with the one before and tells what happened in between.
///
/// It knows at most [`max_snapshots`](LifecycleTrackingConfig::max_snapshots) processes. One that finds no room is reported
/// neither now nor when it ends; once there is room it is reported as present.
///
/// ```
/// use collector_core::ProcessEvent;
/// use collector_core::monitor::{LifecycleChange, LifecycleTracker, LifecycleTrackingConfig, Look};
/// use std::{sync::Arc, time::SystemTime};
///
/// let mut tracker = LifecycleTracker::new(LifecycleTrackingConfig::default());
/// let mut look = |pids: &[u32]| {
///     let process = |pid: &u32| Arc::new(ProcessEvent { pid: *pid, ..Default::default() });
///     let processes = pids.iter().map(process).collect();
///     let found = tracker.observe(Look { at: SystemTime::now(), processes, unread: Vec::new() });
///     found.iter().map(|event| (event.process.pid, event.change)).collect::<Vec<_>>()
/// };
/// assert_eq!(look(&[1, 7]), [(1, LifecycleChange::Present), (7, LifecycleChange::Present)]);
/// assert_eq!(look(&[1, 8]), [(7, LifecycleChange::Exited), (8, LifecycleChange::Started)]);
/// assert_eq!(look(&[1, 8]), []);
/// ```
#[derive(Debug)]
pub struct LifecycleTracker {
    config: LifecycleTrackingConfig,
    known: HashMap<u32, Known>,
    /// Whether there is a look, or a memory, to compare with.
    has_begun: bool,
    previous_look: Option<SystemTime>,
    /// The newest start of the look before, if that had processes which are not known: what is not newer was there.
    overlooked_until: Option<u64>,
    counts: TrackerCounts,
}

#[derive(Debug)]
struct Known {
    process: Arc<ProcessEvent>,
    /// What was reported last, to which changes are compared: many small steps add up.
    memory: Option<u64>,
    cpu: Option<f64>,
}

impl Known {
    fn new(process: &Arc<ProcessEvent>) -> Self {
        Self { process: Arc::clone(process), memory: process.memory_usage, cpu: process.cpu_usage }
    }
}

impl LifecycleTracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(config: LifecycleTrackingConfig) -> Self {
        Self {
            config,
            known: HashMap::new(),
            has_begun: false,
            previous_look: None,
            overlooked_until: None,
            counts: TrackerCounts::default(),
        }
    }

    /// Makes these the processes that the next look is compared with, instead of making it the first. For before that.
    pub fn restore(&mut self, processes: impl IntoIterator<Item = ProcessEvent>) {
        for process in processes.into_iter().take(self.config.max_snapshots) {
            self.known.insert(process.pid, Known::new(&Arc::new(process)));
        }
        self.has_begun = true;
        self.counts.tracked = self.known.len();
    }

    /// Counters.
    #[must_use]
    pub const fn counts(&self) -> TrackerCounts {
        self.counts
    }

    /// The processes it tracks, in no order.
    pub fn tracked(&self) -> impl Iterator<Item = &Arc<ProcessEvent>> {
        self.known.values().map(|known| &known.process)
    }

    /// What happened since the look before: ends first, by pid, then the rest in the order of the look.
    pub fn observe(&mut self, look: Look) -> Vec<LifecycleEvent> {
        let Look { at, processes, unread } = look;
        let mut events = self.exits(&processes, &unread, at);
        let reused: HashSet<u32> = events.iter().map(|event| event.process.pid).collect();
        let mut images = Images::default();
        let mut seen = HashSet::with_capacity(processes.len());
        let (mut not_tracked, limit) = (0, self.config.max_snapshots);
        for process in processes.iter().filter(|process| seen.insert(process.pid)) {
            let has_room = self.known.len() < limit;
            match self.known.get_mut(&process.pid) {
                Some(known) => events.extend(change(&self.config, known, process).map(|found| found.at(at))),
                None if has_room => {
                    images.fill(&self.known, &events);
                    let change = self.name_start(process, reused.contains(&process.pid));
                    let kind = self.kind_of_start(change, process, &images);
                    images.insert(process);
                    self.known.insert(process.pid, Known::new(process));
                    events.extend(start(&self.config, change, kind, process).map(|found| found.at(at)));
                }
                None => not_tracked += 1,
            }
        }
        for event in &mut events {
            event.previous_look = self.previous_look;
        }
        events.retain(|event| event.change != LifecycleChange::Exited || self.config.track_process_lifecycle);
        let is_partial = not_tracked > 0 || unread.iter().any(|pid| !self.known.contains_key(pid));
        let newest = processes.iter().filter_map(|process| Some(process.exec_id?.start_ticks)).max();
        self.overlooked_until = newest.filter(|_| is_partial);
        self.has_begun = true;
        self.previous_look = Some(at);
        self.counts = TrackerCounts { looks: self.counts.looks + 1, tracked: self.known.len(), not_tracked };
        events
    }

    /// Forgets those who are gone.
    fn exits(
        &mut self,
        processes: &[Arc<ProcessEvent>],
        unread: &[u32],
        at: SystemTime,
    ) -> Vec<LifecycleEvent> {
        let mut there: HashMap<u32, Option<&ProcessEvent>> = unread.iter().map(|pid| (*pid, None)).collect();
        for process in processes.iter().rev() {
            there.insert(process.pid, Some(process));
        }
        let mut gone = Vec::new();
        self.known.retain(|pid, known| {
            let is_there = match there.get(pid) {
                None => false,
                Some(None) => true,
                Some(Some(process)) => is_same_process(&known.process, process),
            };
            if !is_there {
                gone.push(Arc::clone(&known.process));
            }
            is_there
        });
        gone.sort_unstable_by_key(|process| process.pid);
        let exit = |process| Found {
            change: LifecycleChange::Exited,
            kind: ProcessEventKind::Exit,
            process,
            previous: None,
            suspicious: Vec::new(),
        };
        gone.into_iter().map(|process| exit(process).at(at)).collect()
    }

    fn name_start(&self, process: &ProcessEvent, is_reused: bool) -> LifecycleChange {
        let start = process.exec_id.map(|id| id.start_ticks);
        let was_overlooked = start.zip(self.overlooked_until).is_some_and(|(start, until)| start <= until);
        match () {
            () if !self.has_begun || was_overlooked => LifecycleChange::Present,
            () if is_reused && self.config.detect_pid_reuse => LifecycleChange::PidReused,
            () => LifecycleChange::Started,
        }
    }

    fn kind_of_start(
        &self,
        change: LifecycleChange,
        process: &ProcessEvent,
        images: &Images,
    ) -> ProcessEventKind {
        if change == LifecycleChange::Present {
            return ProcessEventKind::Snapshot;
        }
        let is_copy = match image(process) {
            Some(image) => images.0.contains(&image),
            None if process.flags.contains(&"kernel_thread") => true,
            None => process.ppid.and_then(|ppid| self.known.get(&ppid)).is_some_and(|parent| {
                parent.process.executable_path == process.executable_path
                    && parent.process.command_line == process.command_line
            }),
        };
        if is_copy { ProcessEventKind::Fork } else { ProcessEventKind::Exec }
    }
}

/// The images that were seen; collected only when there is a new process.
#[derive(Default)]
struct Images(HashSet<u32>);

impl Images {
    fn fill(&mut self, known: &HashMap<u32, Known>, events: &[LifecycleEvent]) {
        if self.0.is_empty() {
            // Those of before count as well: a parent may have ended or executed since its child came into being.
            let earlier = events.iter().flat_map(|event| [Some(&event.process), event.previous.as_ref()]);
            let all = known.values().map(|known| &known.process).chain(earlier.flatten());
            self.0 = all.filter_map(|process| image(process)).collect();
        }
    }

    fn insert(&mut self, process: &ProcessEvent) {
        self.0.extend(image(process));
    }
}

/// An event without its times.
struct Found {
    change: LifecycleChange,
    kind: ProcessEventKind,
    process: Arc<ProcessEvent>,
    previous: Option<Arc<ProcessEvent>>,
    suspicious: Vec<super::Suspicion>,
}

impl Found {
    fn at(self, at: SystemTime) -> LifecycleEvent {
        let Self { change, kind, process, previous, suspicious } = self;
        LifecycleEvent { change, kind, process, previous, suspicious, at, previous_look: None }
    }
}

fn start(
    config: &LifecycleTrackingConfig,
    change: LifecycleChange,
    kind: ProcessEventKind,
    process: &Arc<ProcessEvent>,
) -> Option<Found> {
    let suspicious = if config.detect_suspicious_events { suspicions(None, process) } else { Vec::new() };
    let is_wanted = config.track_process_lifecycle || !suspicious.is_empty();
    let process = Arc::clone(process);
    is_wanted.then_some(Found { change, kind, process, previous: None, suspicious })
}

/// What changed about a process that goes on, which is known as it is `now` afterwards.
fn change(config: &LifecycleTrackingConfig, known: &mut Known, now: &Arc<ProcessEvent>) -> Option<Found> {
    let before = std::mem::replace(&mut known.process, Arc::clone(now));
    if Arc::ptr_eq(&before, now) {
        return None;
    }
    let suspicious =
        if config.detect_suspicious_events { suspicions(Some(&before), now) } else { Vec::new() };
    let change = first_change(config, known, &before, now, !suspicious.is_empty())?;
    *known = Known::new(now);
    let kind = match change {
        LifecycleChange::Exec => ProcessEventKind::Exec,
        _ => ProcessEventKind::Snapshot,
    };
    Some(Found { change, kind, process: Arc::clone(now), previous: Some(before), suspicious })
}

fn first_change(
    config: &LifecycleTrackingConfig,
    known: &Known,
    before: &ProcessEvent,
    now: &ProcessEvent,
    is_suspicious: bool,
) -> Option<LifecycleChange> {
    let has_executed = has_executed(before, now);
    let executable = has_other_path(before, now) || (before.file_exists && !now.file_exists);
    let changes = [
        (LifecycleChange::Exec, config.track_process_lifecycle, has_executed),
        (LifecycleChange::ExecutableChanged, config.track_executable_changes, executable),
        (LifecycleChange::CredentialsChanged, config.track_credential_changes, has_other_user(before, now)),
        (
            LifecycleChange::CommandLineChanged,
            config.track_command_line_changes,
            before.command_line != now.command_line,
        ),
        (LifecycleChange::NameChanged, false, before.name != now.name),
        (LifecycleChange::MemoryChanged, config.track_memory_changes, other_memory(config, known, now)),
        (LifecycleChange::CpuChanged, config.track_cpu_changes, other_cpu(config, known, now)),
    ];
    // After an exec everything else is part of it.
    let changes = changes.into_iter().take(if has_executed { 1 } else { usize::MAX });
    let mut applicable = changes.filter(|(_, is_wanted, applies)| *applies && (*is_wanted || is_suspicious));
    applicable.next().map(|(change, ..)| change)
}

fn other_memory(config: &LifecycleTrackingConfig, known: &Known, now: &ProcessEvent) -> bool {
    known.memory.zip(now.memory_usage).is_some_and(|(before, now)| {
        let difference = before.abs_diff(now);
        difference >= LEAST_MEMORY_CHANGE
            && difference as f64 >= before as f64 * config.memory_change_threshold / 100.0
    })
}

fn other_cpu(config: &LifecycleTrackingConfig, known: &Known, now: &ProcessEvent) -> bool {
    // A process seen for the first time has no usage yet: what follows is compared with none.
    now.cpu_usage.is_some_and(|now| (now - known.cpu.unwrap_or(0.0)).abs() >= config.cpu_change_threshold)
}
