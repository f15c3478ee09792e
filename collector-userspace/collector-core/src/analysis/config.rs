//! Settings of analysis chains, and what can be wrong with them.

use std::time::Duration;

use super::defaults::{RuleError, VerdictRule};
use super::hash::HasherConfig;

/// Longest duration that is taken for meant: a year. Far from where clocks overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Most of anything that is counted: what is allowed is also what memory is needed for.
const MAX_COUNT: usize = 1_000_000;

/// Most stages of a workflow: finding their order takes the square of it.
const MAX_STAGES: usize = 4096;

/// How an [`AnalysisChainCoordinator`](super::AnalysisChainCoordinator) behaves. Every default is valid.
///
/// In files durations are text such as `"30s"`, and unknown fields are errors.
///
/// ```
/// use collector_core::AnalysisChainConfig;
/// use std::time::Duration;
///
/// let config = AnalysisChainConfig::default()
///     .with_max_concurrent_workflows(4)
///     .with_default_stage_timeout(Duration::from_secs(60));
/// config.validate()?;
/// # Ok::<(), collector_core::analysis::AnalysisConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AnalysisChainConfig {
    /// Executions that run at one time. Default 50.
    pub max_concurrent_workflows: usize,
    /// Executions that wait for their turn; more are refused. Default 1000; 0 lets none wait.
    pub max_waiting_workflows: usize,
    /// Stages of one execution that run at one time. Default 4.
    pub max_parallel_stages: usize,
    /// Most stages a workflow may have. Default 64.
    pub max_stages: usize,
    /// Longest time for one attempt of a stage that says nothing else. Default 5 min.
    #[serde(with = "crate::config::duration")]
    pub default_stage_timeout: Duration,
    /// Longest time for a whole execution, waiting for its turn not counted. Default 30 min.
    #[serde(with = "crate::config::duration")]
    pub max_workflow_timeout: Duration,
    /// Attempts after the first for a stage that says nothing else, made only after transient errors. Default 3.
    pub max_retry_attempts: u32,
    /// Time before the second attempt; it doubles with each further one. Default 2 s.
    #[serde(with = "crate::config::duration")]
    pub retry_base_delay: Duration,
    /// Longest time between two attempts. Default 60 s.
    #[serde(with = "crate::config::duration")]
    pub max_retry_delay: Duration,
    /// Reports of ended executions that are kept. Default 100; 0 keeps none.
    pub max_completed_workflows: usize,
    /// How long they are kept. Default 1 h.
    #[serde(with = "crate::config::duration")]
    pub completed_retention: Duration,
    /// The hasher behind the stage [`Enrichment`](super::AnalysisStage::Enrichment) and
    /// [`BinaryHash`](crate::AnalysisType::BinaryHash).
    pub hasher: HasherConfig,
    /// Mount namespace of this process, an inode number: files that were seen in another one are not looked at, because the
    /// same path is another file here. `None`, the default, where that is not known: then files in containers are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_namespace: Option<u32>,
    /// Rules of the stage [`Detection`](super::AnalysisStage::Detection). Default: one rule for executables in `/tmp`,
    /// `/dev/shm` and `/var/tmp`.
    pub rules: Vec<VerdictRule>,
}

impl Default for AnalysisChainConfig {
    fn default() -> Self {
        Self {
            max_concurrent_workflows: 50,
            max_waiting_workflows: 1000,
            max_parallel_stages: 4,
            max_stages: 64,
            default_stage_timeout: Duration::from_secs(5 * 60),
            max_workflow_timeout: Duration::from_secs(30 * 60),
            max_retry_attempts: 3,
            retry_base_delay: Duration::from_secs(2),
            max_retry_delay: Duration::from_secs(60),
            max_completed_workflows: 100,
            completed_retention: Duration::from_secs(3600),
            hasher: HasherConfig::default(),
            mount_namespace: None,
            rules: vec![VerdictRule::world_writable_places()],
        }
    }
}

impl AnalysisChainConfig {
    /// Sets [`max_concurrent_workflows`](Self::max_concurrent_workflows).
    #[must_use]
    pub const fn with_max_concurrent_workflows(mut self, count: usize) -> Self {
        self.max_concurrent_workflows = count;
        self
    }

