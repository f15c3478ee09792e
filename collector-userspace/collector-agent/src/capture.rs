//! The one place that drives kernel capture: from configuration to a running capture, and its plan in words.

use std::path::Path;

use anyhow::Context as _;
use collector_core::{EventSource, HostInfo};
use collector_sources::capture_file::CaptureHeader;
use collector_sources::plan::{Outcome, Plan, program_and_cause};
use collector_sources::{CaptureHandle, Filter, KernelCapture, KernelConfig, RingSizes};
use serde::{Deserialize, Serialize};

use crate::config::{Capture, Source};
use crate::failure::{Failure, Kind};
use crate::privileges;

/// How one kind of event fares on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlannedKind {
    /// For example `process.exec`.
    pub(crate) kind: String,
    /// Whether it is captured.
    pub(crate) captured: bool,
    /// How well: `A` or `B`.
    pub(crate) tier: String,
    /// What is missing, each with its reason; or why it is not captured.
    pub(crate) lacks: Vec<String>,
    /// Why it is not served in a better tier; empty when there is none.
    pub(crate) no_better: String,
}

/// The plan in words, as far as it is about kinds that were asked for.
pub(crate) fn describe(plan: &Plan, asked_for: u64) -> Vec<PlannedKind> {
    plan.kinds
        .iter()
        .filter(|planned| asked_for & planned.kind.bit() != 0)
        .map(|planned| {
            let kind = planned.kind.name().to_owned();
            match &planned.outcome {
                Outcome::Served { tier, without, no_better, .. } => PlannedKind {
                    kind,
                    captured: true,
                    tier: format!("{tier:?}"),
                    lacks: without.iter().map(|lack| format!("{}: {}", lack.misses, lack.reason)).collect(),
                    no_better: no_better.clone().unwrap_or_default(),
                },
                Outcome::Unavailable { reason } => {
                    PlannedKind { kind, lacks: vec![reason.clone()], ..PlannedKind::default() }
                }
            }
        })
        .collect()
}

/// Why something is not captured: what is behind it, and the programs that it hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Causes<'a> {
    causes: Vec<&'a str>,
    programs: Vec<&'a str>,
}

impl<'a> Causes<'a> {
    /// Of one kind of events.
    pub(crate) fn of(planned: &'a PlannedKind) -> Self {
        let mut all = Self::default();
        for reason in planned.lacks.iter().flat_map(|lack| lack.split(BETWEEN)) {
            let (program, cause) = program_and_cause(reason);
            if !all.causes.contains(&cause) {
                all.causes.push(cause);
            }
            all.programs.extend(program);
        }
        all
    }

    /// Whether the same is behind both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.causes == other.causes
    }

    /// The programs, in brackets.
    pub(crate) fn programs(&self) -> String {
        match self.programs[..] {
            [] => String::new(),
            [program] => format!(" (program {program})"),
            _ => format!(" (programs {})", self.programs.join(", ")),
        }
    }
}

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.causes.join(BETWEEN), self.programs())
    }
}

/// Between reasons.
const BETWEEN: &str = "; ";

