//! What a source says about itself, and whether its events agree.

use std::time::{Duration, SystemTime};

use super::kit::{Kit, ROOM, Unmet, Verdict, failed, skipped};
use super::report::Check;
use crate::event::CollectionEvent;
use crate::source::SourceCaps;

const MAX_NAME: usize = 128;
/// How often something is asked that must not change.
const ASKED: usize = 10;
/// Most events that are looked at.
const EVENTS: usize = 1000;
/// A pause after which no further events are waited for.
const QUIET: Duration = Duration::from_millis(100);
/// How far in the future a timestamp may be: clocks are read and set.
const AHEAD: Duration = Duration::from_secs(60);
/// No event is older than this many seconds after the epoch: the year 2000. What is has no time.
const OLDEST: Duration = Duration::from_secs(946_684_800);

pub(super) fn name(kit: &Kit<'_>) -> Verdict {
    let source = kit.source();
    let name = source.name();
    if name.is_empty() || name.len() > MAX_NAME {
        return failed(format!("the name {name:?} has {} bytes; 1 to {MAX_NAME} are usual", name.len()));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return failed(format!("the name {name:?} has control characters, or blanks around it"));
    }
    match (0..ASKED).map(|_| source.name()).find(|again| *again != name) {
        Some(other) => failed(format!("the name changes, from {name:?} to {other:?}")),
        None => Ok(None),
    }
}

pub(super) fn capabilities(kit: &Kit<'_>) -> Verdict {
    const DOMAINS: SourceCaps = SourceCaps::PROCESS
        .union(SourceCaps::NETWORK)
        .union(SourceCaps::FILESYSTEM)
        .union(SourceCaps::PERFORMANCE);
    let source = kit.source();
    let capabilities = source.capabilities();
    if !capabilities.intersects(DOMAINS) {
        return failed(format!("the capabilities {capabilities:?} name none of the domains {DOMAINS:?}"));
    }
    match (0..ASKED).map(|_| source.capabilities()).find(|again| *again != capabilities) {
        Some(other) => failed(format!("the capabilities change, from {capabilities:?} to {other:?}")),
        None => Ok(None),
    }
}

/// What was seen of one run.
struct Seen {
    name: &'static str,
    capabilities: SourceCaps,
    events: Vec<CollectionEvent>,
    until: SystemTime,
}

/// One run: the checks from [`Check::Starts`] to [`Check::Timestamps`]. Gives whether the source can be started at all.
pub(super) async fn events(kit: &mut Kit<'_>) -> bool {
    let seen = watch(kit).await;
    let starts = seen.is_ok();
    let seen = match seen {
        Ok(seen) => {
            kit.note(Check::Starts, Ok(None));
            Some(seen).filter(|seen| !seen.events.is_empty())
        }
        Err(unmet) => {
            kit.note(Check::Starts, Err(unmet));
            None
        }
    };
    kit.sends.set(seen.is_some());
    let sends = match (&seen, starts) {
        (Some(seen), _) => Ok(Some(format!("{} seen", seen.events.len()))),
        (None, true) => failed(format!(
            "no event came within {:?}; if the source only watches, tell the kit how to make something happen \
             (`Options::with_stimulus`)",
            kit.deadline()
        )),
        (None, false) => skipped("the source does not start"),
    };
    kit.note(Check::SendsEvents, sends);
    let judge = |judge: fn(&Seen) -> Verdict| seen.as_ref().map_or_else(|| skipped("no event came"), judge);
    let (domains, origin, timestamps) = (judge(domains), judge(origin), judge(timestamps));
    kit.note(Check::Domains, domains);
    kit.note(Check::Origin, origin);
    kit.note(Check::Timestamps, timestamps);
    starts
}

async fn watch(kit: &Kit<'_>) -> Result<Seen, Unmet> {
    let source = kit.source();
    let before = source.capabilities();
    let mut probe = kit.start(source, ROOM).await?;
    kit.stimulate();
    let mut events = Vec::new();
    let mut wait = kit.deadline();
    while events.len() < EVENTS
        && let Some(event) = probe.event(wait).await
    {
        events.push(event);
        wait = QUIET;
    }
    let until = SystemTime::now();
    // They may have changed meanwhile, as they say what can be seen at the moment.
    let capabilities = before | probe.source.capabilities();
    let name = probe.source.name();
    kit.leave(&mut probe).await;
    Ok(Seen { name, capabilities, events, until })
}

fn domains(seen: &Seen) -> Verdict {
    for event in &seen.events {
        let needed = match event {
            CollectionEvent::Process(_) => SourceCaps::PROCESS,
            CollectionEvent::Network(_) => SourceCaps::NETWORK,
            CollectionEvent::Filesystem(_) => SourceCaps::FILESYSTEM,
            CollectionEvent::Performance(_) => SourceCaps::PERFORMANCE,
            CollectionEvent::Loss(_) | CollectionEvent::TriggerRequest(_) | CollectionEvent::Alert(_) => {
                continue;
            }
        };
        if !seen.capabilities.contains(needed) {
            let (kind, capabilities) = (event.kind(), seen.capabilities);
            return failed(format!("a {kind} event came, and the capabilities are only {capabilities:?}"));
        }
    }
    Ok(None)
}

fn origin(seen: &Seen) -> Verdict {
    let other = |event: &&CollectionEvent| {
        event.meta().is_some_and(|meta| !meta.source.is_empty() && meta.source != seen.name)
    };
    match seen.events.iter().find(other) {
        Some(event) => failed(format!(
            "the source of a {} event is {:?}; it must be {:?}, or empty for the collector to fill in",
            event.kind(),
            event.meta().map_or("", |meta| meta.source),
            seen.name
        )),
        None => Ok(None),
    }
}

fn timestamps(seen: &Seen) -> Verdict {
    for event in &seen.events {
        let (kind, time) = (event.kind(), event.timestamp());
        if time < SystemTime::UNIX_EPOCH + OLDEST {
            return failed(format!("a {kind} event has no time: is `timestamp` left to its default?"));
        }
        if let Ok(ahead) = time.duration_since(seen.until)
            && ahead > AHEAD
        {
            return failed(format!("the time of a {kind} event is {ahead:?} in the future"));
        }
    }
    Ok(None)
}
