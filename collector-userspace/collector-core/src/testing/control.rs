//! A scripted source, seen and steered from outside.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often an idle script looks at the shutdown signal.
const LOOK: Duration = Duration::from_millis(1);

/// A [`ScriptedSource`](super::ScriptedSource) from outside; clones control the same one.
#[derive(Clone, Debug)]
pub struct ScriptControl {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    starts: AtomicUsize,
    stops: AtomicUsize,
    is_started: AtomicBool,
    /// Idle steps that shall end.
    permits: AtomicUsize,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScriptControl {
    pub(super) fn new() -> Self {
        let shared = Shared {
            starts: AtomicUsize::new(0),
            stops: AtomicUsize::new(0),
            is_started: AtomicBool::new(true),
            permits: AtomicUsize::new(0),
            trouble: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How often `start` was called.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.shared.starts.load(Ordering::SeqCst)
    }

    /// How often `stop` was called.
    #[must_use]
    pub fn stops(&self) -> usize {
        self.shared.stops.load(Ordering::SeqCst)
    }

    /// Ends one idle step: the one the script is in, or else the next one.
    pub fn go_on(&self) {
        self.shared.permits.fetch_add(1, Ordering::SeqCst);
    }

    /// Sets what [`EventSource::is_started`](crate::EventSource::is_started) answers. It is `true` at first.
    pub fn set_started(&self, is_started: bool) {
        self.shared.is_started.store(is_started, Ordering::SeqCst);
    }

    /// Makes health checks fail for this reason.
    pub fn set_unhealthy(&self, reason: impl Into<String>) {
        *self.shared.trouble() = Some(reason.into());
    }

    /// Makes health checks succeed, as they do at first.
    pub fn set_healthy(&self) {
        *self.shared.trouble() = None;
    }

    /// Waits for the shutdown signal or for [`go_on`](Self::go_on).
    pub(super) async fn idle(&self, shutdown: &AtomicBool) {
        let take = |permits: usize| permits.checked_sub(1);
        while !shutdown.load(Ordering::Relaxed) {
            if self.shared.permits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn note_start(&self) {
        self.shared.starts.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn note_stop(&self) {
        self.shared.stops.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn is_started(&self) -> bool {
        self.shared.is_started.load(Ordering::SeqCst)
    }

    pub(super) fn health(&self) -> anyhow::Result<()> {
        self.shared.trouble().as_ref().map_or(Ok(()), |reason| Err(anyhow::anyhow!("{reason}")))
    }
}
