//! Running one execution: stages as soon as what they wait for is there.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::analyzer::AnalysisOutput;
use super::attempt::{Retries, Task, run_stage};
use super::error::StageError;
use super::execution::Execution;
use super::plan::PlannedStage;
use super::queue::Place;
use super::report::{StageState, WorkflowState};

/// What became of a stage.
enum Settled {
    Done(Arc<AnalysisOutput>),
    /// It has no output, but what waits for it runs all the same.
    Forgiven,
    /// It has no output, so neither has what waits for it.
    Missing,
}

pub(super) async fn execute(place: Place) {
    let execution = Arc::clone(place.execution());
    execution.update(|report| {
        report.state = WorkflowState::Running;
        report.started = Some(SystemTime::now());
    });
    let deadline = Instant::now() + execution.timeout;
    let mut run = Run::new(&execution, &place);
    let end = loop {
        if execution.cancel.is_cancelled() {
            break WorkflowState::Cancelled;
        }
        run.start_ready();
        if run.tasks.is_empty() {
            break if run.failed { WorkflowState::Failed } else { WorkflowState::Completed };
        }
        tokio::select! {
            biased;
            () = execution.cancel.cancelled() => break WorkflowState::Cancelled,
            () = tokio::time::sleep_until(deadline) => break WorkflowState::TimedOut,
            ended = run.tasks.join_next() => match ended {
                Some(Ok((at, result))) => run.settle(at, result),
                // Stage tasks do not panic, and nobody else aborts them: the runtime is ending.
                Some(Err(_)) => break WorkflowState::Cancelled,
                None => {}
            },
        }
    };
    // Wait for the stage tasks, which end at once, so that their attempts are counted before anybody is told.
    run.tasks.shutdown().await;
    place.end_as(end);
}

struct Run<'a> {
    execution: &'a Arc<Execution>,
    place: &'a Place,
    settled: Vec<Option<Settled>>,
    started: Vec<bool>,
    tasks: JoinSet<(usize, Result<AnalysisOutput, StageError>)>,
    /// A stage failed that is not optional.
    failed: bool,
}

impl<'a> Run<'a> {
    fn new(execution: &'a Arc<Execution>, place: &'a Place) -> Self {
        let count = execution.plan.stages.len();
        let settled = std::iter::repeat_with(|| None).take(count).collect();
        Self { execution, place, settled, started: vec![false; count], tasks: JoinSet::new(), failed: false }
    }

    /// Starts stages while there is room and some have all they wait for.
    fn start_ready(&mut self) {
        let execution = Arc::clone(self.execution);
        for (at, planned) in execution.plan.stages.iter().enumerate() {
            if self.tasks.len() >= self.place.config().max_parallel_stages {
                return;
            }
            let started = self.started.get(at).copied().unwrap_or(true);
            let waits = planned.after.iter().any(|at| self.outcome(*at).is_none());
            if started || waits || self.outcome(at).is_some() {
                continue;
            }
            let Some(task) = self.task(at, planned) else { continue };
            if let Some(started) = self.started.get_mut(at) {
                *started = true;
            }
            self.tasks.spawn(async move { (at, run_stage(task).await) });
        }
    }

    fn task(&self, at: usize, planned: &PlannedStage) -> Option<Task> {
        let (config, execution) = (self.place.config(), self.execution);
        let definition = &planned.definition;
        let outputs = planned.ancestors.iter().filter_map(|before| {
            let Settled::Done(output) = self.outcome(*before)? else { return None };
            Some((execution.plan.stages.get(*before)?.definition.id.clone(), Arc::clone(output)))
        });
        Some(Task {
            execution: Arc::clone(execution),
            at,
            stage_id: definition.id.clone(),
            analyzer: Arc::clone(execution.analyzers.get(at)?),
            outputs: outputs.collect(),
            timeout: definition.timeout.unwrap_or(config.default_stage_timeout),
            retries: Retries {
                count: definition.retries.unwrap_or(config.max_retry_attempts),
                base_delay: config.retry_base_delay,
                max_delay: config.max_retry_delay,
            },
            mount_namespace: config.mount_namespace,
        })
    }

    fn outcome(&self, at: usize) -> Option<&Settled> {
        self.settled.get(at)?.as_ref()
    }

    fn settle(&mut self, at: usize, result: Result<AnalysisOutput, StageError>) {
        let Some(planned) = self.execution.plan.stages.get(at) else { return };
        let (outcome, state, output, error) = match result {
            Ok(output) => {
                let output = Arc::new(output);
                (Settled::Done(Arc::clone(&output)), StageState::Done, Some(output), None)
            }
            Err(error) => {
                tracing::debug!(
                    execution = %self.execution.id, stage = planned.definition.id, %error, "analysis stage failed"
                );
                (self.without_output(planned), StageState::Failed, None, Some(error))
            }
        };
        self.execution.update_stage(at, |stage| {
            stage.state = state;
            stage.finished = Some(SystemTime::now());
            stage.output = output;
            stage.error = error;
        });
        self.place_outcome(at, outcome);
        self.skip_hopeless();
    }

    /// What a stage without output means for the others. An optional one costs the execution nothing.
    fn without_output(&mut self, planned: &PlannedStage) -> Settled {
        if planned.definition.optional {
            return Settled::Forgiven;
        }
        self.failed = true;
        Settled::Missing
    }

    /// Settles stages that wait for one that will never have an output, and those that wait for them.
    fn skip_hopeless(&mut self) {
        let execution = Arc::clone(self.execution);
        let hopeless = |run: &Self| {
            execution.plan.stages.iter().enumerate().find_map(|(at, planned)| {
                let missing = |before: &&usize| matches!(run.outcome(**before), Some(Settled::Missing));
                let because = planned.after.iter().find(missing)?;
                run.outcome(at).is_none().then_some((at, planned, *because))
            })
        };
        while let Some((at, planned, because)) = hopeless(self) {
            let outcome = self.without_output(planned);
            let dependency = execution.plan.stages.get(because).map(|stage| stage.definition.id.clone());
            execution.update_stage(at, |stage| {
                stage.state = StageState::Skipped;
                stage.finished = Some(SystemTime::now());
                stage.error =
                    Some(StageError::DependencyFailed { dependency: dependency.unwrap_or_default() });
            });
            self.place_outcome(at, outcome);
        }
    }

    fn place_outcome(&mut self, at: usize, outcome: Settled) {
        if let Some(place) = self.settled.get_mut(at) {
            *place = Some(outcome);
        }
    }
}
