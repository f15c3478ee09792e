//! Running one stage: attempts, each under a timeout, with growing pauses between them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::analyzer::{AnalysisInput, AnalysisOutput};
use super::error::StageError;
use super::execution::Execution;
use super::registry::Registered;
use super::report::StageState;
use super::statistics::{AttemptEnd, AttemptTally};
use crate::panics::message_of;

/// A stage that is to be run.
pub(super) struct Task {
    pub(super) execution: Arc<Execution>,
    /// Its index in the plan.
    pub(super) at: usize,
    pub(super) stage_id: String,
    pub(super) analyzer: Arc<Registered>,
    pub(super) outputs: Vec<(String, Arc<AnalysisOutput>)>,
    pub(super) timeout: Duration,
    pub(super) retries: Retries,
    pub(super) mount_namespace: Option<u32>,
}

/// When to try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    pub(super) count: u32,
    pub(super) base_delay: Duration,
    pub(super) max_delay: Duration,
}

impl Retries {
    /// The pause after this attempt, counted from 1.
    fn pause(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.base_delay.saturating_mul(factor).min(self.max_delay)
    }
}

/// Runs a stage to its end. Dropping the future ends the attempt that runs.
pub(super) async fn run_stage(task: Task) -> Result<AnalysisOutput, StageError> {
    let Task { execution, at, retries, .. } = &task;
    let _clocked = Clocked { execution, at: *at, since: Instant::now() };
    execution.update_stage(*at, |stage| {
        stage.state = StageState::Running;
        stage.started = Some(SystemTime::now());
    });
    let mut attempt = 1;
    loop {
        execution.update_stage(*at, |stage| stage.attempts = attempt);
        match run_attempt(&task, attempt).await {
            Err(StageError::Failed { error, attempts })
                if error.is_transient() && attempt <= retries.count =>
            {
                execution
                    .update_stage(*at, |stage| stage.error = Some(StageError::Failed { error, attempts }));
                tokio::time::sleep(retries.pause(attempt)).await;
                attempt += 1;
            }
            end => return end,
        }
    }
}

/// Notes how long a stage took when it ends, also when it is cancelled.
struct Clocked<'a> {
    execution: &'a Execution,
    at: usize,
    since: Instant,
}

impl Drop for Clocked<'_> {
    fn drop(&mut self) {
        self.execution.update_stage(self.at, |stage| stage.run_time = self.since.elapsed());
    }
}

async fn run_attempt(task: &Task, attempt: u32) -> Result<AnalysisOutput, StageError> {
    let Task { execution, at: _, stage_id, analyzer, outputs, timeout, retries, mount_namespace } = task;
    let input = AnalysisInput {
        execution: execution.id,
        stage_id: stage_id.clone(),
        attempt,
        attempts_left: retries.count.saturating_sub(attempt - 1),
        correlation_id: Arc::clone(&execution.correlation_id),
        mount_namespace: *mount_namespace,
        subject: Arc::clone(&execution.subject),
        outputs: outputs.clone(),
    };
    let tally = AttemptTally::begin(&analyzer.counters, attempt);
    // Tells threads of the analyzer that nobody waits any more, in whatever way this ends.
    let cancel = execution.cancel.child_token();
    let _cancel_on_drop = cancel.clone().drop_guard();
    // A task of its own, so that a panic stays there; a set, because dropping it aborts the task.
    let mut work = JoinSet::new();
    let run = Arc::clone(&analyzer.analyzer);
    work.spawn(async move { run.analyze(input, cancel).await });
    let joined = tokio::select! {
        biased;
        joined = work.join_next() => joined,
        () = tokio::time::sleep(*timeout) => {
            tally.finish(AttemptEnd::Timeout);
            return Err(StageError::TimedOut { timeout: *timeout });
        }
    };
    match joined {
        Some(Ok(Ok(output))) => {
            tally.finish(AttemptEnd::Success);
            Ok(output)
        }
        Some(Ok(Err(error))) => {
            tally.finish(AttemptEnd::Failure);
            Err(StageError::Failed { error, attempts: attempt })
        }
        Some(Err(error)) if error.is_panic() => {
            tally.finish(AttemptEnd::Panic);
            Err(StageError::Panicked { message: message_of(error.into_panic()) })
        }
        // Only a runtime that ends aborts the task, and then this one is about to be dropped as well.
        Some(Err(_)) | None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let second = Duration::from_secs(1);
        let retries = Retries { count: u32::MAX, base_delay: second, max_delay: 10 * second };
        assert_eq!(
            [1, 2, 3, 4, 5, 40, u32::MAX].map(|n| retries.pause(n).as_secs()),
            [1, 2, 4, 8, 10, 10, 10]
        );
    }
}
