//! What runs a stage: the trait to implement, what it is given and what it gives back.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::defaults::{AlertOutcome, CollectedSubject, Enrichment, Verdict};
use super::error::AnalysisError;
use super::hash::FileDigests;
use super::report::ExecutionId;
use super::subject::AnalysisSubject;
use super::workflow::AnalysisStage;

/// Runs stages of one or more kinds.
///
/// An analyzer is shared by all executions and is called from several at one time. It must not block the thread: work
/// that does belongs on [`tokio::task::spawn_blocking`] and looks at `cancel` now and then. A panic fails the stage and
/// harms nothing else.
///
/// ```
/// use async_trait::async_trait;
/// use collector_core::AnalysisType;
/// use collector_core::analysis::{
///     AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer, CancellationToken,
/// };
///
/// struct PathLength;
///
/// #[async_trait]
/// impl Analyzer for PathLength {
///     fn name(&self) -> &str {
///         "path-length"
///     }
///
///     fn stages(&self) -> Vec<AnalysisStage> {
///         vec![AnalysisStage::Analysis(AnalysisType::Custom("path-length".to_owned()))]
///     }
///
///     async fn analyze(&self, input: AnalysisInput, _: CancellationToken) -> Result<AnalysisOutput, AnalysisError> {
///         let subject = input.collected().ok_or(AnalysisError::MissingInput { needs: AnalysisStage::Collection })?;
///         let length = subject.path.as_ref().map_or(0, |path| path.as_os_str().len());
///         Ok(AnalysisOutput::Json(length.into()))
///     }
/// }
/// ```
#[async_trait]
pub trait Analyzer: Send + Sync {
    /// Its name in reports, statistics and logs, unique within a coordinator. Read once, when it is registered.
    fn name(&self) -> &str;

    /// The kinds of stage it runs, at least one. Read once, when it is registered.
    fn stages(&self) -> Vec<AnalysisStage>;

    /// Makes one attempt.
    ///
    /// `cancel` is cancelled when nobody waits for the result any more: the stage's time is over, the execution was
    /// cancelled, or the coordinator is gone. The future is dropped at its next await then.
    ///
    /// # Errors
    /// [`AnalysisError::Transient`], and what else [is transient](AnalysisError::is_transient), leads to another attempt
    /// while there are any left. Everything else fails the stage.
    async fn analyze(
        &self,
        input: AnalysisInput,
        cancel: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError>;
}

/// What an attempt is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AnalysisInput {
    /// The execution.
    pub execution: ExecutionId,
    /// The stage's id within its workflow.
    pub stage_id: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many could follow. With 0 an error is final, so an analyzer that can say something less may say it now.
    pub attempts_left: u32,
    /// Ties requests, results and alerts together.
    pub correlation_id: Arc<str>,
    /// The mount namespace of this process, if the configuration says it; see
    /// [`mount_namespace`](super::AnalysisChainConfig::mount_namespace).
    pub mount_namespace: Option<u32>,
    /// What the workflow looks at.
    pub subject: Arc<AnalysisSubject>,
    /// Outputs of the stages it waited for, and of those that they waited for, by stage id; each after what it waited
    /// for itself. Optional stages that failed are missing.
    pub outputs: Vec<(String, Arc<AnalysisOutput>)>,
}

impl AnalysisInput {
    /// The output of the stage with this id, if it came before this one.
    #[must_use]
    pub fn output(&self, stage_id: &str) -> Option<&AnalysisOutput> {
        self.outputs.iter().find(|(id, _)| id == stage_id).map(|(_, output)| &**output)
    }

    /// What a stage before this one gathered; of several the last.
    #[must_use]
    pub fn collected(&self) -> Option<&CollectedSubject> {
        self.last(|output| match output {
            AnalysisOutput::Collected(subject) => Some(&**subject),
            _ => None,
        })
    }

    /// What is known of the subject: what a stage before this one gathered or, where none did, what the subject itself
    /// says.
    pub(super) fn known(&self) -> Cow<'_, CollectedSubject> {
        self.collected().map_or_else(|| Cow::Owned(CollectedSubject::of(&self.subject)), Cow::Borrowed)
    }

    /// What a stage before this one found out about the executable; of several the last.
    #[must_use]
    pub fn enrichment(&self) -> Option<&Enrichment> {
        self.last(|output| match output {
            AnalysisOutput::Enriched(enrichment) => Some(enrichment),
            _ => None,
        })
    }

    /// The digests a stage before this one computed; of several the last.
    #[must_use]
    pub fn digests(&self) -> Option<&FileDigests> {
        self.last(|output| match output {
            AnalysisOutput::Hashes(digests) | AnalysisOutput::Enriched(Enrichment::Hashed(digests)) => {
                Some(digests)
            }
            _ => None,
        })
    }

    /// The verdict of a stage before this one; of several the last.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.last(|output| match output {
            AnalysisOutput::Verdict(verdict) => Some(verdict),
            _ => None,
        })
    }

    fn last<'a, T>(&'a self, pick: impl Fn(&'a AnalysisOutput) -> Option<T>) -> Option<T> {
        self.outputs.iter().rev().find_map(|(_, output)| pick(output))
    }
}

/// What a stage found. It is kept in the execution's report, so it should be small.
#[derive(Clone)]
#[non_exhaustive]
pub enum AnalysisOutput {
    /// What is known of the subject.
    Collected(Box<CollectedSubject>),
    /// What was found out about the executable.
    Enriched(Enrichment),
    /// Digests of a file.
    Hashes(FileDigests),
    /// A verdict.
    Verdict(Verdict),
    /// What became of a verdict.
    Alert(AlertOutcome),
    /// Anything that can be said in JSON.
    Json(serde_json::Value),
    /// A type that only the analyzer and those who read it know.
    Other(Arc<dyn Any + Send + Sync>),
}

impl fmt::Debug for AnalysisOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collected(subject) => subject.fmt(f),
            Self::Enriched(enrichment) => enrichment.fmt(f),
            Self::Hashes(digests) => digests.fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::Alert(outcome) => outcome.fmt(f),
            Self::Json(value) => value.fmt(f),
            Self::Other(_) => f.write_str("Other(..)"),
        }
    }
}
