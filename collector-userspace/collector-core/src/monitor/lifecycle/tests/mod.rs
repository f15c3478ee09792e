//! The tracker, change by change, and against a naive model.

mod changes;
mod events;
mod model;
mod suspicions;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::event::{ExecId, ProcessEvent, Text};

/// A program with two arguments, in its own image.
fn process(pid: u32, start_ticks: u64, image: u32) -> ProcessEvent {
    ProcessEvent {
        pid,
        ppid: Some(1),
        name: "prog".to_owned(),
        executable_path: Some(Text::from("/usr/bin/prog")),
        command_line: vec![Text::from("prog"), Text::from("-x")],
        exec_id: Some(ExecId { boot: 7, pid, start_ticks, image }),
        uid: Some(1000),
        euid: Some(1000),
        memory_usage: Some(10 << 20),
        ..ProcessEvent::default()
    }
}

/// A tracker and the number of looks it has had.
struct Watched {
    tracker: LifecycleTracker,
    looks: u64,
}

impl Watched {
    fn new(config: LifecycleTrackingConfig) -> Self {
        Self { tracker: LifecycleTracker::new(config), looks: 0 }
    }

    /// One that has seen these processes.
    fn having_seen(config: LifecycleTrackingConfig, processes: &[ProcessEvent]) -> Self {
        let mut watched = Self::new(config);
        watched.look(processes);
        watched
    }

    fn look(&mut self, processes: &[ProcessEvent]) -> Vec<LifecycleEvent> {
        self.look_beside(processes, &[])
    }

    fn look_beside(&mut self, processes: &[ProcessEvent], unread: &[u32]) -> Vec<LifecycleEvent> {
        self.looks += 1;
        self.tracker.observe(Look {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(self.looks),
            processes: processes.iter().cloned().map(Arc::new).collect(),
            unread: unread.to_vec(),
        })
    }

    /// What a look found: pid, change and kind of each event.
    fn changes(&mut self, processes: &[ProcessEvent]) -> Vec<(u32, &'static str, &'static str)> {
        let found = self.look(processes);
        found.iter().map(|event| (event.process.pid, event.change.name(), event.kind.name())).collect()
    }
}

fn defaults() -> LifecycleTrackingConfig {
    LifecycleTrackingConfig::default()
}
