//! The thread of one source: `start`, health checks meanwhile, then `stop`; again where it failed and may be restarted.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc};

use super::health::HealthRequest;
use super::lane::{CallError, Lane, call};
use super::relay::Relay;
use super::restart::{RestartPolicy, Restarts};
use crate::event::CollectionEvent;
use crate::source::EventSource;

/// Starts the source on a thread of its own. Nobody joins that thread: it reports to the lane and notifies `changed`.
pub(super) fn spawn(
    lane: &Arc<Lane>,
    tx: mpsc::Sender<CollectionEvent>,
    relay: Relay,
    restart: RestartPolicy,
    changed: &Arc<Notify>,
) {
    let thread = {
        let (lane, changed) = (Arc::clone(lane), Arc::clone(changed));
        move || run(&lane, tx, &relay, Restarts::new(restart), &changed)
    };
    if let Err(error) = std::thread::Builder::new().name(format!("source-{}", lane.name)).spawn(thread) {
        cannot_run(lane, &error, changed);
    }
}

/// Calls `stop` on a thread of its own, for a source whose `start` does not return. It may be what lets it return.
pub(super) fn stop_from_outside(lane: &Arc<Lane>, changed: &Arc<Notify>) {
    let Some(source) = lane.source() else { return };
    let thread = {
        let (lane, changed) = (Arc::clone(lane), Arc::clone(changed));
        move || {
            let stopped = match runtime() {
                Ok(runtime) => stop(&runtime, &*source),
                Err(error) => Err(CallError::Failed(error.to_string())),
            };
            // Here, if `start` has returned meanwhile and left the rest to this thread.
            drop(source);
            lane.stopped(stopped);
            changed.notify_one();
        }
    };
    if let Err(error) = std::thread::Builder::new().name(format!("stop-{}", lane.name)).spawn(thread) {
        lane.stopped(Err(CallError::Failed(error.to_string())));
        changed.notify_one();
    }
}

/// Starts the source, and starts it again as long as it fails and may.
fn run(
    lane: &Arc<Lane>,
    tx: mpsc::Sender<CollectionEvent>,
    relay: &Relay,
    mut restarts: Restarts,
    changed: &Notify,
) {
    let Some(source) = lane.source() else { return };
    loop {
        // Each start has a runtime of its own, so that nothing a failed one has spawned lives on.
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                lane.release(source);
                return cannot_run(lane, &error, changed);
            }
        };
        let begin = Instant::now();
        let error = match start(&runtime, lane, &source, tx.clone(), relay) {
            Ok(()) => return end(runtime, lane, source, tx, Ok(()), changed),
            Err(error) => error,
        };
        let is_wanted = !lane.shutdown.load(std::sync::atomic::Ordering::Acquire);
        let Some(pause) = restarts.next(begin.elapsed()).filter(|_| is_wanted) else {
            return end(runtime, lane, source, tx, Err(error), changed);
        };
        lane.restarting(&error, pause);
        changed.notify_one();
        let stopped = stop(&runtime, &*source);
        runtime.shutdown_background();
        if let Err(CallError::Failed(message) | CallError::Panicked(message)) = stopped {
            tracing::warn!(source = lane.name, error = message, "source could not stop before its restart");
        }
        let goes_on = match self::runtime() {
            Ok(runtime) => runtime.block_on(lane.pause(pause)),
            Err(error) => {
                lane.release(source);
                return cannot_run(lane, &error, changed);
            }
        };
        if !goes_on {
            // It has been stopped already, unless somebody has claimed that meanwhile.
            drop(tx);
            lane.release(source);
            lane.ended(Err(error));
            if lane.claim_stop() {
                lane.stopped(Ok(()));
            }
            return changed.notify_one();
        }
    }
}

/// One call of `start`, with health checks meanwhile.
fn start(
    runtime: &Runtime,
    lane: &Arc<Lane>,
    source: &Arc<dyn EventSource>,
    tx: mpsc::Sender<CollectionEvent>,
    relay: &Relay,
) -> Result<(), CallError> {
    // Room for one question: who finds it taken knows that the source does not answer.
    let (requests, health) = mpsc::channel(1);
    lane.starting(requests);
    let checks = runtime.spawn(answer_health_checks(Arc::clone(source), health));
    runtime.spawn(relay.clone().at_home());
    let mut is_started = false;
    let awaited = || is_started = is_started || lane.awaited(&**source);
    let start = async { source.start(tx, Arc::clone(&lane.shutdown)).await };
    let result = runtime.block_on(call(start, awaited));
    checks.abort();
    // So that it has given the source back.
    let _cancelled = runtime.block_on(checks);
    result
}

/// The last call of `start` is over. The source is stopped and dropped before it counts as stopped.
fn end(
    runtime: Runtime,
    lane: &Arc<Lane>,
    source: Arc<dyn EventSource>,
    tx: mpsc::Sender<CollectionEvent>,
    result: Result<(), CallError>,
    changed: &Notify,
) {
    drop(tx);
    lane.ended(result);
    changed.notify_one();
    // On the same runtime: tasks the source spawned there are still alive and can be ended in order.
    let stopped = lane.claim_stop().then(|| stop(&runtime, &*source));
    lane.release(source);
    if let Some(stopped) = stopped {
        lane.stopped(stopped);
    }
    // Before the rest, which may take as long as the drop of a task does.
    changed.notify_one();
    // Ends those that were not. What they would have sent is not waited for, nor are their blocking calls.
    runtime.shutdown_background();
}

fn stop(runtime: &Runtime, source: &dyn EventSource) -> Result<(), CallError> {
    runtime.block_on(call(async { source.stop().await }, || {}))
}

fn cannot_run(lane: &Lane, error: &io::Error, changed: &Notify) {
    lane.ended(Err(CallError::Failed(format!("no thread to run it: {error}"))));
    if lane.claim_stop() {
        // Nothing is started, so there is nothing to stop.
        lane.stopped(Ok(()));
    }
    changed.notify_one();
}

/// The runtime of one source: one thread, the caller's.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Answers health checks on the thread of the source, until nobody can ask any more.
pub(crate) async fn answer_health_checks(
    source: Arc<dyn EventSource>,
    mut requests: mpsc::Receiver<HealthRequest>,
) {
    while let Some(reply) = requests.recv().await {
        let result = call(async { source.health_check().await }, || {}).await;
        let answer = result.map_err(|error| match error {
            CallError::Failed(message) => message,
            CallError::Panicked(message) => format!("health check panicked: {message}"),
        });
        // Nobody waits any more for an answer that comes too late.
        let _ = reply.send(answer);
    }
}