    /// Sets [`max_waiting_workflows`](Self::max_waiting_workflows).
    #[must_use]
    pub const fn with_max_waiting_workflows(mut self, count: usize) -> Self {
        self.max_waiting_workflows = count;
        self
    }

    /// Sets [`max_parallel_stages`](Self::max_parallel_stages).
    #[must_use]
    pub const fn with_max_parallel_stages(mut self, count: usize) -> Self {
        self.max_parallel_stages = count;
        self
    }

    /// Sets [`max_stages`](Self::max_stages).
    #[must_use]
    pub const fn with_max_stages(mut self, count: usize) -> Self {
        self.max_stages = count;
        self
    }

    /// Sets [`default_stage_timeout`](Self::default_stage_timeout).
    #[must_use]
    pub const fn with_default_stage_timeout(mut self, timeout: Duration) -> Self {
        self.default_stage_timeout = timeout;
        self
    }

    /// Sets [`max_workflow_timeout`](Self::max_workflow_timeout).
    #[must_use]
    pub const fn with_max_workflow_timeout(mut self, timeout: Duration) -> Self {
        self.max_workflow_timeout = timeout;
        self
    }

    /// Sets [`max_retry_attempts`](Self::max_retry_attempts), [`retry_base_delay`](Self::retry_base_delay) and
    /// [`max_retry_delay`](Self::max_retry_delay).
    #[must_use]
    pub const fn with_retries(mut self, attempts: u32, base_delay: Duration, max_delay: Duration) -> Self {
        self.max_retry_attempts = attempts;
        self.retry_base_delay = base_delay;
        self.max_retry_delay = max_delay;
        self
    }

    /// Sets [`max_completed_workflows`](Self::max_completed_workflows) and
    /// [`completed_retention`](Self::completed_retention).
    #[must_use]
    pub const fn with_completed(mut self, count: usize, retention: Duration) -> Self {
        self.max_completed_workflows = count;
        self.completed_retention = retention;
        self
    }

    /// Sets [`hasher`](Self::hasher).
    #[must_use]
    pub const fn with_hasher(mut self, hasher: HasherConfig) -> Self {
        self.hasher = hasher;
        self
    }

    /// Adds a rule to [`rules`](Self::rules).
    #[must_use]
    pub fn with_rule(mut self, rule: VerdictRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Sets [`mount_namespace`](Self::mount_namespace).
    #[must_use]
    pub const fn with_mount_namespace(mut self, inode: u32) -> Self {
        self.mount_namespace = Some(inode);
        self
    }

    /// Replaces [`rules`](Self::rules).
    #[must_use]
    pub fn with_rules(mut self, rules: Vec<VerdictRule>) -> Self {
        self.rules = rules;
        self
    }

    /// Checks the settings; [`AnalysisChainCoordinator::new`](super::AnalysisChainCoordinator::new) does it first.
    ///
    /// # Errors
    /// The first field that cannot work, and why.
    pub fn validate(&self) -> Result<(), AnalysisConfigError> {
        let Self {
            max_concurrent_workflows,
            max_waiting_workflows,
            max_parallel_stages,
            max_stages,
            default_stage_timeout,
            max_workflow_timeout,
            max_retry_attempts,
            retry_base_delay,
            max_retry_delay,
            max_completed_workflows,
            completed_retention,
            hasher,
            mount_namespace: _,
            rules,
        } = self;
        check_number("max_concurrent_workflows", *max_concurrent_workflows, MAX_COUNT)?;
        check_number("max_parallel_stages", *max_parallel_stages, MAX_COUNT)?;
        check_number("max_stages", *max_stages, MAX_STAGES)?;
        // Zero of these has a meaning.
        for (field, value) in [
            ("max_waiting_workflows", *max_waiting_workflows),
            ("max_completed_workflows", *max_completed_workflows),
            ("max_retry_attempts", *max_retry_attempts as usize),
        ] {
            check_number(field, value.max(1), MAX_COUNT)?;
        }
        for (field, duration) in [
            ("default_stage_timeout", default_stage_timeout),
            ("max_workflow_timeout", max_workflow_timeout),
            ("retry_base_delay", retry_base_delay),
            ("max_retry_delay", max_retry_delay),
            ("completed_retention", completed_retention),
        ] {
            check_duration(field, *duration)?;
        }
        hasher.validate()?;
        if hasher.longest() >= *default_stage_timeout {
            return Err(AnalysisConfigError::HasherOutlivesStage {
                limit: hasher.time_limit,
                timeout: *default_stage_timeout,
            });
        }
        VerdictRule::validate_all(rules).map_err(AnalysisConfigError::Rule)
    }
}

/// What is wrong with the settings of analysis chains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisConfigError {
    /// A number or duration that must not be zero is.
    #[error("{field} is 0; it must be at least {least}")]
    Zero {
        /// The field.
        field: &'static str,
        /// The smallest sensible value.
        least: &'static str,
    },
    /// A number is so large that it must be a mistake.
    #[error("{field} is {value}; it may be {most} at most")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The value.
        value: usize,
        /// The largest allowed value.
        most: usize,
    },
    /// A duration is so long that it must be a mistake.
    #[error("{field} is {seconds} s; it may be a year at most")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The value, in seconds.
        seconds: u64,
    },
    /// A file that takes too long would fail the stage, and everything after it, instead of being reported as not hashed.
    #[error(
        "hasher.time_limit ({} ms) is too long for default_stage_timeout ({} ms), which must exceed twice the limit by more than 1 s",
        limit.as_millis(), timeout.as_millis()
    )]
    HasherOutlivesStage {
        /// The time limit of the hasher.
        limit: Duration,
        /// The timeout of stages.
        timeout: Duration,
    },
    /// A rule cannot work.
    #[error("rules: {0}")]
    Rule(#[source] RuleError),
}

