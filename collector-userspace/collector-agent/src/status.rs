//! What the agent says about itself: a file in the runtime directory, written every few seconds and at the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use collector_core::monitor::MonitorCollectorStatsSnapshot;
use collector_core::{HealthReport, RuntimeStats};
use collector_sources::performance::PerformanceStats;
use collector_sources::{CaptureStats, SelfCheck};
use collector_store::StoreStats;
use serde::{Deserialize, Serialize};

use crate::capture::PlannedKind;
use crate::detector::DetectorStats;
use crate::output::OUTPUT;
use crate::output::OutputStats;
use crate::privileges::Standing;

const FILE: &str = "status.json";
const NEW_FILE: &str = "status.json.new";
/// The files of this module in the runtime directory.
pub(crate) const FILES: &[&str] = &[FILE, NEW_FILE];

/// The state of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// Version of the agent.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) pid: u32,
    /// Whether it has ended in order.
    pub(crate) ended: bool,
    /// When the capture started, in nanoseconds since 1970.
    pub(crate) started_ns: u64,
    /// When this was written, in nanoseconds since 1970.
    pub(crate) written_ns: u64,
    /// How often this is written, in nanoseconds.
    pub(crate) interval_ns: u64,
    /// Who runs it, and with what it has to do without.
    pub(crate) standing: Standing,
    /// How well its parts do.
    pub(crate) health: HealthReport,
    /// What it costs.
    pub(crate) cost: Cost,
    /// Why `/proc` is polled although kernel programs were wanted.
    pub(crate) kernel_refused: Option<String>,
    /// What serves which kind.
    pub(crate) plan: Vec<PlannedKind>,
    /// Kernel side and its ledger.
    pub(crate) capture: CaptureStats,
    /// Whether the kernel programs run.
    pub(crate) self_check: SelfCheck,
    /// Performance samples, if they are taken.
    pub(crate) performance: Option<PerformanceStats>,
    /// Sources of events.
    pub(crate) sources: Vec<SourceStatus>,
    /// Counters of sources that poll, by name.
    pub(crate) polling: BTreeMap<String, MonitorCollectorStatsSnapshot>,
    /// The event bus.
    pub(crate) bus: BusStatus,
    /// Outputs.
    pub(crate) outputs: Vec<OutputStats>,
    /// The store, if there is one.
    pub(crate) store: Option<StoreStats>,
    /// Triggers and chains, if there are conditions.
    pub(crate) detector: Option<DetectorStats>,
}

/// What the agent itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cost {
    /// Processor time of all its threads, kernel included, in nanoseconds, since the capture started.
    pub(crate) cpu_ns: u64,
    /// Processor time before that: reading the kernel's types, loading and verifying the kernel programs.
    pub(crate) startup_cpu_ns: u64,
    /// Resident memory in bytes.
    pub(crate) rss_bytes: u64,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SourceStatus {
    pub(crate) name: String,
    /// `running`, `failed`…
    pub(crate) state: String,
    /// Events it sent.
    pub(crate) events: u64,
    pub(crate) last_error: Option<String>,
}

/// The bus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BusStatus {
    pub(crate) published: u64,
    /// Between source and bus when the time to end was over.
    pub(crate) lost_at_shutdown: u64,
    pub(crate) subscribers: Vec<SubscriberStatus>,
}

/// One subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SubscriberStatus {
    pub(crate) name: String,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) dropped_by_reason: BTreeMap<String, u64>,
    pub(crate) queued: u64,
    pub(crate) capacity: u64,
    pub(crate) high_water_mark: u64,
    pub(crate) blocked_ns: u64,
}

impl Cost {
    /// The cost of this process so far, `startup_cpu_ns` of which were spent on starting.
    pub(crate) fn of_this_process(startup_cpu_ns: u64) -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
            + u64::try_from(time.tv_nsec).unwrap_or(0);
        let resident = fs::read_to_string("/proc/self/statm").ok();
        let pages = resident.and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0);
        Self {
            cpu_ns: cpu.saturating_sub(startup_cpu_ns),
            startup_cpu_ns,
            rss_bytes: pages * rustix::param::page_size() as u64,
        }
    }
}

