//! From an event that meets a condition to a request.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use super::condition::TriggerCondition;
use crate::event::{CollectionEvent, ExecId, ProcessRef, Text, TriggerRequest};
use crate::json::ShortText;

/// What makes two triggers the same: a keyed hash of condition, collector, analysis, process image and path. The condition, as
/// a request tells its handler which one was met: one that is met by more would hide what others have to say.
///
/// That two different ones have the same hash happens once in 10^15 at ten thousand remembered ones, and cannot be brought
/// about by somebody who does not know the process's memory; an analysis would be left out then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);

/// What an event asks to be looked at.
pub(super) struct Subject<'e> {
    event: &'e CollectionEvent,
    pid: Option<u32>,
    exec_id: Option<ExecId>,
    file: Option<Text>,
}

impl<'e> Subject<'e> {
    pub(super) fn of(event: &'e CollectionEvent) -> Self {
        Self { event, pid: event.pid(), exec_id: event.exec_id(), file: target(event) }
    }

    pub(super) fn key(&self, condition: &TriggerCondition, hashes: &RandomState) -> Key {
        let Self { event: _, pid, exec_id, file } = self;
        let TriggerCondition { id, target_collector, analysis_type, .. } = condition;
        Key(hashes.hash_one((id, target_collector, analysis_type, pid, exec_id, file)))
    }

    /// What a condition asks for about it. `number` makes it unique in its manager.
    pub(super) fn ask(&self, condition: &Arc<TriggerCondition>, number: u64) -> Ask {
        Ask {
            condition: Arc::clone(condition),
            number,
            pid: self.pid,
            exec_id: self.exec_id,
            process: self.event.process(),
            file: self.file.clone(),
            mount_ns: self.event.mount_ns(),
            kind: self.event.kind(),
            timestamp: SystemTime::now(),
        }
    }
}

/// A request as it waits: what it is made of, without the texts that are the same for all of a condition. Many wait, and
/// many of them in vain.
#[derive(Debug)]
pub(super) struct Ask {
    condition: Arc<TriggerCondition>,
    number: u64,
    pid: Option<u32>,
    exec_id: Option<ExecId>,
    process: Option<Arc<ProcessRef>>,
    file: Option<Text>,
    mount_ns: Option<u32>,
    /// Of the event.
    kind: &'static str,
    timestamp: SystemTime,
}

impl Ask {
    /// The request itself. `instance` tells its id from those of other managers.
    pub(super) fn request(&self, instance: u32) -> TriggerRequest {
        let Self { condition, number, pid, exec_id, process, file, mount_ns, kind: _, timestamp } = self;
        let own_number = format!("{instance:08x}-{number}");
        let trigger_id = [&condition.id, "-", &own_number].concat();
        // Several times faster than formatting it.
        let text = exec_id
            .map(|exec_id| String::from_utf8_lossy(ShortText::exec_id(exec_id).as_bytes()).into_owned());
        let correlation_id = text.unwrap_or(own_number);
        TriggerRequest {
            trigger_id,
            target_collector: condition.target_collector.clone(),
            analysis_type: condition.analysis_type.clone(),
            priority: condition.priority,
            target_pid: *pid,
            target_path: file.as_ref().map(|file| file.to_string_lossy().into_owned()),
            target_bytes: file.clone().filter(|file| file.as_str().is_none()),
            target_mount_ns: *mount_ns,
            process: process.clone(),
            metadata: self.metadata(&correlation_id),
            correlation_id,
            timestamp: *timestamp,
        }
    }

    fn metadata(&self, correlation_id: &str) -> HashMap<String, String> {
        let TriggerCondition { id, description, condition_type, .. } = &*self.condition;
        let mut metadata = HashMap::with_capacity(5);
        let mut insert = |key: &str, value: &str| metadata.insert(key.to_owned(), value.to_owned());
        insert("condition", id);
        insert("description", description);
        insert("condition_type", condition_type.name());
        insert("kind", self.kind);
        if self.exec_id.is_some() {
            insert("exec_id", correlation_id);
        }
        metadata
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
