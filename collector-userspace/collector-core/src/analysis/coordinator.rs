//! The coordinator: where workflows are handed in and analyzers are registered.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::analyzer::Analyzer;
use super::config::AnalysisChainConfig;
use super::defaults::{
    AlertCounters, AlertSink, AlertingAnalyzer, CollectionAnalyzer, DetectionAnalyzer, EnrichmentAnalyzer,
};
use super::error::{AnalysisChainError, RegisterError};
use super::execution::{Execution, ExecutionHandle};
use super::hash::{BinaryHashAnalyzer, BinaryHasher};
use super::plan::Plan;
use super::queue::Executions;
use super::registry::Registry;
use super::report::{ExecutionId, ExecutionReport};
use super::statistics::AnalysisStatistics;
use super::workflow::AnalysisWorkflowDefinition;

/// Executes workflows with the analyzers that are registered.
///
/// It comes with analyzers for [`Collection`](super::AnalysisStage::Collection),
/// [`Enrichment`](super::AnalysisStage::Enrichment), [`Detection`](super::AnalysisStage::Detection),
/// [`Alerting`](super::AnalysisStage::Alerting) and [`BinaryHash`](crate::AnalysisType::BinaryHash).
///
/// The [guide](crate::guide) shows it at work.
///
/// Dropping it cancels every execution; [`shutdown`](Self::shutdown) also waits for their end.
pub struct AnalysisChainCoordinator {
    executions: Arc<Executions>,
    registry: RwLock<Registry>,
    hasher: Arc<BinaryHasher>,
    alerts: Arc<AlertCounters>,
}

impl fmt::Debug for AnalysisChainCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnalysisChainCoordinator").field(&self.statistics()).finish()
    }
}

impl AnalysisChainCoordinator {
    /// A coordinator with the default analyzers, whose alerts go nowhere and are counted as unrouted.
    ///
    /// # Errors
    /// The first setting that cannot work, as [`AnalysisChainError::Config`].
    pub fn new(config: AnalysisChainConfig) -> Result<Self, AnalysisChainError> {
        Self::build(config, None)
    }

