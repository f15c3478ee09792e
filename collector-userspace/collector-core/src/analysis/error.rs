//! What can go wrong: with an attempt, with a stage, with a request to the coordinator.

use std::sync::Arc;
use std::time::Duration;

use super::config::AnalysisConfigError;
use super::defaults::AlertSinkError;
use super::hash::HashError;
use super::plan::WorkflowError;
use super::report::ExecutionReport;
use super::workflow::AnalysisStage;

/// Why an attempt of an analyzer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// The same attempt may succeed a little later.
    #[error("{message}")]
    Transient {
        /// What failed, on what, and what to do.
        message: String,
    },
    /// It will fail again.
    #[error("{message}")]
    Permanent {
        /// What failed, on what, and what to do.
        message: String,
    },
    /// The output of an earlier stage is needed and not there.
    #[error(
        "no stage before this one gave the output of {needs}; add that stage to the workflow, and let this one wait for it"
    )]
    MissingInput {
        /// The kind of stage whose output is needed.
        needs: AnalysisStage,
    },
    /// The subject has nothing of the kind that is analysed.
    #[error("the subject names no {what}, so there is nothing to analyse")]
    NothingToAnalyse {
        /// What is missing, for example `file`.
        what: &'static str,
    },
    /// A file was not hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// An alert was not taken.
    #[error(transparent)]
    Alert(#[from] AlertSinkError),
}

impl AnalysisError {
    /// An error after which another attempt makes sense.
    #[must_use]
    pub fn transient(message: impl Into<String>) -> Self {
        Self::Transient { message: message.into() }
    }

    /// An error that another attempt would meet again.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent { message: message.into() }
    }

    /// Whether another attempt makes sense.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Transient { .. } => true,
            Self::Permanent { .. } | Self::MissingInput { .. } | Self::NothingToAnalyse { .. } => false,
            Self::Hash(error) => error.is_transient(),
            Self::Alert(error) => error.is_transient(),
        }
    }
}

/// Why a stage has no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The last attempt failed.
    #[error("{error} (attempt {attempts})")]
    Failed {
        /// What the analyzer said.
        error: AnalysisError,
        /// How many attempts there were.
        attempts: u32,
    },
    /// An attempt took too long. It is not repeated: the next one would take as long.
    #[error("no result within {} ms; give the stage more time with with_timeout", timeout.as_millis())]
    TimedOut {
        /// The stage's timeout.
        timeout: Duration,
    },
    /// The analyzer panicked.
    #[error("the analyzer panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A stage it waited for has no output.
    #[error("it waited for {dependency:?}, which gave no output")]
    DependencyFailed {
        /// The id of that stage.
        dependency: String,
    },
}

/// Why a workflow was not executed, or not to a good end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisChainError {
    /// The configuration cannot work.
    #[error("configuration of analysis chains: {0}")]
    Config(#[from] AnalysisConfigError),
    /// The workflow cannot work.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// Nobody runs stages of this kind.
    #[error("no analyzer runs {stage} (stage {stage_id:?}); register one")]
    NoAnalyzer {
        /// The id of the stage.
        stage_id: String,
        /// Its kind.
        stage: AnalysisStage,
    },
    /// As many executions run and wait as may.
    #[error(
        "{limit} executions wait already, the limit (max_waiting_workflows); try again when some have ended"
    )]
    QueueFull {
        /// The limit.
        limit: usize,
    },
    /// The coordinator has been shut down.
    #[error("the analysis coordinator has been shut down")]
    ShutDown,
    /// There is no tokio runtime to run in.
    #[error("workflows are executed in a tokio runtime; call this within one")]
    NoRuntime,
    /// It ended otherwise than completed.
    #[error("execution {} {}{}", report.id, report.state, first_cause(report))]
    Unsuccessful {
        /// How it went.
        report: Arc<ExecutionReport>,
    },
}

fn first_cause(report: &ExecutionReport) -> String {
    let failed = report.stages.iter().find_map(|stage| Some((&stage.id, stage.error.as_ref()?)));
    failed.map_or_else(String::new, |(id, error)| format!(": stage {id:?}: {error}"))
}

/// Why an analyzer was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// It has no name, or a very long one.
    #[error("analyzer name {name:?} is not a name: it must have 1 to 128 bytes")]
    Name {
        /// The name, cut.
        name: String,
    },
    /// It says that it runs nothing.
    #[error("analyzer {name:?} runs no stages; name at least one in stages()")]
    NoStages {
        /// Its name.
        name: String,
    },
    /// There is another one of that name.
    #[error("there already is an analyzer {name:?}")]
    DuplicateName {
        /// Its name.
        name: String,
    },
    /// Another one runs that stage.
    #[error("{stage} is run by {by:?} already; use replace to put another in its place")]
    StageTaken {
        /// The stage.
        stage: AnalysisStage,
        /// Who runs it.
        by: String,
    },
    /// There are too many.
    #[error("there are {limit} analyzers already, the limit")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}
