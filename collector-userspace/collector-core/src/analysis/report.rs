//! How an execution goes or went.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::analyzer::AnalysisOutput;
use super::error::StageError;
use super::workflow::AnalysisStage;

/// Names an execution within its coordinator. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(pub(super) u64);

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "analysis-{}", self.0)
    }
}

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkflowState {
    /// Others are before it.
    Waiting,
    /// Its stages are run.
    Running,
    /// Every stage that is not optional is done.
    Completed,
    /// A stage that is not optional failed.
    Failed,
    /// Somebody cancelled it, or the coordinator or its runtime ended.
    Cancelled,
    /// It took too long as a whole.
    TimedOut,
}

impl WorkflowState {
    /// Whether it has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::TimedOut => true,
        }
    }
}

impl fmt::Display for WorkflowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waits",
            Self::Running => "runs",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "was cancelled",
            Self::TimedOut => "timed out",
        })
    }
}

/// Where a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageState {
    /// It waits for other stages or for its turn.
    Pending,
    /// Its analyzer works, or waits until the next attempt.
    Running,
    /// It has an output.
    Done,
    /// It has none: its analyzer failed, panicked or took too long.
    Failed,
    /// It was not run, because a stage it waits for has no output.
    Skipped,
    /// The execution ended before it did.
    Cancelled,
}

/// How one stage goes or went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageReport {
    /// Its id within the workflow.
    pub id: String,
    /// What it does.
    pub stage: AnalysisStage,
    /// Name of the analyzer that runs it.
    pub analyzer: Arc<str>,
    /// Where it is.
    pub state: StageState,
    /// Attempts begun.
    pub attempts: u32,
    /// When the first began.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub finished: Option<SystemTime>,
    /// From the first start to the end, on a clock that never steps.
    pub run_time: Duration,
    /// What it found. `Some` exactly if it is done.
    pub output: Option<Arc<AnalysisOutput>>,
    /// Why it has no output. While it runs: why the last attempt failed.
    pub error: Option<StageError>,
}

/// How an execution goes or went: a snapshot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutionReport {
    /// Its id.
    pub id: ExecutionId,
    /// Name of the workflow.
    pub name: Option<String>,
    /// Ties requests, results and alerts together.
    pub correlation_id: Arc<str>,
    /// Where it is.
    pub state: WorkflowState,
    /// When it was submitted.
    pub submitted: SystemTime,
    /// When its turn came.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub finished: Option<SystemTime>,
    /// The stages, in the order of definition.
    pub stages: Vec<StageReport>,
}

impl ExecutionReport {
    /// The stage with this id.
    #[must_use]
    pub fn stage(&self, id: &str) -> Option<&StageReport> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// The output of the stage with this id, if it is done.
    #[must_use]
    pub fn output(&self, id: &str) -> Option<&AnalysisOutput> {
        self.stage(id)?.output.as_deref()
    }
}
