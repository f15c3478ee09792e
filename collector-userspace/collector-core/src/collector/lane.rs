//! What the runtime knows about one source.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc};

use super::error::SourceFailure;
use super::health::{HealthRequest, SourceHealth};
use super::statistics::{SourceState, SourceStats};
use crate::health::HealthStatus;
use crate::panics::message_of;
use crate::source::{EventSource, SourceCaps};

/// A source, its counters and where it is in its life. Written by its thread, its pump and the run.
pub(super) struct Lane {
    pub(super) name: &'static str,
    /// Until it is [released](Self::release).
    source: Mutex<Option<Arc<dyn EventSource>>>,
    /// What the source last said it can see.
    capabilities: AtomicU32,
    /// The signal handed to `start`.
    pub(super) shutdown: Arc<AtomicBool>,
    pub(super) received: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) lost_at_shutdown: AtomicU64,
    restarts: AtomicU64,
    /// Rung when the shutdown signal is set, for who waits to restart.
    wanted_down: Notify,
    stop_claimed: AtomicBool,
    progress: Mutex<Progress>,
}

struct Progress {
    state: SourceState,
    /// `stop` has returned.
    stopped: bool,
    failures: Vec<SourceFailure>,
    errors: u64,
    last_error: Option<String>,
    health: SourceHealth,
    health_requests: Option<mpsc::Sender<HealthRequest>>,
}

/// How a call into a source ended badly.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("failed: {0}")]
    Failed(String),
    #[error("panicked: {0}")]
    Panicked(String),
}

impl CallError {
    /// The failure of `start` that this is.
    fn of(&self, name: &'static str) -> SourceFailure {
        match self {
            Self::Failed(message) => SourceFailure::Failed { name, message: message.clone() },
            Self::Panicked(message) => SourceFailure::Panicked { name, message: message.clone() },
        }
    }
}

impl Lane {
    pub(super) fn new(name: &'static str, source: Arc<dyn EventSource>) -> Self {
        let health =
            SourceHealth { name, status: HealthStatus::Unknown, reason: None, since: SystemTime::now() };
        let progress = Progress {
            state: SourceState::Registered,
            stopped: false,
            failures: Vec::new(),
            errors: 0,
            last_error: None,
            health,
            health_requests: None,
        };
        Self {
            name,
            source: Mutex::new(Some(source)),
            capabilities: AtomicU32::new(0),
            shutdown: Arc::default(),
            received: AtomicU64::new(0),
            published: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            lost_at_shutdown: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            wanted_down: Notify::new(),
            stop_claimed: AtomicBool::new(false),
            progress: Mutex::new(progress),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<dyn EventSource>>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source, for a thread that calls into it; `None` once it is released.
    pub(super) fn source(&self) -> Option<Arc<dyn EventSource>> {
        self.held().clone()
    }

    /// What the source can see; of one that is released, or panics when it is asked, what it said last.
    pub(super) fn capabilities(&self) -> SourceCaps {
        // Under the lock, so that it is never the asking thread that drops the source.
        if let Some(source) = &*self.held() {
            match catch_unwind(AssertUnwindSafe(|| source.capabilities())) {
                Ok(capabilities) => self.capabilities.store(capabilities.bits(), Ordering::Relaxed),
                Err(payload) => {
                    let error = message_of(payload);
                    tracing::error!(
                        source = self.name,
                        error,
                        "source panicked when asked for its capabilities"
                    );
                    let mut progress = self.progress();
                    progress.errors += 1;
                    progress.last_error = Some(format!("capabilities panicked: {error}"));
                }
            }
        }
        SourceCaps::from_bits_retain(self.capabilities.load(Ordering::Relaxed))
    }

    /// Drops the source, on the caller's thread. Done on a thread of the source, so that a drop that blocks or panics harms
    /// nobody else.
    pub(super) fn release(&self, source: Arc<dyn EventSource>) {
        self.capabilities();
        let held = self.held().take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop((held, source))));
        if let Err(payload) = dropped {
            let message = format!("dropping it panicked: {}", message_of(payload));
            let failure = SourceFailure::StopFailed { name: self.name, message };
            tracing::error!(source = self.name, error = %failure, "source could not be dropped");
            self.progress().fail(failure);
        }
    }

    /// `start` is about to be called; health checks are answered through `requests`.
    pub(super) fn starting(&self, requests: mpsc::Sender<HealthRequest>) {
        let mut progress = self.progress();
        progress.state = SourceState::Starting;
        progress.health_requests = Some(requests);
    }

    /// `start` awaited something. True when the source is started, by now or before.
    pub(super) fn awaited(&self, source: &dyn EventSource) -> bool {
        let is_started = source.is_started();
        let mut progress = self.progress();
        if progress.state == SourceState::Starting && is_started {
            progress.state = SourceState::Running;
            progress.set_health(HealthStatus::Healthy, None);
        }
        is_started
    }

    /// Asks the source to end.
    pub(super) fn shut_down(&self) {
        self.shutdown.store(true, Ordering::Release);
        self.wanted_down.notify_one();
    }

