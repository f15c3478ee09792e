//! Configuration: typed, layered, checked. [`load`] gives a [`Config`] that can be relied on; nothing else reads files or
//! the environment.

mod detection;
mod explain;
mod layers;
mod place;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use collector_core::TriggerManager;
use collector_sources::performance::PerformanceConfigError;
use serde::{Deserialize, Serialize};

pub(crate) use detection::{Analysis, Detection, Triggers, unmet};
pub(crate) use explain::ConfigError;
pub(crate) use layers::{Loaded, Origin, load};

use crate::capture::PlannedKind;
use crate::units::{Bytes, Span};

/// The defaults, as the file that `collector config print-defaults` prints.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that can be set. `defaults.toml` says what each key means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) capture: Capture,
    pub(crate) performance: Performance,
    pub(crate) output: Output,
    pub(crate) store: Store,
    pub(crate) triggers: Triggers,
    pub(crate) analysis: Analysis,
    pub(crate) agent: Agent,
    pub(crate) log: Log,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Capture {
    pub(crate) sources: Vec<Source>,
    pub(crate) mode: Mode,
    pub(crate) tier: Tier,
    pub(crate) poll_interval: Span,
    pub(crate) argv_max: Bytes,
    pub(crate) drain_interval: Span,
    pub(crate) max_processes: usize,
    pub(crate) max_connections: u32,
    pub(crate) max_written_files: u32,
    pub(crate) exclude_own: bool,
    pub(crate) program_statistics: bool,
    pub(crate) rings: Rings,
    pub(crate) filter: Filter,
}

/// How processes, connections and files are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// By kernel programs, or by polling /proc where the kernel does not take them.
    #[default]
    Auto,
    /// By kernel programs, or not at all.
    Kernel,
    /// By polling /proc.
    Procfs,
}

/// Where in the kernel programs sit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Tier {
    /// The best that this kernel has, for each kind of event.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// At the kernel's own functions, or not at all.
    #[value(name = "A", alias = "a")]
    A,
    /// At tracepoints, or not at all.
    #[value(name = "B", alias = "b")]
    B,
}

impl Tier {
    /// The one that is insisted on.
    pub(crate) const fn forced(self) -> Option<collector_sources::plan::Tier> {
        match self {
            Self::Auto => None,
            Self::A => Some(collector_sources::plan::Tier::A),
            Self::B => Some(collector_sources::plan::Tier::B),
        }
    }
}

/// A domain of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Process execs, forks and exits.
    Process,
    /// TCP connections and UDP destinations.
    Network,
    /// Files created, opened for writing, modified, deleted, renamed, linked, changed.
    File,
    /// Samples of what the system and its processes use; needs no kernel programs.
    Performance,
}

impl Source {
    /// The name in files, flags and events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Network => "network",
            Self::File => "file",
            Self::Performance => "performance",
        }
    }
}

impl Capture {
    /// Whether the sources that are asked for have this kind of events.
    fn asks_for(&self, kind: &str) -> bool {
        let domain = kind.split('.').next().unwrap_or_default();
        domain == "loss" || self.sources.iter().any(|source| source.name() == domain)
    }

    /// Whether something is wanted that kernel programs send.
    pub(crate) fn needs_kernel(&self) -> bool {
        self.sources.iter().any(|source| *source != Source::Performance)
    }
}

/// Settings of performance samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Performance {
    pub(crate) interval: Span,
    pub(crate) max_processes: usize,
    /// Percent of one processor.
    pub(crate) cpu_threshold: u32,
    pub(crate) memory_threshold: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rings {
    pub(crate) process: Bytes,
    pub(crate) network: Bytes,
    pub(crate) file: Bytes,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) pids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
}

impl Filter {
    /// Whether it lets everything through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Output {
    pub(crate) format: Format,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    pub(crate) queue: Queue,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Aligned lines for people, coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Queue {
    pub(crate) capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) deadline: Span,
}

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overflow {
    /// The capture waits, up to the deadline.
    Block,
    /// The oldest event goes.
    DropOldest,
    /// The new event goes.
    DropNewest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    pub(crate) max_age: Span,
    pub(crate) max_bytes: Bytes,
    pub(crate) batch_events: usize,
    pub(crate) batch_delay: Span,
    pub(crate) busy_timeout: Span,
    pub(crate) queue: Queue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) status_interval: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
}

const fn seconds(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

const fn millis(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            sources: vec![Source::Process, Source::Network, Source::File],
            mode: Mode::Auto,
            tier: Tier::Auto,
            poll_interval: seconds(5),
            argv_max: Bytes(32 << 10),
            drain_interval: millis(25),
            max_processes: 32_768,
            max_connections: 16_384,
            max_written_files: 16_384,
            exclude_own: true,
            program_statistics: false,
            rings: Rings::default(),
            filter: Filter::default(),
        }
    }
}