    /// A coordinator with the default analyzers, whose alerts go to `sink`. A
    /// [`tokio::sync::mpsc::Sender`] of [`Alert`](super::Alert)s is one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_alert_sink(
        config: AnalysisChainConfig,
        sink: impl AlertSink + 'static,
    ) -> Result<Self, AnalysisChainError> {
        Self::build(config, Some(Arc::new(sink)))
    }

    fn build(
        config: AnalysisChainConfig,
        sink: Option<Arc<dyn AlertSink>>,
    ) -> Result<Self, AnalysisChainError> {
        config.validate()?;
        let hasher = Arc::new(BinaryHasher::new(config.hasher.clone())?);
        let alerts = Arc::new(AlertCounters::default());
        let analyzers: [Arc<dyn Analyzer>; 5] = [
            Arc::new(CollectionAnalyzer::default()),
            Arc::new(EnrichmentAnalyzer::new(Arc::clone(&hasher))),
            Arc::new(DetectionAnalyzer::new(&config.rules).map_err(super::AnalysisConfigError::Rule)?),
            Arc::new(AlertingAnalyzer::new(sink, Arc::clone(&alerts))),
            Arc::new(BinaryHashAnalyzer::new(Arc::clone(&hasher))),
        ];
        let coordinator =
            Self { executions: Executions::new(config), registry: RwLock::default(), hasher, alerts };
        for analyzer in analyzers {
            // Five names and stages that differ: nothing can be taken yet.
            let registered = coordinator.register(analyzer);
            debug_assert!(registered.is_ok(), "{registered:?}");
        }
        Ok(coordinator)
    }

    /// Adds an analyzer. Executions that were submitted before do not see it.
    ///
    /// # Errors
    /// It has no name or no stages, or a name or stage is taken.
    pub fn register(&self, analyzer: Arc<dyn Analyzer>) -> Result<(), RegisterError> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).register(analyzer, false)
    }

    /// Adds an analyzer in place of those that run its stages. One that has no stages left is forgotten, with its counters.
    /// Executions that were submitted before keep theirs.
    ///
    /// # Errors
    /// It has no name or no stages, or the name belongs to an analyzer that keeps other stages.
    pub fn replace(&self, analyzer: Arc<dyn Analyzer>) -> Result<(), RegisterError> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).register(analyzer, true)
    }

    /// Executes a workflow and waits for its end. If the future is dropped the execution is cancelled.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`AnalysisChainError::Unsuccessful`] with the report if the execution does not
    /// complete.
    pub async fn execute_workflow(
        &self,
        workflow: AnalysisWorkflowDefinition,
    ) -> Result<Arc<ExecutionReport>, AnalysisChainError> {
        let handle = CancelOnDrop(self.submit(workflow)?);
        let report = handle.0.wait().await;
        match report.state {
            super::WorkflowState::Completed => Ok(report),
            _ => Err(AnalysisChainError::Unsuccessful { report }),
        }
    }

    /// Checks a workflow and has it executed, at once or when its turn comes. It goes on whether or not the handle is
    /// kept.
    ///
    /// # Errors
    /// What is wrong with the workflow, [`NoAnalyzer`](AnalysisChainError::NoAnalyzer) for a stage,
    /// [`QueueFull`](AnalysisChainError::QueueFull), [`ShutDown`](AnalysisChainError::ShutDown), or
    /// [`NoRuntime`](AnalysisChainError::NoRuntime) if this is not called in a tokio runtime.
    pub fn submit(
        &self,
        workflow: AnalysisWorkflowDefinition,
    ) -> Result<ExecutionHandle, AnalysisChainError> {
        let plan = Plan::of(&workflow, self.executions.config.max_stages)?;
        let analyzers = self.registry.read().unwrap_or_else(PoisonError::into_inner).assign(&plan.stages)?;
        let AnalysisWorkflowDefinition { name, subject, priority, timeout, stages: _ } = workflow;
        let timeout = self.executions.timeout(timeout);
        let execution = self
            .executions
            .submit(priority, |id| Execution::new(id, name, subject, plan, analyzers, timeout))?;
        Ok(ExecutionHandle::new(execution, Arc::clone(&self.executions)))
    }

    /// Ends an execution, wherever it is; `false` if it is not known or has ended already.
    pub fn cancel(&self, id: ExecutionId) -> bool {
        self.executions.cancel(id)
    }

    /// How an execution goes, or how it went if it ended not too long ago
    /// ([`max_completed_workflows`](AnalysisChainConfig::max_completed_workflows),
    /// [`completed_retention`](AnalysisChainConfig::completed_retention)).
    #[must_use]
    pub fn report(&self, id: ExecutionId) -> Option<Arc<ExecutionReport>> {
        self.executions.report(id)
    }

    /// The reports of ended executions that are kept, in the order in which they ended.
    #[must_use]
    pub fn completed(&self) -> Vec<Arc<ExecutionReport>> {
        self.executions.ended()
    }

    /// Counters, as of now.
    #[must_use]
    pub fn statistics(&self) -> AnalysisStatistics {
        AnalysisStatistics {
            analyzers: self.registry.read().unwrap_or_else(PoisonError::into_inner).statistics(),
            hasher: self.hasher.statistics(),
            alerts: self.alerts.snapshot(),
            ..self.executions.statistics()
        }
    }

    /// The hasher of the default analyzers, to share its limits and its cache.
    #[must_use]
    pub const fn hasher(&self) -> &Arc<BinaryHasher> {
        &self.hasher
    }

    /// Takes no workflows from now on, cancels all there are, and waits until they have ended.
    pub async fn shutdown(&self) {
        for execution in self.executions.close() {
            ExecutionHandle::new(execution, Arc::clone(&self.executions)).wait().await;
        }
    }
}

impl Drop for AnalysisChainCoordinator {
    fn drop(&mut self) {
        self.executions.close();
    }
}

struct CancelOnDrop(ExecutionHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Does nothing to one that has ended.
        self.0.cancel();
    }
}
