//! Whether a source waits for a full channel, as it should, and what happens meanwhile is kept.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kit::{Kit, LOOK, Unmet, Verdict, failed, skipped};
use super::probe::{Probe, Progress};
use super::report::Check;
use crate::event::CollectionEvent;

/// Times something is made to happen.
const STIMULI: u64 = 8;
/// What a source may take until it waits, after its channel became full.
const SETTLE: Duration = Duration::from_millis(50);
/// How long it is watched while it waits.
const WATCHED: Duration = Duration::from_millis(700);
/// Processor time it may use then. Waiting takes less than a tenth of a millisecond; trying again without a pause takes what
/// there is, and on a busy machine that may be as little as forty.
const PROCESSOR: Duration = Duration::from_millis(20);
/// What it may use besides for each time it wakes up: for what it does apart from sending.
const PROCESSOR_PER_AWAIT: Duration = Duration::from_micros(50);
/// Most times it may wake up then: twice each millisecond.
const AWAITS: u64 = 1400;

/// One run with room for one event: [`Check::WaitsWhenFull`] and [`Check::LosesNothing`].
pub(super) async fn pressure(kit: &mut Kit<'_>) {
    let (waits, loses) = match press(kit).await {
        Ok(both) => both,
        Err(Unmet::Skipped(reason)) => (skipped(reason.clone()), skipped(reason)),
        Err(Unmet::Failed(reason)) => (failed(reason.clone()), failed(reason)),
    };
    kit.note(Check::WaitsWhenFull, waits);
    kit.note(Check::LosesNothing, loses);
}

async fn press(kit: &Kit<'_>) -> Result<(Verdict, Verdict), Unmet> {
    let mut probe = kit.started(1).await?;
    fill(kit, &probe).await?;
    for _ in 1..STIMULI {
        kit.stimulate();
    }
    sleep(SETTLE).await;
    let before = probe.progress();
    sleep(WATCHED).await;
    let watched = probe.progress();

    let wanted = kit.options.stimulus.as_ref().map(|_| STIMULI * kit.options.events_per_stimulus);
    let mut came = 0;
    // Whoever waited awaits something again soon, and its processor time is known then. Who spun does not, before its end.
    let until = Instant::now() + SETTLE.max(kit.deadline() / 10);
    while probe.progress().awaits == watched.awaits && Instant::now() < until {
        came += probe.event(LOOK).await.as_ref().map_or(0, count);
    }
    let mut after = probe.progress();
    let until = Instant::now() + kit.deadline();
    while wanted.is_some_and(|wanted| came < wanted) {
        match probe.event(until.saturating_duration_since(Instant::now())).await {
            Some(event) => came += count(&event),
            None => break,
        }
    }
    let has_ended = kit.leave(&mut probe).await;
    if has_ended && after.awaits == watched.awaits {
        after = probe.progress();
    }
    Ok((waits(&before, &watched, &after), loses(wanted, came)))
}

/// Waits until the channel is full.
pub(super) async fn fill(kit: &Kit<'_>, probe: &Probe) -> Result<(), Unmet> {
    kit.stimulate();
    let until = Instant::now() + kit.deadline();
    while probe.queued() == 0 {
        if !kit.sends.get() || Instant::now() > until {
            return skipped("it sent nothing, so that its channel was never full");
        }
        sleep(LOOK).await;
    }
    Ok(())
}

fn waits(before: &Progress, watched: &Progress, after: &Progress) -> Verdict {
    let awaits = watched.awaits - before.awaits;
    if awaits > AWAITS {
        return failed(format!(
            "while its channel was full it woke up {awaits} times in {WATCHED:?}: \
             await `send` instead of trying again"
        ));
    }
    let processor = after.processor.saturating_sub(before.processor);
    if processor > PROCESSOR + PROCESSOR_PER_AWAIT * awaits as u32 {
        return failed(format!(
            "while its channel was full for {WATCHED:?} it used {processor:?} of processor time: \
             await `send` instead of trying again"
        ));
    }
    Ok(None)
}

fn loses(wanted: Option<u64>, came: u64) -> Verdict {
    match wanted {
        None => skipped("without a stimulus nobody knows how many events there should be"),
        Some(wanted) if came < wanted => failed(format!(
            "{wanted} events were due from what happened while its channel was full, and {came} came, \
             reported losses included: await `send`, do not drop what does not fit"
        )),
        Some(_) => Ok(None),
    }
}

/// How many events that is: one, or those that are reported lost.
const fn count(event: &CollectionEvent) -> u64 {
    match event {
        CollectionEvent::Loss(loss) => loss.count,
        _ => 1,
    }
}