impl Default for Performance {
    fn default() -> Self {
        let collector_sources::performance::PerformanceConfig {
            interval,
            max_processes,
            cpu_threshold,
            memory_threshold,
        } = collector_sources::performance::PerformanceConfig::default();
        Self {
            interval: Span(interval),
            max_processes,
            cpu_threshold,
            memory_threshold: Bytes(memory_threshold),
        }
    }
}

impl Default for Rings {
    fn default() -> Self {
        Self { process: Bytes(4 << 20), network: Bytes(2 << 20), file: Bytes(4 << 20) }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { format: Format::Pretty, path: None, queue: Queue::default() }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { capacity: 16_384, overflow: Overflow::Block, deadline: seconds(1) }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            max_age: seconds(7 * 86_400),
            max_bytes: Bytes(2 << 30),
            batch_events: 2_000,
            batch_delay: millis(250),
            busy_timeout: seconds(1),
            queue: Queue { capacity: 65_536, ..Queue::default() },
        }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self { run_as: None, runtime_dir: None, status_interval: seconds(2) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "warn".to_owned() }
    }
}

impl Config {
    /// What is valid and yet to no effect, in words. `manager` is that of the conditions, if there are any, `polled` says whether
    /// `/proc` is polled, and `plan` how the kinds fare that have limits here.
    pub(crate) fn doubts(
        &self,
        manager: Option<&TriggerManager>,
        polled: bool,
        plan: &[PlannedKind],
    ) -> Vec<String> {
        let Self { capture, triggers, analysis, .. } = self;
        let Some(manager) = manager else {
            let is_idle = triggers.conditions.is_empty() && !analysis.rules.is_empty();
            let doubt = "analysis.rules are never asked: no [[triggers.conditions]] start a chain";
            return is_idle.then(|| doubt.to_owned()).into_iter().collect();
        };
        let is_measured = polled || capture.sources.contains(&Source::Performance);
        unmet(triggers, manager, is_measured, |kind| {
            let planned = plan.iter().find(|planned| planned.kind == kind);
            capture.asks_for(kind) && planned.is_none_or(|planned| planned.captured)
        })
    }

    /// Checks what types alone cannot: the first value that cannot work, by key. Cheap, so that it can be asked again after
    /// flags; conditions, rules and chains, which no flag changes, are checked by making them ([`Detection::new`]).
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self { capture, performance, output, store, triggers, analysis: _, agent, log: _ } = self;
        let Capture { sources, argv_max, drain_interval, max_processes, rings, filter, .. } = capture;
        if sources.is_empty() {
            return Err(ConfigError::value(
                "capture.sources",
                "is empty: name at least one of process, network, file and performance",
            ));
        }
        within("capture.argv_max", *argv_max, Bytes(64), Bytes(32 << 10))?;
        within("capture.poll_interval", capture.poll_interval, seconds(1), seconds(3_600))?;
        within("capture.drain_interval", *drain_interval, millis(1), seconds(1))?;
        within("capture.max_processes", *max_processes, 64, 16 << 20)?;
        within("capture.max_connections", capture.max_connections, 16, 1 << 20)?;
        within("capture.max_written_files", capture.max_written_files, 16, 1 << 20)?;
        for (key, ring) in [
            ("capture.rings.process", rings.process),
            ("capture.rings.network", rings.network),
            ("capture.rings.file", rings.file),
        ] {
            within(key, ring, Bytes(4 << 10), Bytes(1 << 30))?;
        }
        if let Err(error) = crate::sources::library_config(performance).check() {
            let PerformanceConfigError { key, value, range } = error;
            return Err(ConfigError::value(
                format!("performance.{key}"),
                format!("is {value}: it must be {range}"),
            ));
        }
        if filter.pids.contains(&0) {
            return Err(ConfigError::value("capture.filter.pids", "has a 0, which is no process"));
        }
        let queues = [
            ("output.queue", &output.queue),
            ("store.queue", &store.queue),
            ("triggers.queue", &triggers.queue),
        ];
        for (prefix, queue) in queues {
            let Queue { capacity, overflow: _, deadline } = queue;
            within(&format!("{prefix}.capacity"), *capacity, 1, 16 << 20)?;
            within(&format!("{prefix}.deadline"), *deadline, millis(1), seconds(3_600))?;
        }
        within("store.batch_events", store.batch_events, 1, 100_000)?;
        within("store.batch_delay", store.batch_delay, millis(1), seconds(60))?;
        within("store.busy_timeout", store.busy_timeout, millis(0), seconds(60))?;
        if store.max_bytes.0 != 0 {
            within("store.max_bytes", store.max_bytes, Bytes(1 << 20), Bytes(u64::MAX))?;
        }
        within("agent.status_interval", agent.status_interval, millis(100), seconds(3_600))
    }
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    in_range(value, least, most).map_err(|message| ConfigError::value(key, message))
}

/// Says what is wrong with a value that is not between these two.
fn in_range<T: PartialOrd + std::fmt::Display + Copy>(value: T, least: T, most: T) -> Result<(), String> {
    if value < least || value > most {
        return Err(format!("is {value}: it must be between {least} and {most}"));
    }
    Ok(())
}
