//! When a source that failed is started again.

use std::time::Duration;

use crate::config::duration;

/// Whether and when the runtime starts a source again whose `start` returned an error or panicked.
///
/// The pause before each restart is twice the one before, from `initial_pause` up to `longest_pause`. A source that has run for
/// `forgive_after` is treated as if it had never failed. One that ends without an error has done its work and stays ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RestartPolicy {
    /// Restarts in a row after which the source is left alone as failed. Default 5; 0: none.
    pub max_restarts: u32,
    /// Pause before the first restart. Default 1 s.
    #[serde(with = "duration")]
    pub initial_pause: Duration,
    /// Longest pause. Default 30 s.
    #[serde(with = "duration")]
    pub longest_pause: Duration,
    /// How long a source must run for its failures to be forgiven. Default 60 s.
    #[serde(with = "duration")]
    pub forgive_after: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            max_restarts: 5,
            initial_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            forgive_after: Duration::from_secs(60),
        }
    }
}

impl RestartPolicy {
    /// No restarts: a source that fails has failed.
    #[must_use]
    pub fn never() -> Self {
        Self { max_restarts: 0, ..Self::default() }
    }

    /// Sets [`max_restarts`](Self::max_restarts).
    #[must_use]
    pub const fn with_max_restarts(mut self, count: u32) -> Self {
        self.max_restarts = count;
        self
    }

    /// Sets [`initial_pause`](Self::initial_pause) and [`longest_pause`](Self::longest_pause).
    #[must_use]
    pub const fn with_pauses(mut self, initial: Duration, longest: Duration) -> Self {
        self.initial_pause = initial;
        self.longest_pause = longest;
        self
    }

    /// Sets [`forgive_after`](Self::forgive_after).
    #[must_use]
    pub const fn with_forgive_after(mut self, running: Duration) -> Self {
        self.forgive_after = running;
        self
    }
}

/// Restarts of one source, counted against its policy.
#[derive(Debug)]
pub(super) struct Restarts {
    policy: RestartPolicy,
    in_a_row: u32,
}

impl Restarts {
    pub(super) const fn new(policy: RestartPolicy) -> Self {
        Self { policy, in_a_row: 0 }
    }

    /// The pause before the next start of a source that failed after `running`; `None` when it has failed too often.
    pub(super) fn next(&mut self, running: Duration) -> Option<Duration> {
        let RestartPolicy { max_restarts, initial_pause, longest_pause, forgive_after } = self.policy;
        if running >= forgive_after {
            self.in_a_row = 0;
        }
        if self.in_a_row >= max_restarts {
            return None;
        }
        let pause = initial_pause.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(longest_pause);
        self.in_a_row += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        const SHORT: Duration = Duration::from_millis(1);
        let policy = RestartPolicy::default().with_max_restarts(4);
        let pauses = |restarts: &mut Restarts, running| {
            std::iter::from_fn(|| restarts.next(running))
                .take(9)
                .map(|pause| pause.as_secs())
                .collect::<Vec<_>>()
        };
        let mut restarts = Restarts::new(policy.with_pauses(Duration::from_secs(1), Duration::from_secs(5)));
        assert_eq!(pauses(&mut restarts, SHORT), [1, 2, 4, 5]);
        assert_eq!(restarts.next(SHORT), None);
        // One good run, and everything is forgiven; runs that are always good go on for ever.
        assert_eq!(restarts.next(policy.forgive_after), Some(Duration::from_secs(1)));
        assert_eq!(pauses(&mut restarts, policy.forgive_after), [1; 9]);
        assert_eq!(Restarts::new(RestartPolicy::never()).next(SHORT), None);
        assert_eq!(Restarts::new(policy.with_max_restarts(u32::MAX)).next(SHORT), Some(policy.initial_pause));
    }
}
