//! The checks by name, and what they found.

use std::fmt;

/// A thing that is checked, in the order in which the checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// The name is there, printable, and stays the same.
    Name,
    /// The capabilities name a domain, and stay the same while nothing happens.
    Capabilities,
    /// `start` gets as far as collecting: it awaits something and [`is_started`](crate::EventSource::is_started) agrees, or it
    /// has done all its work.
    Starts,
    /// Events come: by themselves, or after the [stimulus](super::Options::with_stimulus).
    SendsEvents,
    /// The events are of domains that the capabilities name. Losses, trigger requests and alerts belong to every domain.
    Domains,
    /// [`EventMeta::source`](crate::EventMeta::source) is the source's name, or empty for the collector to fill in.
    Origin,
    /// Events have a time, and it is not in the future.
    Timestamps,
    /// The source waits while its channel is full, and does not burn processor time meanwhile.
    WaitsWhenFull,
    /// Nothing that happens while the channel is full is lost, unless a loss event says so. Needs a stimulus.
    LosesNothing,
    /// `start` returns when the receiver is gone.
    ReceiverGone,
    /// `start` returns without an error when the shutdown signal is set.
    ShutsDown,
    /// The same while the channel is full, by itself or as soon as events are taken again, as a collector does.
    ShutsDownWhenFull,
    /// `stop` returns after `start` has, without an error.
    Stops,
    /// `stop` does no harm before `start`, or twice.
    StopsAnyTime,
    /// The source works again after `stop`, as [`RestartPolicy`](crate::RestartPolicy) wants it.
    Restarts,
    /// `health_check` answers while `start` goes on, and finds the source healthy.
    Health,
    /// A [`Collector`](crate::Collector) can run it, and ends without having to wait for it. Nothing keeps the sender after
    /// `stop`.
    RunsInCollector,
}

impl Check {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Name,
        Self::Capabilities,
        Self::Starts,
        Self::SendsEvents,
        Self::Domains,
        Self::Origin,
        Self::Timestamps,
        Self::WaitsWhenFull,
        Self::LosesNothing,
        Self::ReceiverGone,
        Self::ShutsDown,
        Self::ShutsDownWhenFull,
        Self::Stops,
        Self::StopsAnyTime,
        Self::Restarts,
        Self::Health,
        Self::RunsInCollector,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Capabilities => "capabilities",
            Self::Starts => "starts",
            Self::SendsEvents => "sends-events",
            Self::Domains => "domains",
            Self::Origin => "origin",
            Self::Timestamps => "timestamps",
            Self::WaitsWhenFull => "waits-when-full",
            Self::LosesNothing => "loses-nothing",
            Self::ReceiverGone => "receiver-gone",
            Self::ShutsDown => "shuts-down",
            Self::ShutsDownWhenFull => "shuts-down-when-full",
            Self::Stops => "stops",
            Self::StopsAnyTime => "stops-any-time",
            Self::Restarts => "restarts",
            Self::Health => "health",
            Self::RunsInCollector => "runs-in-collector",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Passed {
        /// What is still worth knowing.
        note: Option<String>,
    },
    /// Not as it should be.
    Failed {
        /// What was expected, what happened, and what to look at.
        reason: String,
    },
    /// Not checked.
    Skipped {
        /// Why: the author said so, or an earlier check failed, or there was nothing to check.
        reason: String,
    },
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckResult {
    /// The check.
    pub check: Check,
    /// How it ended.
    pub outcome: Outcome,
}

/// What all checks found. Its `Display` has a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the source.
    pub source: String,
    /// One result for each of [`Check::ALL`].
    pub results: Vec<CheckResult>,
}

impl Report {
    /// How a check ended.
    #[must_use]
    pub fn outcome(&self, check: Check) -> Option<&Outcome> {
        self.results.iter().find(|result| result.check == check).map(|result| &result.outcome)
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(|result| matches!(result.outcome, Outcome::Failed { .. }))
    }

    /// Whether no check failed.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Panics with the whole report when a check failed.
    ///
    /// # Panics
    /// When a check failed.
    #[track_caller]
    pub fn assert_conformant(&self) {
        assert!(self.is_conformant(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        write!(f, "source {:?}: {failed} of {} checks failed", self.source, self.results.len())?;
        for CheckResult { check, outcome } in &self.results {
            let (word, text) = match outcome {
                Outcome::Passed { note } => ("ok", note.as_deref()),
                Outcome::Failed { reason } => ("FAILED", Some(reason.as_str())),
                Outcome::Skipped { reason } => ("skipped", Some(reason.as_str())),
            };
            let (colon, text) = text.map_or(("", ""), |text| (": ", text));
            write!(f, "\n{word:>9}  {check}{colon}{text}")?;
        }
        Ok(())
    }
}
