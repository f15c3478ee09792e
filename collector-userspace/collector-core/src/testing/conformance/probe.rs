//! A source that runs as a collector would run it, watched from outside: on a thread and a runtime of its own, so that
//! whatever it does the kit goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::cpu;
use crate::collector::isolation::{CallError, HealthRequest, answer_health_checks, call, runtime};
use crate::event::CollectionEvent;
use crate::source::EventSource;

/// How a call into the source ended.
pub(super) type Ended = Result<(), CallError>;

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// It collects, or has ended without an error.
    pub(super) started: bool,
    /// How `start` returned.
    pub(super) ended: Option<Ended>,
    /// How `stop` returned, which is called after that.
    pub(super) stopped: Option<Ended>,
    /// How often `start` awaited something.
    pub(super) awaits: u64,
    /// Processor time its thread had used when it last did, or ended.
    pub(super) processor: Duration,
}

/// A running source. Dropping it asks the source to end; the thread of one that does not is left behind.
pub(super) struct Probe {
    pub(super) source: Arc<dyn EventSource>,
    progress: watch::Receiver<Progress>,
    shutdown: Arc<AtomicBool>,
    /// The receiving end of its channel, while there is one.
    pub(super) events: Option<mpsc::Receiver<CollectionEvent>>,
    health: mpsc::Sender<HealthRequest>,
}

impl Probe {
    /// Calls `start` with a channel for `capacity` events, and `stop` when that has returned.
    pub(super) fn launch(source: Arc<dyn EventSource>, capacity: usize) -> Self {
        let (tx, events) = mpsc::channel(capacity);
        let (health, requests) = mpsc::channel(1);
        let (writer, progress) = watch::channel(Progress::default());
        let shutdown = Arc::new(AtomicBool::new(false));
        let writer = Arc::new(writer);
        let thread = {
            let (source, shutdown, writer) =
                (Arc::clone(&source), Arc::clone(&shutdown), Arc::clone(&writer));
            move || run(&source, tx, shutdown, requests, &writer)
        };
        if let Err(error) = std::thread::Builder::new().name("checked-source".to_owned()).spawn(thread) {
            writer.send_modify(|progress| progress.ended = Some(cannot_run(&error)));
        }
        Self { source, progress, shutdown, events: Some(events), health }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until it is so; false if it is not by the deadline. Takes nothing from the channel.
    pub(super) async fn until(&mut self, so: fn(&Progress) -> bool, deadline: Duration) -> bool {
        matches!(timeout(deadline, self.progress.wait_for(so)).await, Ok(Ok(_)))
    }

    /// The same, taking and dropping what it sends meanwhile.
    pub(super) async fn until_drained(&mut self, so: fn(&Progress) -> bool, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let Self { progress, events, .. } = self;
        let drain = async {
            if let Some(events) = events {
                while events.recv().await.is_some() {}
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            found = timeout_at(until, progress.wait_for(so)) => matches!(found, Ok(Ok(_))),
            () = drain => false,
        }
    }

    /// The next event; `None` if none comes in time, or none can come any more.
    pub(super) async fn event(&mut self, wait: Duration) -> Option<CollectionEvent> {
        timeout(wait, self.events.as_mut()?.recv()).await.ok().flatten()
    }

    /// Events that wait in the channel.
    pub(super) fn queued(&self) -> usize {
        self.events.as_ref().map_or(0, mpsc::Receiver::len)
    }

    /// Sets the shutdown signal.
    pub(super) fn shut_down(&self) {
        self.shutdown.store(true, Ordering::Release);
    }

    /// Puts a health check to the thread of the source. `Err` holds why there was no answer.
    pub(super) async fn health(&self, deadline: Duration) -> Result<Result<(), String>, String> {
        let (reply, answer) = oneshot::channel();
        if self.health.try_send(reply).is_err() {
            return Err("`start` has returned".to_owned());
        }
        match timeout(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("`start` has returned".to_owned()),
            Err(_) => Err(format!("there was no answer within {deadline:?}: does `start` block its thread?")),
        }
    }

    /// Lets it end: signal, drain, `stop`. False if that has not happened by the deadline.
    pub(super) async fn end(&mut self, deadline: Duration) -> bool {
        self.shut_down();
        self.until_drained(|progress| progress.stopped.is_some(), deadline).await
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Calls `stop` on a thread of its own, and waits for it. `Err` says what went wrong.
pub(super) async fn stop(source: &Arc<dyn EventSource>, deadline: Duration) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let source = Arc::clone(source);
    let thread = move || {
        let stop = |runtime: Runtime| runtime.block_on(call(async { source.stop().await }, || {}));
        let result = runtime().map_or_else(|error| cannot_run(&error), stop);
        // Nobody waits any more for one that comes too late.
        let _ = reply.send(result);
    };
    if let Err(error) = std::thread::Builder::new().name("checked-stop".to_owned()).spawn(thread) {
        return Err(format!("has no thread: {error}"));
    }
    match timeout(deadline, answer).await {
        Ok(Ok(result)) => result.map_err(|error| error.to_string()),
        Ok(Err(_)) => Err("has lost its thread".to_owned()),
        Err(_) => Err(format!("has not returned within {deadline:?}")),
    }
}

/// The thread of a probe.
fn run(
    source: &Arc<dyn EventSource>,
    tx: mpsc::Sender<CollectionEvent>,
    shutdown: Arc<AtomicBool>,
    requests: mpsc::Receiver<HealthRequest>,
    progress: &watch::Sender<Progress>,
) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            progress.send_modify(|progress| progress.ended = Some(cannot_run(&error)));
            return;
        }
    };
    let checks = runtime.spawn(answer_health_checks(Arc::clone(source), requests));
    let on_await = || {
        let is_started = source.is_started();
        progress.send_modify(|progress| {
            progress.started |= is_started;
            progress.awaits += 1;
            progress.processor = cpu::of_this_thread().unwrap_or_default();
        });
    };
    let ended = runtime.block_on(call(async { source.start(tx, shutdown).await }, on_await));
    checks.abort();
    progress.send_modify(|progress| {
        progress.started |= ended.is_ok();
        progress.processor = cpu::of_this_thread().unwrap_or_default();
        progress.ended = Some(ended);
    });
    let stopped = runtime.block_on(call(async { source.stop().await }, || {}));
    runtime.shutdown_background();
    progress.send_modify(|progress| progress.stopped = Some(stopped));
}

fn cannot_run(error: &io::Error) -> Ended {
    Err(CallError::Failed(format!("it has no thread: {error}")))
}
