//! Whether a source ends when it should.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kit::{Kit, LOOK, ROOM, Unmet, Verdict, failed, skipped};
use super::pressure::fill;
use super::probe::stop;
use super::report::Check;
use crate::collector::isolation::CallError;

/// How long a channel stays full after the shutdown signal: a collector goes on taking events at once, but its subscribers may
/// hold it up.
const STILL_FULL: Duration = Duration::from_millis(300);

/// [`Check::ReceiverGone`].
pub(super) async fn receiver_gone(kit: &Kit<'_>) -> Verdict {
    let mut probe = kit.started(ROOM).await?;
    probe.events = None;
    let until = Instant::now() + kit.deadline();
    // Most sources notice when they send the next event.
    while !probe.until(|progress| progress.ended.is_some(), LOOK * 10).await {
        if Instant::now() > until {
            return failed(format!(
                "`start` has not returned within {:?} after the receiver was gone: \
                 return when `send` fails, or await `tx.closed()`",
                kit.deadline()
            ));
        }
        kit.stimulate();
    }
    match probe.progress().ended {
        Some(Err(error @ CallError::Panicked(_))) => failed(format!("`start` {error}")),
        // It may well say that it cannot send.
        _ => Ok(None),
    }
}

/// One run: [`Check::ShutsDown`] and [`Check::Stops`].
pub(super) async fn shut_down(kit: &mut Kit<'_>) {
    let (shuts_down, stops) = match end(kit).await {
        Ok(stops) => (Ok(None), stops),
        Err(unmet) => (Err(unmet), skipped("`start` did not end as it should")),
    };
    kit.note(Check::ShutsDown, shuts_down);
    kit.note(Check::Stops, stops);
}

async fn end(kit: &Kit<'_>) -> Result<Verdict, Unmet> {
    let mut probe = kit.started(ROOM).await?;
    kit.stimulate();
    probe.shut_down();
    let deadline = kit.deadline();
    if !probe.until_drained(|progress| progress.ended.is_some(), deadline).await {
        return failed(format!("`start` has not returned within {deadline:?} after the shutdown signal"));
    }
    if let Some(Err(error)) = probe.progress().ended {
        return failed(format!("`start` {error}, after the shutdown signal"));
    }
    probe.until(|progress| progress.stopped.is_some(), deadline).await;
    Ok(match probe.progress().stopped {
        Some(Ok(())) => Ok(None),
        Some(Err(error)) => failed(format!("`stop` {error}")),
        None => failed(format!("`stop` has not returned within {deadline:?}")),
    })
}

/// [`Check::ShutsDownWhenFull`].
pub(super) async fn shut_down_when_full(kit: &Kit<'_>) -> Verdict {
    let mut probe = kit.started(1).await?;
    fill(kit, &probe).await?;
    // One fills the channel, and with the others it has something to wait with.
    kit.stimulate();
    kit.stimulate();
    sleep(LOOK * 10).await;
    probe.shut_down();
    let by_itself = probe.until(|progress| progress.ended.is_some(), STILL_FULL.min(kit.deadline())).await;
    if !by_itself && !probe.until_drained(|progress| progress.ended.is_some(), kit.deadline()).await {
        return failed(format!(
            "`start` has not returned within {:?} after the shutdown signal, although its events were taken again: \
             look at the signal between two events, not only between two rounds",
            kit.deadline()
        ));
    }
    match probe.progress().ended {
        Some(Err(error)) => failed(format!("`start` {error}, after the shutdown signal")),
        _ if by_itself => Ok(None),
        _ => Ok(Some("only as soon as its events were taken again".to_owned())),
    }
}

/// [`Check::StopsAnyTime`].
pub(super) async fn stop_any_time(kit: &Kit<'_>) -> Verdict {
    let source = kit.source();
    if let Err(error) = stop(&source, kit.deadline()).await {
        return failed(format!("`stop` before `start` {error}"));
    }
    let mut probe = match kit.start(source, ROOM).await {
        Err(Unmet::Failed(reason)) => return failed(format!("after `stop` before `start`: {reason}")),
        other => other?,
    };
    if !probe.end(kit.deadline()).await {
        return failed("after `stop` before `start` it does not end any more");
    }
    match stop(&probe.source, kit.deadline()).await {
        Err(error) => failed(format!("a second `stop` {error}")),
        Ok(()) => Ok(None),
    }
}
