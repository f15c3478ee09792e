//! A request on its way through a handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::capabilities::TriggerResourceLimits;
use super::manager::Shared;
use crate::event::TriggerRequest;

/// How an analysis ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
}

/// A request on its way through a handler. Dropping it without a word counts as a failure.
pub struct TriggerTask {
    request: TriggerRequest,
    limits: TriggerResourceLimits,
    shared: Arc<Shared>,
    outcome: Option<Outcome>,
}

impl TriggerTask {
    pub(super) const fn new(
        request: TriggerRequest,
        limits: TriggerResourceLimits,
        shared: Arc<Shared>,
    ) -> Self {
        Self { request, limits, shared, outcome: None }
    }

    /// What is asked for.
    #[must_use]
    pub const fn request(&self) -> &TriggerRequest {
        &self.request
    }

    /// What the analysis may take.
    #[must_use]
    pub const fn limits(&self) -> TriggerResourceLimits {
        self.limits
    }

    /// How long the analysis may take.
    #[must_use]
    pub const fn time(&self) -> Duration {
        Duration::from_millis(self.limits.max_analysis_time_ms)
    }

    /// The analysis is over.
    pub fn finish(self, succeeded: bool) {
        self.end(if succeeded { Outcome::Succeeded } else { Outcome::Failed });
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for TriggerTask {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or(Outcome::Failed);
        self.shared.state().end(&self.request.target_collector, outcome);
        self.shared.ready.notify_waiters();
    }
}

impl fmt::Debug for TriggerTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerTask").field("request", &self.request).finish_non_exhaustive()
    }
}