    /// Waits before a restart. False when the source shall not be started any more.
    pub(super) async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.wanted_down.notified() => {}
        }
        !self.shutdown.load(Ordering::Acquire)
    }

    /// `start` has failed and will be called again after `pause`.
    pub(super) fn restarting(&self, error: &CallError, pause: Duration) {
        let failure = error.of(self.name);
        tracing::warn!(source = self.name, error = %failure, ?pause, "source failed and will be started again");
        self.restarts.fetch_add(1, Ordering::Relaxed);
        let mut progress = self.progress();
        progress.health_requests = None;
        progress.state = SourceState::Restarting;
        progress.note(&failure);
    }

    /// `start` has taken too long to await anything.
    pub(super) fn start_is_overdue(&self) -> bool {
        let mut progress = self.progress();
        // Its thread may not even have begun.
        let overdue = matches!(progress.state, SourceState::Registered | SourceState::Starting);
        if overdue {
            let reason = "it has not started within the startup timeout".to_owned();
            progress.set_health(HealthStatus::Unhealthy, Some(reason));
        }
        overdue
    }

    /// `start` is over, or could not be called.
    pub(super) fn ended(&self, result: Result<(), CallError>) {
        let name = self.name;
        let failure = result.err().map(|error| error.of(name));
        let mut progress = self.progress();
        progress.health_requests = None;
        match failure {
            None => {
                progress.state = SourceState::Finished;
                progress.set_health(HealthStatus::Healthy, None);
                tracing::info!(source = name, "source finished");
            }
            Some(failure) => {
                tracing::error!(source = name, error = %failure, "source failed");
                progress.state = SourceState::Failed;
                progress.fail(failure);
            }
        }
    }

    /// Whether the caller shall call `stop`: true for exactly one caller.
    pub(super) fn claim_stop(&self) -> bool {
        !self.stop_claimed.swap(true, Ordering::AcqRel)
    }

    /// `stop` has returned.
    pub(super) fn stopped(&self, result: Result<(), CallError>) {
        let mut progress = self.progress();
        progress.stopped = true;
        if let Err(CallError::Failed(message) | CallError::Panicked(message)) = result {
            let failure = SourceFailure::StopFailed { name: self.name, message };
            tracing::error!(source = self.name, error = %failure, "source could not stop");
            progress.fail(failure);
        }
    }

    /// The run waits no longer.
    pub(super) fn abandon(&self) {
        let mut progress = self.progress();
        if progress.is_over() {
            return;
        }
        tracing::error!(source = self.name, "source did not end in time and is abandoned");
        progress.state = SourceState::Abandoned;
        progress.fail(SourceFailure::Abandoned { name: self.name });
    }

    pub(super) fn is_running(&self) -> bool {
        self.progress().state == SourceState::Running
    }

    /// Whether `start` will not go on, or never began.
    pub(super) fn has_ended(&self) -> bool {
        self.progress().has_ended()
    }

    /// Whether both `start` and `stop` have returned.
    pub(super) fn is_over(&self) -> bool {
        self.progress().is_over()
    }

    /// Puts the question to the source's thread; false if one is still waiting there.
    pub(super) fn ask_health(&self, request: HealthRequest) -> bool {
        let requests = self.progress().health_requests.clone();
        requests.is_some_and(|requests| requests.try_send(request).is_ok())
    }

    /// A health check gave this result.
    pub(super) fn checked(&self, result: Result<(), String>) {
        let mut progress = self.progress();
        if progress.has_ended() {
            return;
        }
        match result {
            Ok(()) => progress.set_health(HealthStatus::Healthy, None),
            Err(reason) => {
                progress.errors += 1;
                progress.last_error = Some(reason.clone());
                progress.set_health(HealthStatus::Unhealthy, Some(reason));
            }
        }
    }

    pub(super) fn failures(&self) -> Vec<SourceFailure> {
        self.progress().failures.clone()
    }

    pub(super) fn health(&self) -> SourceHealth {
        self.progress().health.clone()
    }

    pub(super) fn statistics(&self) -> SourceStats {
        let capabilities = self.capabilities();
        let progress = self.progress();
        SourceStats {
            name: self.name,
            state: progress.state,
            capabilities,
            events_received: self.received.load(Ordering::Relaxed),
            events_published: self.published.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            events_lost_at_shutdown: self.lost_at_shutdown.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            errors: progress.errors,
            last_error: progress.last_error.clone(),
        }
    }
}

impl Progress {
    const fn has_ended(&self) -> bool {
        match self.state {
            SourceState::Registered
            | SourceState::Starting
            | SourceState::Running
            | SourceState::Restarting => false,
            SourceState::Finished | SourceState::Failed | SourceState::Abandoned => true,
        }
    }

    const fn is_over(&self) -> bool {
        self.stopped && self.has_ended()
    }

    /// A failure that is final.
    fn fail(&mut self, failure: SourceFailure) {
        self.note(&failure);
        self.failures.push(failure);
    }

    /// A failure that may be mended.
    fn note(&mut self, failure: &SourceFailure) {
        let message = failure.to_string();
        self.errors += 1;
        self.last_error = Some(message.clone());
        self.set_health(HealthStatus::Unhealthy, Some(message));
    }

    fn set_health(&mut self, status: HealthStatus, reason: Option<String>) {
        if (self.health.status, &self.health.reason) != (status, &reason) {
            let name = self.health.name;
            self.health = SourceHealth { name, status, reason, since: SystemTime::now() };
        }
    }
}

/// Awaits a call into a source. A panic stays inside: it ends this call and nothing else.
pub(crate) async fn call(
    future: impl Future<Output = anyhow::Result<()>>,
    mut on_pending: impl FnMut(),
) -> Result<(), CallError> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        // After a panic the future is dropped, never polled again: nothing can see what it left half done.
        let polling = AssertUnwindSafe(|| {
            let poll = future.as_mut().poll(context);
            if poll.is_pending() {
                on_pending();
            }
            poll
        });
        match catch_unwind(polling) {
            Ok(poll) => poll.map(|result| result.map_err(|error| CallError::Failed(format!("{error:#}")))),
            Err(payload) => std::task::Poll::Ready(Err(CallError::Panicked(message_of(payload)))),
        }
    })
    .await
}
