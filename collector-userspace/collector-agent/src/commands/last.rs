//! What the running agent, or the last one, left about itself: for `stats`, `status` and `doctor`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Context;
use crate::config::Config;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::human;
use crate::paths::Paths;
use crate::status::{self, Status};

/// The last status an agent wrote, and whether that agent runs.
pub(super) fn last_status(
    context: &Context,
    config: &Config,
    asked: Option<&Path>,
) -> Result<(Status, bool), Failure> {
    let directories = runtime_dirs(context, config, asked);
    for directory in &directories {
        if let Some(status) = status::read(directory)? {
            return Ok((status, Instance::running(directory).is_some()));
        }
    }
    let places: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
    let failure = Failure::from(anyhow::anyhow!(
        "no collector is running, and none left counters in {}",
        places.join(" or ")
    ));
    Err(failure.hint("start one with `collector run`, or name its --runtime-dir"))
}

/// Where an agent may have left its status: the place asked for, else one's own, else the system's.
pub(super) fn runtime_dirs(context: &Context, config: &Config, asked: Option<&Path>) -> Vec<PathBuf> {
    if let Some(directory) = asked.map(Path::to_owned).or_else(|| config.agent.runtime_dir.clone()) {
        return vec![directory];
    }
    let mut directories = vec![context.paths.runtime_dir.clone(), Paths::of_system().runtime_dir];
    directories.dedup();
    directories
}

/// What keeps these counters from being those of the moment.
pub(super) fn warning(status: &Status, running: bool, now: SystemTime) -> Option<String> {
    let age = now.duration_since(status.written()).unwrap_or(Duration::ZERO);
    let ago = human::duration(age);
    match (running, status.ended) {
        (false, true) => Some(format!(
            "collector is not running: these are the counters of the last run, which ended {ago} ago"
        )),
        (false, false) => Some(format!(
            "collector is not running: it was killed or crashed; these counters are of {ago} ago"
        )),
        (true, _) if age > Duration::from_nanos(status.interval_ns) * 3 + Duration::from_secs(2) => {
            Some(format!("these counters are of {ago} ago: the agent is stopped, or too busy to write them"))
        }
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_790_000_000_000_000_000;

    fn status() -> Status {
        Status {
            started_ns: START,
            written_ns: START + 60_000_000_000,
            interval_ns: 2_000_000_000,
            ..Status::default()
        }
    }

    fn at(nanos: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(START + nanos)
    }

    #[test]
    fn old_counters_are_not_passed_off_as_new_ones() {
        let said = |running, ended, seconds: u64| {
            warning(&Status { ended, ..status() }, running, at(seconds * 1_000_000_000))
        };
        assert_eq!(said(true, false, 61), None);
        assert!(said(true, false, 90).unwrap().contains("the agent is stopped"));
        assert!(said(false, true, 90).unwrap().contains("which ended 30 s ago"));
        assert!(said(false, false, 90).unwrap().contains("killed or crashed"));
    }
}