/// What is not captured at all, a sentence for each reason.
pub(crate) fn not_captured(plan: &[PlannedKind]) -> Vec<String> {
    let mut reasons: Vec<(Causes<'_>, Vec<&str>)> = Vec::new();
    for planned in plan.iter().filter(|planned| !planned.captured) {
        let causes = Causes::of(planned);
        match reasons.iter_mut().find(|(known, _)| known.is_same(&causes)) {
            Some((known, kinds)) => {
                let more = causes.programs.iter().filter(|it| !known.programs.contains(it));
                known.programs = known.programs.iter().chain(more).copied().collect();
                kinds.push(&planned.kind);
            }
            None => reasons.push((causes, vec![&planned.kind])),
        }
    }
    reasons
        .into_iter()
        .map(|(causes, kinds)| format!("not captured: {}: {causes}", kinds.join(", ")))
        .collect()
}

/// This host as events name it.
pub(crate) fn this_host() -> HostInfo {
    let CaptureHeader { host, boot_id, .. } = CaptureHeader::of_this_host();
    HostInfo { host, boot_id }
}

/// Bits of the kinds of these sources.
pub(crate) fn kinds_of(sources: &[Source]) -> u64 {
    let mut config = KernelConfig::default();
    let kinds = collector_sources::plan::rows().flat_map(|row| row.kinds);
    let domains: Vec<_> = kinds
        .map(|kind| kind.domain())
        .filter(|domain| sources.iter().any(|source| source.name() == domain.name()))
        .collect();
    config.retain_domains(&domains);
    config.kinds
}

/// What the library needs to know.
pub(crate) fn kernel_config(capture: &Capture) -> Result<KernelConfig, Failure> {
    let Capture {
        sources,
        mode: _,
        tier,
        poll_interval: _,
        argv_max,
        drain_interval,
        max_processes,
        max_connections,
        max_written_files,
        exclude_own,
        program_statistics,
        rings,
        filter,
    } = capture;
    // The sizes were checked to fit.
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    let cgroup_id = filter.cgroup.as_deref().map(cgroup_id).transpose()?;
    Ok(KernelConfig {
        kinds: kinds_of(sources),
        tier: tier.forced(),
        filter: Filter { pids: filter.pids.clone(), cgroup_id, uid: filter.uid },
        rings: RingSizes {
            process: size(rings.process.0),
            network: size(rings.network.0),
            file: size(rings.file.0),
        },
        argv_max: size(argv_max.0),
        drain_interval: drain_interval.0,
        max_processes: *max_processes,
        max_connections: *max_connections,
        max_written_files: *max_written_files,
        exclude_own: *exclude_own,
        program_statistics: *program_statistics,
        ..KernelConfig::default()
    })
}

/// The kernel's id of a control group: the inode number of its directory.
fn cgroup_id(path: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).with_context(|| format!("control group {}", path.display()));
    let metadata = metadata.map_err(|error| Failure::new(Kind::Usage, error))?;
    let file_system = rustix::fs::statfs(path).map(|statfs| u64::try_from(statfs.f_type).unwrap_or(0));
    // From linux/magic.h: CGROUP2_SUPER_MAGIC and CGROUP_SUPER_MAGIC.
    if !metadata.is_dir() || !matches!(file_system, Ok(0x6367_7270 | 0x0027_e0eb)) {
        return Err(Failure::usage(format_args!("{} is no control group", path.display()))
            .hint("name its directory, for example /sys/fs/cgroup/system.slice/cron.service"));
    }
    Ok(metadata.ino())
}

/// A capture at work.
#[derive(Debug)]
pub(crate) struct Running {
    capture: KernelCapture,
    /// Kinds that were asked for.
    kinds: u64,
}

impl Drop for Running {
    /// The agent captures once and then ends, which must not take as long as old kernels take to let go of programs.
    fn drop(&mut self) {
        collector_sources::linger::hand_over_attachments();
    }
}

impl Running {
    /// Loads and attaches the kernel programs.
    pub(crate) fn start(config: &KernelConfig) -> Result<Self, Failure> {
        let capture = KernelCapture::start(config).map_err(|error| {
            let failure = Failure::from(error);
            if privileges::may_trace() {
                failure
            } else {
                failure.hint("capturing needs privileges: run it with `sudo`; `collector doctor` says which ones, and why")
            }
        })?;
        Ok(Self { capture, kinds: config.kinds })
    }

    /// The library's capture.
    pub(crate) fn inner(&mut self) -> &mut KernelCapture {
        &mut self.capture
    }

    /// The sources of its events.
    pub(crate) fn sources(&mut self) -> Vec<Box<dyn EventSource>> {
        self.capture.sources()
    }

    /// Its counters, also after its end.
    pub(crate) fn handle(&self) -> CaptureHandle {
        self.capture.handle()
    }

    /// What serves which kind.
    pub(crate) fn plan(&self) -> Vec<PlannedKind> {
        describe(&self.capture.report(), self.kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_told_once() {
        let kind = |kind: &str, captured, lack: &str| PlannedKind {
            kind: kind.to_owned(),
            captured,
            lacks: vec![lack.to_owned()],
            ..PlannedKind::default()
        };
        let plan = [
            kind("file.open", false, "program file_finish: refused"),
            kind("network.send", false, "another"),
            kind("file.modify", true, "in part only"),
            kind("file.link", false, "program file_link: refused; program file_finish: refused"),
            kind("file.delete", false, "program file_unlink: refused; another"),
        ];
        assert_eq!(
            not_captured(&plan),
            [
                "not captured: file.open, file.link: refused (programs file_finish, file_link)",
                "not captured: network.send: another",
                "not captured: file.delete: refused; another (program file_unlink)",
            ]
        );
    }
}
