//! One execution: what it is to do, how it goes, and the handle its owner has.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::plan::{Plan, PlannedStage};
use super::queue::Executions;
use super::registry::Registered;
use super::report::{ExecutionId, ExecutionReport, StageReport, StageState, WorkflowState};
use super::subject::AnalysisSubject;

pub(super) struct Execution {
    pub(super) id: ExecutionId,
    pub(super) plan: Plan,
    /// Who runs each stage of the plan.
    pub(super) analyzers: Vec<Arc<Registered>>,
    pub(super) subject: Arc<AnalysisSubject>,
    pub(super) correlation_id: Arc<str>,
    /// Longest time as a whole.
    pub(super) timeout: Duration,
    /// Cancelled when the execution is to end.
    pub(super) cancel: CancellationToken,
    report: watch::Sender<Arc<ExecutionReport>>,
}

impl Execution {
    pub(super) fn new(
        id: ExecutionId,
        name: Option<String>,
        subject: AnalysisSubject,
        plan: Plan,
        analyzers: Vec<Arc<Registered>>,
        timeout: Duration,
    ) -> Self {
        let correlation_id: Arc<str> =
            subject.correlation_id().map_or_else(|| id.to_string().into(), Into::into);
        let stages = plan.stages.iter().zip(&analyzers);
        let report = ExecutionReport {
            id,
            name,
            correlation_id: Arc::clone(&correlation_id),
            state: WorkflowState::Waiting,
            submitted: SystemTime::now(),
            started: None,
            finished: None,
            stages: stages.map(|(planned, analyzer)| pending(planned, analyzer)).collect(),
        };
        Self {
            id,
            plan,
            analyzers,
            subject: Arc::new(subject),
            correlation_id,
            timeout,
            cancel: CancellationToken::new(),
            report: watch::Sender::new(Arc::new(report)),
        }
    }

    /// How it goes at the moment.
    pub(super) fn report(&self) -> Arc<ExecutionReport> {
        Arc::clone(&self.report.borrow())
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ExecutionReport)) {
        // Copies the report only while somebody holds the previous one.
        self.report.send_modify(|report| change(Arc::make_mut(report)));
    }

    pub(super) fn update_stage(&self, at: usize, change: impl FnOnce(&mut StageReport)) {
        self.update(|report| {
            if let Some(stage) = report.stages.get_mut(at) {
                change(stage);
            }
        });
    }

    /// The report with which it ends; not published yet.
    pub(super) fn concluded(&self, state: WorkflowState) -> Arc<ExecutionReport> {
        let mut report = (*self.report()).clone();
        let now = SystemTime::now();
        report.state = state;
        report.finished = Some(now);
        for stage in &mut report.stages {
            if matches!(stage.state, StageState::Pending | StageState::Running) {
                stage.state = StageState::Cancelled;
                stage.finished = Some(now);
            }
        }
        Arc::new(report)
    }

    pub(super) fn publish(&self, report: Arc<ExecutionReport>) {
        self.report.send_replace(report);
    }
}

fn pending(planned: &PlannedStage, analyzer: &Registered) -> StageReport {
    StageReport {
        id: planned.definition.id.clone(),
        stage: planned.definition.stage.clone(),
        analyzer: Arc::clone(&analyzer.name),
        state: StageState::Pending,
        attempts: 0,
        started: None,
        finished: None,
        run_time: Duration::ZERO,
        output: None,
        error: None,
    }
}

/// An execution, for whoever submitted it. Dropping it changes nothing: the execution goes on.
#[derive(Clone)]
pub struct ExecutionHandle {
    execution: Arc<Execution>,
    executions: Arc<Executions>,
}

impl fmt::Debug for ExecutionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecutionHandle").field(&self.report()).finish()
    }
}

impl ExecutionHandle {
    pub(super) const fn new(execution: Arc<Execution>, executions: Arc<Executions>) -> Self {
        Self { execution, executions }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ExecutionId {
        self.execution.id
    }

    /// How it goes at the moment.
    #[must_use]
    pub fn report(&self) -> Arc<ExecutionReport> {
        self.execution.report()
    }

    /// How it goes, with every change; whoever looks rarely sees only the last one. The last report of all is final.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Arc<ExecutionReport>> {
        self.execution.report.subscribe()
    }

    /// Ends it, wherever it is. What is done stays done.
    pub fn cancel(&self) {
        self.executions.cancel(self.execution.id);
    }

    /// Waits until it has ended, well or not.
    pub async fn wait(&self) -> Arc<ExecutionReport> {
        let mut progress = self.progress();
        // The sender lives as long as this handle, so there is no error.
        let last =
            progress.wait_for(|report| report.state.is_final()).await.map(|report| Arc::clone(&report));
        last.unwrap_or_else(|_| self.report())
    }
}
