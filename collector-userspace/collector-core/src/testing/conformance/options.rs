//! What the kit has to know about a source.

use std::fmt;
use std::time::Duration;

use super::report::Check;

/// Makes something happen that the source sees.
pub(super) type Stimulus = Box<dyn Fn() + Send + Sync>;

/// How a source is checked. The defaults suit one that sends events by itself.
///
/// ```
/// use collector_core::testing::conformance::{Check, Options};
/// use std::time::Duration;
///
/// let options = Options::new()
///     .with_deadline(Duration::from_secs(20))
///     .with_stimulus(|| drop(std::net::UdpSocket::bind("127.0.0.1:0")))
///     .skip(Check::Restarts, "a file is read once");
/// # let _ = options;
/// ```
pub struct Options {
    pub(super) deadline: Duration,
    pub(super) stimulus: Option<Stimulus>,
    pub(super) events_per_stimulus: u64,
    pub(super) skipped: Vec<(Check, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), stimulus: None, events_per_stimulus: 1, skipped: Vec::new() }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long the source may take for each thing that is asked of it. Default 5 s; it is used up only by what does not
    /// happen. It is the shutdown timeout of the collector in [`Check::RunsInCollector`] too.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets something that makes the source send an event at least, each time it is called: for a source that watches,
    /// what it watches for. It is called many times, on the thread of the test, and must not take long.
    #[must_use]
    pub fn with_stimulus(mut self, stimulus: impl Fn() + Send + Sync + 'static) -> Self {
        self.stimulus = Some(Box::new(stimulus));
        self
    }

    /// Sets how many events each stimulus leads to, at least. Default 1.
    #[must_use]
    pub const fn with_events_per_stimulus(mut self, events: u64) -> Self {
        self.events_per_stimulus = events;
        self
    }

    /// Leaves out a check. The reason is in the report.
    #[must_use]
    pub fn skip(mut self, check: Check, reason: impl Into<String>) -> Self {
        self.skipped.push((check, reason.into()));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("deadline", &self.deadline)
            .field("stimulus", &self.stimulus.is_some())
            .field("events_per_stimulus", &self.events_per_stimulus)
            .field("skipped", &self.skipped)
            .finish()
    }
}
