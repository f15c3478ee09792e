//! A change as an event on the bus.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::{LifecycleChange, Suspicion};
use crate::event::{ProcessEvent, ProcessEventKind, Text};

/// The member of [`ProcessEvent::platform_metadata`] that says what was found.
pub const LIFECYCLE_KEY: &str = "lifecycle";

/// What happened to one process between two looks.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleEvent {
    /// What happened.
    pub change: LifecycleChange,
    /// The kind of event that says so. A new process has an `exec` when its image is seen for the first time, and a `fork` when
    /// it runs one that another process was already seen to run, or is a thread of the kernel.
    pub kind: ProcessEventKind,
    /// The process as it is now; one that is gone, as it was seen last.
    pub process: Arc<ProcessEvent>,
    /// The process as it was seen before, where this is a change of one that goes on.
    pub previous: Option<Arc<ProcessEvent>>,
    /// What is suspicious about it.
    pub suspicious: Vec<Suspicion>,
    /// When the look was made that found it.
    pub at: SystemTime,
    /// When the look before was made: it happened in between. Absent at the first look, also after a restart.
    pub previous_look: Option<SystemTime>,
}

impl LifecycleEvent {
    /// The event. Its time is that of the look, and `platform_metadata` has the object [`LIFECYCLE_KEY`]:
    ///
    /// | member | shape |
    /// |---|---|
    /// | `change` | [`LifecycleChange::name`] |
    /// | `time` | `"look"`: the time of the event is that of the look that found it |
    /// | `previous_look` | when the look before was made, RFC 3339; it happened between the two |
    /// | `suspicious` | [`Suspicion::name`]s, absent when there are none |
    /// | `previous` | what the look before showed, of what differs: `exec_id`, `name`, `executable`, `file_exists`, `command_line`, `uid`, `euid`, `memory_usage`, `cpu_usage`; bytes that are not UTF-8 are replaced |
    #[must_use]
    pub fn to_event(&self) -> ProcessEvent {
        let mut event = ProcessEvent::clone(&self.process);
        event.kind = self.kind;
        event.timestamp = self.at;
        let mut metadata = match event.platform_metadata.take() {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        metadata.insert(LIFECYCLE_KEY.to_owned(), self.describe());
        event.platform_metadata = Some(Value::Object(metadata));
        event
    }

    fn describe(&self) -> Value {
        let mut found = Map::new();
        found.insert("change".to_owned(), json!(self.change.name()));
        found.insert("time".to_owned(), json!("look"));
        if let Some(time) = self.previous_look.and_then(rfc3339) {
            found.insert("previous_look".to_owned(), json!(time));
        }
        if !self.suspicious.is_empty() {
            let words: Vec<&str> = self.suspicious.iter().map(|suspicion| suspicion.name()).collect();
            found.insert("suspicious".to_owned(), json!(words));
        }
        if let Some(previous) = &self.previous {
            let differences = differences(previous, &self.process);
            if !differences.is_empty() {
                found.insert("previous".to_owned(), Value::Object(differences));
            }
        }
        Value::Object(found)
    }
}

/// What was different before.
fn differences(before: &ProcessEvent, now: &ProcessEvent) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, differs: bool, value: Value| {
        if differs && !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Text| text.to_string_lossy().into_owned();
    put("exec_id", before.exec_id != now.exec_id, json!(before.exec_id.map(|id| id.to_string())));
    put("name", before.name != now.name, json!(before.name));
    let executable = before.executable_path.as_ref().map(text);
    put("executable", before.executable_path != now.executable_path, json!(executable));
    put("file_exists", before.file_exists != now.file_exists, json!(before.file_exists));
    let command_line: Vec<String> = before.command_line.iter().map(text).collect();
    put("command_line", before.command_line != now.command_line, json!(command_line));
    put("uid", before.uid != now.uid, json!(before.uid));
    put("euid", before.euid != now.euid, json!(before.euid));
    put("memory_usage", before.memory_usage != now.memory_usage, json!(before.memory_usage));
    put("cpu_usage", before.cpu_usage != now.cpu_usage, json!(before.cpu_usage));
    out
}

fn rfc3339(time: SystemTime) -> Option<String> {
    Some(format!("{:.9}", jiff::Timestamp::try_from(time).ok()?))
}
