//! Triggers that start a chain of analyses.

use std::sync::Arc;

use async_trait::async_trait;

use super::capabilities::TriggerResourceLimits;
use super::serve::{TriggerHandler, TriggerHandlerError};
use crate::analysis::{AnalysisChainCoordinator, AnalysisStage, AnalysisSubject, AnalysisWorkflowDefinition};
use crate::event::TriggerRequest;

/// Answers each trigger with a workflow of these stages, one after another, with the trigger as its subject.
#[derive(Clone, Debug)]
pub struct ChainHandler {
    collector_id: String,
    coordinator: Arc<AnalysisChainCoordinator>,
    stages: Vec<AnalysisStage>,
}

impl ChainHandler {
    /// The whole chain: what is known of the subject, its digests, a verdict, and an alert if that is bad.
    #[must_use]
    pub fn new(collector_id: impl Into<String>, coordinator: Arc<AnalysisChainCoordinator>) -> Self {
        use AnalysisStage::{Alerting, Collection, Detection, Enrichment};
        let stages = vec![Collection, Enrichment, Detection, Alerting];
        Self { collector_id: collector_id.into(), coordinator, stages }
    }

    /// Sets the stages.
    #[must_use]
    pub fn with_stages(mut self, stages: impl IntoIterator<Item = AnalysisStage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }
}

#[async_trait]
impl TriggerHandler for ChainHandler {
    fn collector_id(&self) -> &str {
        &self.collector_id
    }

    async fn handle(
        &self,
        request: TriggerRequest,
        _: TriggerResourceLimits,
    ) -> Result<(), TriggerHandlerError> {
        let workflow = AnalysisWorkflowDefinition::new()
            .with_name(format!("trigger {}", request.trigger_id))
            .with_priority(request.priority)
            .with_subject(AnalysisSubject::trigger(request));
        let workflow = self.stages.iter().cloned().fold(workflow, AnalysisWorkflowDefinition::with_stage);
        // Dropped when the time is over, and the execution with it.
        match self.coordinator.execute_workflow(workflow).await {
            Ok(_) => Ok(()),
            Err(error) => Err(TriggerHandlerError::new(error.to_string())),
        }
    }
}