impl Status {
    /// Takes over what the runtime counts.
    pub(crate) fn set_runtime(&mut self, stats: &RuntimeStats) {
        self.sources = stats
            .sources
            .iter()
            .map(|source| SourceStatus {
                name: source.name.to_owned(),
                state: format!("{:?}", source.state).to_lowercase(),
                events: source.events_received,
                last_error: source.last_error.clone(),
            })
            .collect();
        let subscribers = stats.event_bus.subscribers.iter().map(|subscriber| SubscriberStatus {
            name: subscriber.id.clone(),
            delivered: subscriber.delivered,
            dropped: subscriber.dropped,
            dropped_by_reason: subscriber
                .dropped_by_reason
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            queued: subscriber.queued as u64,
            capacity: subscriber.capacity as u64,
            high_water_mark: subscriber.high_water_mark as u64,
            blocked_ns: subscriber.blocked_ns,
        });
        self.bus = BusStatus {
            published: stats.event_bus.events_published,
            lost_at_shutdown: stats.sources.iter().map(|source| source.events_lost_at_shutdown).sum(),
            subscribers: subscribers.collect(),
        };
    }

    /// Events the kernel side lost, and events lost on the way to output and store.
    pub(crate) fn lost(&self) -> (u64, u64) {
        let undecodable: u64 = self.capture.domains.iter().map(|domain| domain.decode_errors).sum();
        let counted = self.capture.losses.iter().filter(|loss| loss.is_loss).map(|loss| loss.count);
        let kernel = undecodable + counted.sum::<u64>();
        // What a subscriber has not taken at the end nobody will. An output's own count has that already.
        let is_told = |name: &str| name == OUTPUT && !self.outputs.is_empty();
        let left = |subscriber: &SubscriberStatus| {
            if self.ended && !is_told(&subscriber.name) { subscriber.queued } else { 0 }
        };
        let dropped: u64 =
            self.bus.subscribers.iter().map(|subscriber| subscriber.dropped + left(subscriber)).sum();
        let outputs: u64 = self.outputs.iter().map(|output| output.lost).sum();
        let store = self.store.as_ref().map_or(0, StoreStats::lost_total);
        (kernel, dropped + outputs + store + self.bus.lost_at_shutdown)
    }

    /// Conditions that were met and came to nothing: dropped by a limit, given up, or, at the end, still waiting.
    pub(crate) fn unanswered(&self) -> u64 {
        let Some(detector) = &self.detector else { return 0 };
        let counts = detector.triggers.totals();
        let left = if self.ended { counts.pending + counts.running } else { 0 };
        counts.rate_limited + counts.queue_full + counts.expired + counts.failed + counts.timed_out + left
    }

    /// When it started.
    pub(crate) fn started(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.started_ns)
    }

    /// When it was written.
    pub(crate) fn written(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.written_ns)
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(FILE)
}

/// Writes the status so that a reader sees the old one or the new one, never half of one.
pub(crate) fn write(runtime_dir: &Path, status: &Status) -> std::io::Result<()> {
    let new = runtime_dir.join(NEW_FILE);
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&new)?;
    file.write_all(&serde_json::to_vec(status)?)?;
    drop(file);
    fs::rename(new, path(runtime_dir))
}

/// Reads the last status written; `None` if there is none.
pub(crate) fn read(runtime_dir: &Path) -> std::io::Result<Option<Status>> {
    let path = path(runtime_dir);
    let said = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("cannot read the status {}: {error}", path.display()))
    };
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|error| said(error.into()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(said(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_survives_the_way_through_the_file() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), None);
        let status = Status { pid: 7, cost: Cost::of_this_process(0), ..Status::default() };
        assert!(status.cost.cpu_ns > 0 && status.cost.rss_bytes > 100_000, "{:?}", status.cost);
        write(directory.path(), &status).unwrap();
        write(directory.path(), &status).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Some(status));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_triggers_did_not_come_to_is_counted() {
        let detector = serde_json::json!({ "triggers": { "collectors": {
            "a": { "matched": 99, "requested": 50, "succeeded": 40, "deduplicated": 9, "rate_limited": 1, "queue_full": 2 },
            "b": { "expired": 4, "failed": 8, "timed_out": 16, "pending": 32, "running": 64 },
        } } });
        let detector = Some(serde_json::from_value(detector).unwrap());
        let mut status = Status { detector, ..Status::default() };
        assert_eq!(status.unanswered(), 1 + 2 + 4 + 8 + 16);
        status.ended = true;
        assert_eq!(status.unanswered(), 127);
    }

    #[test]
    fn a_damaged_status_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        for bytes in [&b""[..], b"{", b"null", b"\xff\x00", br#"{"pid": -1}"#] {
            fs::write(&file, bytes).unwrap();
            let error = read(directory.path()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot read the status {}: ", file.display())), "{error}");
        }
    }

    #[test]
    fn status_of_another_version_is_read_as_far_as_possible() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), r#"{"pid": 5, "new_member": [1]}"#).unwrap();
        assert_eq!(read(directory.path()).unwrap().unwrap().pid, 5);
    }
}
