//! From an event that meets a condition to a request.

use std::collections::HashMap;
use std::time::SystemTime;

use super::condition::TriggerCondition;
use crate::event::{AnalysisType, CollectionEvent, ExecId, Text, TriggerRequest};

/// What makes two triggers the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    collector: String,
    analysis: AnalysisType,
    process: Option<(u32, Option<ExecId>)>,
    path: Option<String>,
}

impl Key {
    pub(super) fn new(condition: &TriggerCondition, event: &CollectionEvent) -> Self {
        Self {
            collector: condition.target_collector.clone(),
            analysis: condition.analysis_type.clone(),
            process: event.pid().map(|pid| (pid, event.exec_id())),
            path: target(event).map(|file| file.to_string_lossy().into_owned()),
        }
    }
}

/// The request that a condition makes of an event that meets it. `instance` and `number` make its id unique.
pub(super) fn request(
    condition: &TriggerCondition,
    event: &CollectionEvent,
    instance: u32,
    number: u64,
) -> TriggerRequest {
    let file = target(event);
    let correlation_id =
        event.exec_id().map_or_else(|| format!("{instance:08x}-{number}"), |id| id.to_string());
    TriggerRequest {
        trigger_id: format!("{}-{instance:08x}-{number}", condition.id),
        target_collector: condition.target_collector.clone(),
        analysis_type: condition.analysis_type.clone(),
        priority: condition.priority,
        target_pid: event.pid(),
        target_path: file.as_ref().map(|file| file.to_string_lossy().into_owned()),
        target_bytes: file.filter(|file| file.as_str().is_none()),
        process: event.process(),
        correlation_id,
        metadata: metadata(condition, event),
        timestamp: SystemTime::now(),
    }
}

/// What an event asks to be looked at: the file it is about, or what the process runs.
fn target(event: &CollectionEvent) -> Option<Text> {
    match event {
        CollectionEvent::Process(event) => event.executable_path.clone(),
        CollectionEvent::Filesystem(event) => Some(event.path.clone()),
        CollectionEvent::Network(event) => event.process.as_ref()?.executable.clone(),
        CollectionEvent::TriggerRequest(request) => {
            request.target_bytes.clone().or_else(|| request.target_path.as_deref().map(Text::from))
        }
        CollectionEvent::Alert(alert) => alert.path.clone(),
        CollectionEvent::Performance(event) => event.process.as_ref()?.executable.clone(),
        CollectionEvent::Loss(_) => None,
    }
}

fn metadata(condition: &TriggerCondition, event: &CollectionEvent) -> HashMap<String, String> {
    let TriggerCondition { id, description, condition_type, .. } = condition;
    let mut metadata = HashMap::from([
        ("condition".to_owned(), id.clone()),
        ("description".to_owned(), description.clone()),
        ("condition_type".to_owned(), condition_type.name().to_owned()),
        ("kind".to_owned(), event.kind().to_owned()),
    ]);
    if let Some(id) = event.exec_id() {
        metadata.insert("exec_id".to_owned(), id.to_string());
    }
    metadata
}
