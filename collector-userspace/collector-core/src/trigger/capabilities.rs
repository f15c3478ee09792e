//! What a collector that analyses says of itself.

use super::condition::{ConditionType, TriggerCondition};
use super::error::TriggerError;
use crate::event::{AnalysisType, TriggerPriority};

/// What one analysis may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerResourceLimits {
    /// Bytes of memory; told to the handler, which has to keep to it. Default 100 MiB.
    pub max_memory_per_task: u64,
    /// Milliseconds after which the analysis is abandoned. Default 30,000.
    pub max_analysis_time_ms: u64,
    /// Requests that may wait for this collector. Default 1000.
    pub max_queue_depth: usize,
}

impl Default for TriggerResourceLimits {
    fn default() -> Self {
        Self { max_memory_per_task: 100 << 20, max_analysis_time_ms: 30_000, max_queue_depth: 1000 }
    }
}

/// What a collector that analyses can do, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerCapabilities {
    /// Its id; conditions name it as their target.
    pub collector_id: String,
    /// Kinds of conditions it takes triggers from. Only the kind counts, not what is in it.
    pub supported_conditions: Vec<ConditionType>,
    /// Analyses it can do.
    pub supported_analysis: Vec<AnalysisType>,
    /// Most triggers a second; what is beyond is dropped and counted.
    pub max_trigger_rate: u32,
    /// Most analyses at the same time.
    pub max_concurrent_analysis: u32,
    /// Priorities it takes.
    pub supported_priorities: Vec<TriggerPriority>,
    /// What one analysis may take.
    pub resource_limits: TriggerResourceLimits,
}

impl TriggerCapabilities {
    /// Checks that it can be what it says.
    pub(super) fn check(&self) -> Result<(), TriggerError> {
        let Self {
            collector_id,
            supported_conditions: _,
            supported_analysis,
            max_trigger_rate,
            max_concurrent_analysis,
            supported_priorities,
            resource_limits:
                TriggerResourceLimits { max_memory_per_task, max_analysis_time_ms, max_queue_depth },
        } = self;
        const ZERO: &str = "is 0; it must be at least 1";
        let problems = [
            ("collector_id", collector_id.is_empty(), "is empty"),
            ("supported_analysis", supported_analysis.is_empty(), "is empty: it could do nothing"),
            ("supported_priorities", supported_priorities.is_empty(), "is empty: it would take nothing"),
            ("max_trigger_rate", *max_trigger_rate == 0, ZERO),
            ("max_concurrent_analysis", *max_concurrent_analysis == 0, ZERO),
            ("resource_limits.max_memory_per_task", *max_memory_per_task == 0, ZERO),
            ("resource_limits.max_analysis_time_ms", *max_analysis_time_ms == 0, ZERO),
            ("resource_limits.max_queue_depth", *max_queue_depth == 0, ZERO),
        ];
        match problems.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
            Some((field, _, problem)) => {
                Err(TriggerError::Capabilities { collector_id: collector_id.clone(), field, problem })
            }
            None => Ok(()),
        }
    }

    /// Checks that it offers what a condition asks it for.
    pub(super) fn check_offer(&self, condition: &TriggerCondition) -> Result<(), TriggerError> {
        let TriggerCondition {
            id,
            description: _,
            analysis_type,
            priority,
            target_collector: _,
            condition_type,
        } = condition;
        let same_kind = |other: &ConditionType| other.name() == condition_type.name();
        let what = if !self.supported_analysis.contains(analysis_type) {
            format!("the analysis {analysis_type:?}")
        } else if !self.supported_priorities.contains(priority) {
            format!("the priority {priority:?}")
        } else if !self.supported_conditions.iter().any(same_kind) {
            format!("conditions of the type {}", condition_type.name())
        } else {
            return Ok(());
        };
        Err(TriggerError::NotOffered { id: id.clone(), collector_id: self.collector_id.clone(), what })
    }
}
