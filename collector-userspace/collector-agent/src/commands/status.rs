//! `collector status`: whether an agent runs, and how well its parts do.

use std::time::{Duration, SystemTime};

use collector_core::{ComponentHealth, HealthStatus};

use super::Context;
use super::last::{last_status, warning};
use crate::cli::{ReportFormat, StatusArgs};
use crate::failure::{Failure, Kind};
use crate::output::table::Table;
use crate::output::{human, message, print};
use crate::status::Status;

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let config = context.configure()?.config;
    let (status, running) = last_status(context, &config, args.runtime_dir.as_deref())?;
    let now = SystemTime::now();
    match args.format {
        ReportFormat::Json => {
            let Status { version, pid, started_ns, written_ns, standing, health, self_check, .. } = &status;
            let document = serde_json::json!({
                "running": running,
                "version": version,
                "pid": pid,
                "started_ns": started_ns,
                "written_ns": written_ns,
                "standing": standing,
                "health": health,
                "self_check": self_check,
            });
            print(&format!("{document}\n"))?;
        }
        ReportFormat::Text => print(&render(&status, running, now))?,
    }
    let stale = warning(&status, running, now);
    if let Some(stale) = &stale {
        message(format_args!("{stale}"));
    }
    match (running, status.health.status) {
        (false, _) => Err(Failure::silent(Kind::Failed)),
        (true, HealthStatus::Healthy) if stale.is_none() => Ok(()),
        (true, _) if args.strict => Err(Failure::silent(Kind::Degraded)),
        (true, _) => Ok(()),
    }
}

fn render(status: &Status, running: bool, now: SystemTime) -> String {
    let Status { version, pid, standing, health, .. } = status;
    let age = |since: SystemTime| now.duration_since(since).unwrap_or(Duration::ZERO);
    let state = if running {
        format!("running for {}: {}", human::duration(age(status.started())), health.status)
    } else {
        "not running".to_owned()
    };
    let mut out = format!("collector {version}, pid {pid}, {state}\n");
    if !running {
        return out;
    }
    match &standing.as_root {
        // An agent of an older version does not say.
        None if standing.user.is_empty() => {}
        None => out.push_str(&format!("It runs as {}.\n", standing.user)),
        Some(why) => out.push_str(&format!("It runs as root: {why}.\n")),
    }
    out.push('\n');
    let mut table = Table::new(&["part", "state", "for", ""]);
    for ComponentHealth { name, status, reason, since } in &health.components {
        let since = since.map_or_else(String::new, |since| human::duration(age(since)));
        table.row([name.clone(), status.to_string(), since, reason.clone().unwrap_or_default()]);
    }
    out + &table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privileges::Standing;

    #[test]
    fn the_worst_part_comes_first() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds);
        let status = Status {
            version: "0.1.0".to_owned(),
            pid: 4711,
            started_ns: 1_790_000_000_000_000_000,
            standing: Standing {
                user: "root".to_owned(),
                as_root: Some("there is no user `collector` to give way to".to_owned()),
                ..Standing::default()
            },
            health: [
                ComponentHealth::healthy("source kernel-file").since(at(1)),
                ComponentHealth::not_healthy("store", HealthStatus::Unhealthy, "disk full").since(at(50)),
            ]
            .into_iter()
            .collect(),
            ..Status::default()
        };
        insta::assert_snapshot!(render(&status, true, at(60)) + &render(&status, false, at(60)));
    }
}
