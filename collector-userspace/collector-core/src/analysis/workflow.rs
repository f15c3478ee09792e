//! What a workflow is: stages, and which waits for which.

use std::fmt;
use std::time::Duration;

use super::subject::AnalysisSubject;
use crate::event::{AnalysisType, TriggerPriority, TriggerRequest};

/// What a stage does; names the analyzer that runs it.
///
/// The first four have analyzers that are there from the start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnalysisStage {
    /// Gathers what is known of the subject.
    Collection,
    /// Adds what can be found out: digests of the executable.
    Enrichment,
    /// Gives a verdict with reasons.
    Detection,
    /// Makes a positive verdict known.
    Alerting,
    /// One analysis as triggers ask for it. Only [`AnalysisType::BinaryHash`] is there from the start.
    Analysis(AnalysisType),
}

impl fmt::Display for AnalysisStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Collection => "collection",
            Self::Enrichment => "enrichment",
            Self::Detection => "detection",
            Self::Alerting => "alerting",
            Self::Analysis(AnalysisType::BinaryHash) => "binary_hash",
            Self::Analysis(AnalysisType::MemoryAnalysis) => "memory_analysis",
            Self::Analysis(AnalysisType::YaraScan) => "yara_scan",
            Self::Analysis(AnalysisType::NetworkAnalysis) => "network_analysis",
            Self::Analysis(AnalysisType::BehavioralAnalysis) => "behavioral_analysis",
            Self::Analysis(AnalysisType::Custom(name)) => name,
        })
    }
}

/// One stage of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageDefinition {
    pub(super) id: String,
    pub(super) stage: AnalysisStage,
    pub(super) after: Vec<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    pub(super) optional: bool,
}

impl StageDefinition {
    /// A stage that waits for nothing. `id` names it within its workflow: 1 to 128 bytes without control characters.
    #[must_use]
    pub fn new(id: impl Into<String>, stage: AnalysisStage) -> Self {
        Self { id: id.into(), stage, after: Vec::new(), timeout: None, retries: None, optional: false }
    }

    /// Makes it wait for the stages with these ids, in addition to those it waits for already. It is given their outputs
    /// and the outputs of what they waited for. They may be defined later.
    #[must_use]
    pub fn after<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.after.extend(ids.into_iter().map(Into::into));
        self
    }

    /// Longest time for one attempt, instead of
    /// [`default_stage_timeout`](super::AnalysisChainConfig::default_stage_timeout).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Attempts after the first, instead of [`max_retry_attempts`](super::AnalysisChainConfig::max_retry_attempts).
    #[must_use]
    pub const fn with_retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Lets the workflow go on without the stage's output when it fails.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// Stages, their dependencies, and what they are to look at. Checked when it is executed.
///
/// ```
/// use collector_core::analysis::{AnalysisStage, AnalysisSubject, AnalysisWorkflowDefinition, StageDefinition};
/// use collector_core::AnalysisType;
///
/// let workflow = AnalysisWorkflowDefinition::new()
///     .with_name("scan")
///     .with_subject(AnalysisSubject::path("/usr/bin/true"))
///     .with_stage(AnalysisStage::Collection)
///     .with_stage_after("hash", AnalysisStage::Analysis(AnalysisType::BinaryHash), ["collection"])
///     // Runs beside `hash`, and the workflow goes on without it if it fails.
///     .with_definition(
///         StageDefinition::new("yara", AnalysisStage::Analysis(AnalysisType::YaraScan)).after(["collection"]).optional(),
///     )
///     .with_stage_after("detection", AnalysisStage::Detection, ["hash", "yara"]);
/// # assert_eq!(workflow.stage_count(), 4);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnalysisWorkflowDefinition {
    pub(super) name: Option<String>,
    pub(super) subject: AnalysisSubject,
    pub(super) priority: TriggerPriority,
    pub(super) timeout: Option<Duration>,
    pub(super) stages: Vec<StageDefinition>,
}

impl AnalysisWorkflowDefinition {
    /// A workflow without stages and subject.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The analysis that a trigger asks for, as a workflow of one stage with the trigger's priority.
    #[must_use]
    pub fn for_trigger(request: TriggerRequest) -> Self {
        Self::new()
            .with_priority(request.priority)
            .with_stage(AnalysisStage::Analysis(request.analysis_type.clone()))
            .with_subject(AnalysisSubject::trigger(request))
    }

    /// Adds a stage that waits for the one added before, if there is one. Its id is the stage's name, for example
    /// `collection`; to have the same stage twice, name them with [`with_stage_after`](Self::with_stage_after).
    #[must_use]
    pub fn with_stage(mut self, stage: AnalysisStage) -> Self {
        let before = self.stages.last().map(|stage| stage.id.clone());
        self.stages.push(StageDefinition::new(stage.to_string(), stage).after(before));
        self
    }

    /// Adds a stage with an id of its own that waits for the stages with the ids in `after`.
    #[must_use]
    pub fn with_stage_after<S: Into<String>>(
        self,
        id: impl Into<String>,
        stage: AnalysisStage,
        after: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with_definition(StageDefinition::new(id, stage).after(after))
    }

    /// Adds a stage with everything that can be said about one.
    #[must_use]
    pub fn with_definition(mut self, stage: StageDefinition) -> Self {
        self.stages.push(stage);
        self
    }

    /// Sets what the stages look at. Default: nothing.
    #[must_use]
    pub fn with_subject(mut self, subject: AnalysisSubject) -> Self {
        self.subject = subject;
        self
    }

    /// Sets the name that reports carry. Default: none.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets who goes first among those that wait. A steady stream of urgent ones keeps the others waiting.
    #[must_use]
    pub const fn with_priority(mut self, priority: TriggerPriority) -> Self {
        self.priority = priority;
        self
    }

    /// Longest time for the whole execution, where that is shorter than
    /// [`max_workflow_timeout`](super::AnalysisChainConfig::max_workflow_timeout).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many stages it has.
    #[must_use]
    pub const fn stage_count(&self) -> usize {
        self.stages.len()
    }
}
