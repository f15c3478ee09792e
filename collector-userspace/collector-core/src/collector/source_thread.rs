//! The thread of one source: `start`, health checks meanwhile, then `stop`.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc};

use super::health::HealthRequest;
use super::lane::{CallError, Lane, call};
use super::relay::Relay;
use crate::event::CollectionEvent;
use crate::source::EventSource;

/// Starts the source on a thread of its own. Nobody joins that thread: it reports to the lane and notifies `changed`.
pub(super) fn spawn(
    lane: &Arc<Lane>,
    tx: mpsc::Sender<CollectionEvent>,
    relay: Relay,
    changed: &Arc<Notify>,
) {
    // Room for one question: who finds it taken knows that the source does not answer.
    let (requests, health) = mpsc::channel(1);
    lane.starting(requests);
    let thread = {
        let (lane, changed) = (Arc::clone(lane), Arc::clone(changed));
        move || match runtime() {
            Ok(runtime) => run(runtime, &lane, tx, health, relay, &changed),
            Err(error) => cannot_run(&lane, &error, &changed),
        }
    };
    if let Err(error) = std::thread::Builder::new().name(format!("source-{}", lane.name)).spawn(thread) {
        cannot_run(lane, &error, changed);
    }
}

/// Calls `stop` on a thread of its own, for a source whose `start` does not return. It may be what lets it return.
pub(super) fn stop_from_outside(lane: &Arc<Lane>, changed: &Arc<Notify>) {
    let thread = {
        let (lane, changed) = (Arc::clone(lane), Arc::clone(changed));
        move || {
            match runtime() {
                Ok(runtime) => stop(&runtime, &lane),
                Err(error) => lane.stopped(Err(CallError::Failed(error.to_string()))),
            }
            changed.notify_one();
        }
    };
    if let Err(error) = std::thread::Builder::new().name(format!("stop-{}", lane.name)).spawn(thread) {
        lane.stopped(Err(CallError::Failed(error.to_string())));
        changed.notify_one();
    }
}

fn run(
    runtime: Runtime,
    lane: &Arc<Lane>,
    tx: mpsc::Sender<CollectionEvent>,
    health: mpsc::Receiver<HealthRequest>,
    relay: Relay,
    changed: &Notify,
) {
    let checks = runtime.spawn(answer_health_checks(Arc::clone(&lane.source), health));
    runtime.spawn(relay.at_home());
    let started = || lane.started();
    let start = async { lane.source.start(tx, Arc::clone(&lane.shutdown)).await };
    let result = runtime.block_on(call(start, started));
    checks.abort();
    lane.ended(result);
    changed.notify_one();
    if lane.claim_stop() {
        // On the same runtime: tasks the source spawned there are still alive and can be ended in order.
        stop(&runtime, lane);
    }
    // Ends those that were not. What they would have sent is not waited for, nor are their blocking calls.
    runtime.shutdown_background();
    changed.notify_one();
}

fn stop(runtime: &Runtime, lane: &Lane) {
    let result = runtime.block_on(call(async { lane.source.stop().await }, || {}));
    lane.stopped(result);
}

fn cannot_run(lane: &Lane, error: &io::Error, changed: &Notify) {
    lane.ended(Err(CallError::Failed(format!("no thread to run it: {error}"))));
    if lane.claim_stop() {
        // Nothing was started, so there is nothing to stop.
        lane.stopped(Ok(()));
    }
    changed.notify_one();
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn answer_health_checks(source: Arc<dyn EventSource>, mut requests: mpsc::Receiver<HealthRequest>) {
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
