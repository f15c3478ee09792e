//! What the checks share: making sources, waiting for them to start, and how a check says what it found.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::options::Options;
use super::probe::Probe;
use super::report::{Check, CheckResult, Outcome};
use crate::source::EventSource;

/// How often the kit looks at what it cannot be told of.
pub(super) const LOOK: Duration = Duration::from_millis(5);
/// Room in the channel where that does not matter.
pub(super) const ROOM: usize = 64;

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Unmet {
    Failed(String),
    Skipped(String),
}

/// What a check found: a note perhaps, or why it did not pass.
pub(super) type Verdict = Result<Option<String>, Unmet>;

/// Fails a check.
pub(super) fn failed<T>(reason: impl Into<String>) -> Result<T, Unmet> {
    Err(Unmet::Failed(reason.into()))
}

/// Leaves a check out.
pub(super) fn skipped<T>(reason: impl Into<String>) -> Result<T, Unmet> {
    Err(Unmet::Skipped(reason.into()))
}

/// The checks of one kind of source.
pub(super) struct Kit<'a> {
    pub(super) options: Options,
    pub(super) make: &'a dyn Fn() -> Box<dyn EventSource>,
    /// Whether the source has been seen to send events.
    pub(super) sends: Cell<bool>,
    /// Whether the source has always ended so far.
    pub(super) ends: Cell<bool>,
    pub(super) results: Vec<CheckResult>,
}

impl Kit<'_> {
    pub(super) const fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// Whether the author wants at least one of these.
    pub(super) fn wants(&self, checks: &[Check]) -> bool {
        checks.iter().any(|check| !self.options.skipped.iter().any(|(skipped, _)| skipped == check))
    }

    /// Notes what a check found, unless the author has left it out.
    pub(super) fn note(&mut self, check: Check, verdict: Verdict) {
        let skipped = self.options.skipped.iter().find(|(skipped, _)| *skipped == check);
        let outcome = match (skipped, verdict) {
            (Some((_, reason)), _) => Outcome::Skipped { reason: reason.clone() },
            (None, Ok(note)) => Outcome::Passed { note },
            (None, Err(Unmet::Failed(reason))) => Outcome::Failed { reason },
            (None, Err(Unmet::Skipped(reason))) => Outcome::Skipped { reason },
        };
        self.results.push(CheckResult { check, outcome });
    }

    /// Whether the outcome of a check is there.
    pub(super) fn has_noted(&self, check: Check) -> bool {
        self.results.iter().any(|result| result.check == check)
    }

    /// Whether a check has failed so far.
    pub(super) fn has_failed(&self, check: Check) -> bool {
        let failed = |result: &CheckResult| matches!(result.outcome, Outcome::Failed { .. });
        self.results.iter().any(|result| result.check == check && failed(result))
    }

    /// A fresh source.
    pub(super) fn source(&self) -> Arc<dyn EventSource> {
        Arc::from((self.make)())
    }

    /// A fresh source that has started.
    pub(super) async fn started(&self, capacity: usize) -> Result<Probe, Unmet> {
        self.start(self.source(), capacity).await
    }

    /// Starts a source, perhaps not for the first time, and waits until it collects.
    pub(super) async fn start(&self, source: Arc<dyn EventSource>, capacity: usize) -> Result<Probe, Unmet> {
        let mut probe = Probe::launch(source, capacity);
        probe.until(|progress| progress.started || progress.ended.is_some(), self.deadline()).await;
        let progress = probe.progress();
        match progress.ended {
            Some(Err(error)) => failed(format!("`start` {error}")),
            _ if progress.started => Ok(probe),
            _ => failed(format!(
                "{} within {:?}",
                if progress.awaits == 0 {
                    "`start` has not awaited anything"
                } else {
                    "`is_started` has not become true"
                },
                self.deadline()
            )),
        }
    }

    /// Makes something happen, where the author has said how.
    pub(super) fn stimulate(&self) {
        if let Some(stimulus) = &self.options.stimulus {
            stimulus();
        }
    }

    /// Lets a source end where that is not what is checked. Returns whether it has, and waits for one in vain only once.
    pub(super) async fn leave(&self, probe: &mut Probe) -> bool {
        let deadline = if self.ends.get() { self.deadline() } else { LOOK };
        let has_ended = probe.end(deadline).await;
        self.ends.set(has_ended);
        has_ended
    }

    /// For a source that was seen sending: whether it does so now.
    pub(super) async fn sends_again(&self, probe: &mut Probe) -> bool {
        self.stimulate();
        !self.sends.get() || probe.event(self.deadline()).await.is_some()
    }
}