pub(super) const fn check_number(
    field: &'static str,
    value: usize,
    most: usize,
) -> Result<(), AnalysisConfigError> {
    if value == 0 {
        return Err(AnalysisConfigError::Zero { field, least: "1" });
    }
    if value > most {
        return Err(AnalysisConfigError::TooLarge { field, value, most });
    }
    Ok(())
}

pub(super) fn check_duration(field: &'static str, duration: Duration) -> Result<(), AnalysisConfigError> {
    if duration.is_zero() {
        return Err(AnalysisConfigError::Zero { field, least: "1ms" });
    }
    if duration > MAX_DURATION {
        return Err(AnalysisConfigError::TooLong { field, seconds: duration.as_secs() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_being_written_and_read() {
        let config = AnalysisChainConfig::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""default_stage_timeout":"5m""#), "{text}");
        assert_eq!(serde_json::from_str::<AnalysisChainConfig>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<AnalysisChainConfig>("{}").unwrap(), config);
        assert!(serde_json::from_str::<AnalysisChainConfig>(r#"{"max_stage":1}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let config = AnalysisChainConfig::default;
        let second = Duration::from_secs(1);
        let cases = [
            (config().with_max_concurrent_workflows(0), "max_concurrent_workflows is 0"),
            (config().with_max_parallel_stages(0), "max_parallel_stages is 0"),
            (config().with_max_stages(0), "max_stages is 0"),
            (
                config().with_max_waiting_workflows(usize::MAX),
                "max_waiting_workflows is 18446744073709551615;",
            ),
            (config().with_default_stage_timeout(Duration::ZERO), "default_stage_timeout is 0"),
            (
                config().with_max_workflow_timeout(Duration::MAX),
                "max_workflow_timeout is 18446744073709551615 s",
            ),
            (config().with_retries(u32::MAX, second, second), "max_retry_attempts is 4294967295;"),
            (config().with_retries(1, Duration::ZERO, second), "retry_base_delay is 0"),
            (config().with_completed(0, Duration::ZERO), "completed_retention is 0"),
            (
                config().with_hasher(HasherConfig::default().with_max_concurrent(0)),
                "hasher.max_concurrent is 0",
            ),
            (
                config().with_default_stage_timeout(21 * second),
                "hasher.time_limit (10000 ms) is too long for",
            ),
        ];
        for (config, message) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error} for {message}");
        }
        config().with_max_waiting_workflows(0).with_completed(0, second).validate().unwrap();
        config().with_default_stage_timeout(22 * second).validate().unwrap();
        config().with_retries(0, second, second).validate().unwrap();
    }
}
