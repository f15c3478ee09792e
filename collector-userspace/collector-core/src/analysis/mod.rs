//! Analysis chains: workflows of stages that look at an event, a trigger or a file, and end in a verdict and an alert.
//!
//! ```text
//!  AnalysisWorkflowDefinition ─► plan (checked) ─► queue (bounded) ─► run: stages whose dependencies are done
//!                                                                      │
//!                                             Analyzer ◄── attempt ◄───┘  timeout, retries, panics
//!                                                │
//!                     AnalysisOutput ─► stages that wait for it, ExecutionReport (kept for a while)
//! ```
//!
//! * [`AnalysisChainCoordinator`]: start here. It is configured by [`AnalysisChainConfig`].
//! * [`AnalysisWorkflowDefinition`]: what is to be done, to which [`AnalysisSubject`].
//! * [`Analyzer`]: the trait to implement for stages of your own.
//! * [`ExecutionHandle`] and [`ExecutionReport`]: how it goes, and how it went.
//! * [`BinaryHasher`]: SHA-256 and BLAKE3 of files that somebody else named.
//! * [`Alert`] and [`AlertSink`]: what comes out at the end, and who gets it.
//!
//! Nothing here runs on the event bus or waits for it. Whoever feeds a coordinator from the bus does that in a
//! subscription of its own, where a full queue is that subscriber's loss and is counted as such.

mod analyzer;
mod attempt;
mod config;
mod coordinator;
mod defaults;
mod error;
mod execution;
mod hash;
mod plan;
mod queue;
mod registry;
mod report;
mod run;
mod statistics;
mod subject;
#[cfg(test)]
mod tests;
mod workflow;

pub use tokio_util::sync::CancellationToken;

pub use crate::event::{AlertReason, AlertSeverity};
pub use analyzer::{AnalysisInput, AnalysisOutput, Analyzer};
pub use config::{AnalysisChainConfig, AnalysisConfigError};
pub use coordinator::AnalysisChainCoordinator;
pub use defaults::{
    Alert, AlertOutcome, AlertSink, AlertSinkError, AlertStatistics, AlertingAnalyzer, CollectedSubject,
    CollectionAnalyzer, DetectionAnalyzer, Enrichment, EnrichmentAnalyzer, RuleError, RuleMatch, SubjectKind,
    Verdict, VerdictRule,
};
pub use error::{AnalysisChainError, AnalysisError, RegisterError, StageError};
pub use execution::ExecutionHandle;
pub use hash::{
    BinaryHashAnalyzer, BinaryHasher, Digest, DigestError, FileDigests, HashError, HasherConfig,
    HasherStatistics,
};
pub use plan::WorkflowError;
pub use report::{ExecutionId, ExecutionReport, StageReport, StageState, WorkflowState};
pub use statistics::{AnalysisStatistics, AnalyzerStatistics};
pub use subject::{AnalysisSubject, AnalysisTarget};
pub use workflow::{AnalysisStage, AnalysisWorkflowDefinition, StageDefinition};
