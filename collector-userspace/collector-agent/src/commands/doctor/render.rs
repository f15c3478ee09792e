//! The diagnosis in words.

use std::fmt::Write as _;

use collector_sources::features::{BtfState, Fact, Features, Trampolines};
use collector_sources::object::Object;

use super::diagnosis::{Diagnosis, Privilege, RunsAs};
use crate::capture::Causes;
use crate::output::human;
use crate::output::table::Table;

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let Diagnosis { kinds, object, features, places, configuration, agent, .. } = diagnosis;
    let mut out = verdict(diagnosis);

    let mut table = Table::new(&["", "", "", ""]);
    let mut told: Vec<(Causes<'_>, &str)> = Vec::new();
    for kind in kinds {
        let state = match (kind.captured, kind.lacks.is_empty()) {
            (true, true) => "yes",
            (true, false) => "in part",
            (false, _) => "NO",
        };
        let tier = if kind.captured { format!("tier {}", kind.tier) } else { String::new() };
        if !kind.captured && !kind.lacks.is_empty() {
            let causes = Causes::of(kind);
            let text = match told.iter().find(|(known, _)| known.is_same(&causes)) {
                Some((_, as_well)) => format!("as {as_well}{}", causes.programs()),
                None => causes.to_string(),
            };
            table.row([kind.kind.clone(), state.to_owned(), tier, text]);
            told.push((causes, &kind.kind));
            continue;
        }
        let mut lacks = kind.lacks.iter();
        let first = lacks.next().cloned().unwrap_or_default();
        table.row([kind.kind.clone(), state.to_owned(), tier, first]);
        for lack in lacks {
            table.row([String::new(), String::new(), String::new(), lack.clone()]);
        }
    }
    section(&mut out, "Captured", &table);
    let mut reasons: Vec<&str> = kinds.iter().map(|kind| kind.no_better.as_str()).collect();
    reasons.retain(|reason| !reason.is_empty());
    reasons.dedup();
    for reason in reasons {
        let _ = writeln!(out, "  no better tier: {reason}");
    }
    section(&mut out, "Kernel", &kernel(features, object));

    section(&mut out, "Privileges", &privileges(diagnosis));

    let mut table = Table::new(&["", "", ""]);
    for place in places {
        let state = place
            .problem
            .as_ref()
            .map_or_else(|| place.note.clone(), |problem| format!("NOT USABLE: {problem}"));
        table.row([place.what.to_owned(), place.path.display().to_string(), state]);
    }
    let from = if configuration.is_empty() { "defaults only".to_owned() } else { configuration.join(", ") };
    table.row(["configuration".to_owned(), from, String::new()]);
    section(&mut out, "Places", &table);

    out.push_str("\nRunning agent\n");
    // Writing to a String cannot fail, here and below.
    let _ = match agent {
        None => writeln!(out, "  none"),
        Some(agent) if agent.lost_in_kernel + agent.lost_later == 0 => {
            writeln!(out, "  pid {}, no event lost", agent.pid)
        }
        Some(agent) => writeln!(
            out,
            "  pid {}, LOST: {} events in the kernel, {} on the way out; `collector stats` shows which",
            agent.pid,
            human::count(agent.lost_in_kernel),
            human::count(agent.lost_later)
        ),
    };
    for trouble in agent.iter().flat_map(|agent| &agent.trouble) {
        let _ = writeln!(out, "  TROUBLE: {trouble}");
    }
    out
}

/// The first lines: can it, and if not, why and what to do.
fn verdict(diagnosis: &Diagnosis) -> String {
    let Diagnosis { can_capture, obstacles, kinds, .. } = diagnosis;
    let mut out = String::new();
    if *can_capture {
        let captured = kinds.iter().filter(|kind| kind.captured).count();
        let _ = writeln!(out, "collector can capture {captured} of {} kinds of events here.", kinds.len());
    } else {
        out.push_str("collector cannot capture events here.\n");
    }
    if diagnosis.polls_instead {
        out.push_str("`collector run` polls /proc instead: processes and TCP connections that live long enough, no files.\n");
    }
    for obstacle in obstacles {
        let _ = writeln!(out, "  problem: {}", obstacle.problem);
        let _ = writeln!(out, "  remedy:  {}", obstacle.remedy);
    }
    out
}

fn section(out: &mut String, name: &str, table: &Table) {
    if !table.is_empty() {
        let _ = write!(out, "\n{name}\n{}", table.render());
    }
}

fn privileges(diagnosis: &Diagnosis) -> Table {
    let Diagnosis { runs_as, privileges, .. } = diagnosis;
    let mut table = Table::new(&["", "", ""]);
    let RunsAs { user, uid, note } = runs_as;
    let user = uid.map_or_else(|| user.clone(), |uid| format!("{user} ({uid})"));
    table.row(["runs as".to_owned(), user, note.clone().unwrap_or_default()]);
    for Privilege { name, has, needed, purpose, without } in privileges {
        let state = match (has, needed) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "not needed",
        };
        table.row([*name, state, purpose].map(str::to_owned));
        if *needed && !has {
            table.row([String::new(), String::new(), format!("without it: {without}")]);
        }
    }
    table
}

fn kernel(features: &Features, object: &Fact<Object>) -> Table {
    let mut table = Table::new(&["", "", ""]);
    let mut fact = |what: &str, value: String, evidence: &str| {
        table.row([what.to_owned(), value, format!("({evidence})")]);
    };
    let unknown = || "unknown".to_owned();
    let version = features.kernel.value.map_or_else(unknown, |version| version.to_string());
    fact("version", version, &features.kernel.evidence);
    let arch = features
        .arch
        .value
        .as_ref()
        .map_or_else(|| "not supported".to_owned(), |arch| format!("{arch:?}").to_lowercase());
    fact("architecture", arch, &features.arch.evidence);
    let btf = match &features.btf.value {
        BtfState::Readable { types, .. } => format!("{} types", human::count(*types as u64)),
        BtfState::Absent => "absent".to_owned(),
        BtfState::Unreadable { errno } => human::errno(*errno),
        BtfState::Invalid { reason } => format!("invalid: {reason}"),
    };
    fact("type information", btf, &features.btf.evidence);
    for (what, support) in [
        ("tracepoint programs", &features.tp_btf),
        ("ring buffers", &features.ring_buffer),
        ("atomic fetches", &features.fetch_atomics),
        ("current task", &features.current_task),
    ] {
        fact(what, support.value.to_string(), &support.evidence);
    }
    fact("kernel programs", object.value.to_string(), &object.evidence);
    let trampolines = match features.trampolines() {
        Trampolines::Available => "available",
        Trampolines::Forbidden => "forbidden by this kernel",
        Trampolines::Unsupported => "not supported",
        Trampolines::Unknown => "unknown",
    };
    fact("trampolines", trampolines.to_owned(), &features.fentry.evidence);
    let lockdown =
        features.lockdown.value.map_or_else(unknown, |lockdown| format!("{lockdown:?}").to_lowercase());
    fact("lockdown", lockdown, &features.lockdown.evidence);
    let cgroups = format!("{:?}", features.cgroups.value.mode).to_lowercase();
    fact("control groups", cgroups, &features.cgroups.evidence);
    table
}
