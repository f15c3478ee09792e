//! Whether a source can be restarted, watched and run by a collector.

use tokio::time::{Instant, sleep, timeout};

use super::kit::{Kit, LOOK, ROOM, Unmet, Verdict, failed, skipped};
use crate::bus::EventFilter;
use crate::collector::{Collector, CollectorHandle, RestartPolicy, SourceState, SourceStats};
use crate::config::CollectorConfig;
use crate::testing::{collect, subscribe};

/// [`Check::Restarts`](super::Check::Restarts).
pub(super) async fn restart(kit: &Kit<'_>) -> Verdict {
    let mut first = kit.started(ROOM).await?;
    if !kit.sends_again(&mut first).await {
        return failed(
            "it sent nothing although another one did before: do sources of this kind share a state?",
        );
    }
    if !first.end(kit.deadline()).await {
        return skipped("it does not end");
    }
    let mut second = match kit.start(first.source.clone(), ROOM).await {
        Err(Unmet::Failed(reason)) => return failed(format!("started again: {reason}")),
        other => other?,
    };
    let sends = kit.sends_again(&mut second).await;
    let ends = second.end(kit.deadline()).await;
    match (sends, ends) {
        (true, true) => Ok(None),
        (false, _) => failed("started again it sends no events"),
        (true, false) => failed("started again it does not end any more"),
    }
}

/// [`Check::Health`](super::Check::Health).
pub(super) async fn health(kit: &Kit<'_>) -> Verdict {
    let mut probe = kit.started(ROOM).await?;
    let answer = probe.health(kit.deadline()).await;
    let has_ended = probe.progress().ended.is_some();
    kit.leave(&mut probe).await;
    match answer {
        Ok(Ok(())) => Ok(None),
        Ok(Err(reason)) => failed(format!("`health_check` finds a source that runs unhealthy: {reason}")),
        Err(_) if has_ended => skipped("it had done its work before it could be asked"),
        Err(reason) => failed(format!("`health_check`: {reason}")),
    }
}

/// [`Check::RunsInCollector`](super::Check::RunsInCollector).
pub(super) async fn collector(kit: &Kit<'_>) -> Verdict {
    let limit = kit.deadline();
    let config = CollectorConfig::new()
        .with_signal_handling(false)
        .with_restart_policy(RestartPolicy::never())
        .with_shutdown_timeout(limit);
    let mut collector = Collector::new(config);
    if let Err(error) = collector.register((kit.make)()) {
        return failed(format!("it cannot be registered: {error}"));
    }
    let mut subscription = match subscribe(&collector.bus(), EventFilter::new()).await {
        Ok(subscription) => subscription,
        Err(error) => return skipped(format!("nobody can subscribe: {error}")),
    };
    let handle = collector.handle();
    // A task of its own: a collector that were only polled by this one would wait for its subscriber.
    let run = tokio::spawn(collector.run());
    until_running(&handle, kit).await;
    kit.stimulate();
    if kit.sends.get()
        && let Err(error) = collect(&mut subscription, 1, limit).await
    {
        handle.shutdown();
        return failed(format!("no event reached a subscriber: {error}"));
    }
    // Nobody has to wait for us any more.
    drop(subscription);
    handle.shutdown();
    let begin = Instant::now();
    let result = run.await;
    let took = begin.elapsed();
    match result {
        Err(error) => failed(format!("the collector failed: {error}")),
        Ok(Err(error)) => failed(format!("the collector's run ended with {error:#}")),
        Ok(Ok(())) if took > limit / 2 => failed(format!(
            "the collector took {took:?} to end, of a shutdown timeout of {limit:?}: \
             does dropping it, or a task of it, take so long?"
        )),
        Ok(Ok(())) => match statistics(&handle) {
            Some(stats) if stats.events_lost_at_shutdown > 0 => {
                failed(format!("{} events were lost at shutdown", stats.events_lost_at_shutdown))
            }
            _ => lets_go(kit).await,
        },
    }
}

/// Whether nothing keeps the sender after `stop`. A collector does not wait for who does, and takes nothing more from it.
async fn lets_go(kit: &Kit<'_>) -> Verdict {
    let mut probe = kit.started(ROOM).await?;
    if !kit.leave(&mut probe).await {
        return skipped("it does not end");
    }
    let Some(events) = &mut probe.events else { return Ok(None) };
    let gone = async { while events.recv().await.is_some() {} };
    match timeout(kit.deadline(), gone).await {
        Ok(()) => Ok(None),
        Err(_) => failed("something keeps the sender after `stop`: what it sends then is lost"),
    }
}

async fn until_running(handle: &CollectorHandle, kit: &Kit<'_>) {
    let until = Instant::now() + kit.deadline();
    let waits = |stats: SourceStats| matches!(stats.state, SourceState::Registered | SourceState::Starting);
    while statistics(handle).is_some_and(waits) && Instant::now() < until {
        sleep(LOOK).await;
    }
}

fn statistics(handle: &CollectorHandle) -> Option<SourceStats> {
    handle.statistics().sources.into_iter().next()
}
