//! Tasks as handlers get them: checked, with types instead of numbers.

use collector_proto as wire;

use super::access::Peer;
use super::proto::{
    FilesystemFilter, HashCheck, NetworkFilter, PerformanceFilter, ProcessFilter, ProtoTaskType,
};

/// Something a client asks for, once. What a filter that is absent would narrow down is wanted whole.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetectionTask {
    /// Chosen by the client; the server puts it into the result, whatever becomes of the task.
    pub task_id: String,
    /// What to do.
    pub task_type: ProtoTaskType,
    /// With which processes.
    pub process_filter: Option<ProcessFilter>,
    /// Against which digest.
    pub hash_check: Option<HashCheck>,
    /// What else the client says.
    pub metadata: Option<String>,
    /// With which connections.
    pub network_filter: Option<NetworkFilter>,
    /// With which files.
    pub filesystem_filter: Option<FilesystemFilter>,
    /// With which measurements.
    pub performance_filter: Option<PerformanceFilter>,
    /// Who asks. Set by the server, and not part of what is sent.
    pub peer: Option<Peer>,
}

impl DetectionTask {
    /// A task without filters.
    #[must_use]
    pub fn new(task_id: impl Into<String>, task_type: ProtoTaskType) -> Self {
        Self {
            task_id: task_id.into(),
            task_type,
            process_filter: None,
            hash_check: None,
            metadata: None,
            network_filter: None,
            filesystem_filter: None,
            performance_filter: None,
            peer: None,
        }
    }

    /// Takes a message apart. The type has been checked by the caller.
    pub(super) fn from_wire(task: wire::DetectionTask, task_type: ProtoTaskType) -> Self {
        let wire::DetectionTask {
            task_id,
            task_type: _,
            process_filter,
            hash_check,
            metadata,
            network_filter,
            filesystem_filter,
            performance_filter,
        } = task;
        Self {
            task_id,
            task_type,
            process_filter,
            hash_check,
            metadata,
            network_filter,
            filesystem_filter,
            performance_filter,
            peer: None,
        }
    }

    pub(super) fn into_wire(self) -> wire::DetectionTask {
        let Self {
            task_id,
            task_type,
            process_filter,
            hash_check,
            metadata,
            network_filter,
            filesystem_filter,
            performance_filter,
            peer: _,
        } = self;
        wire::DetectionTask {
            task_id,
            task_type: task_type.into(),
            process_filter,
            hash_check,
            metadata,
            network_filter,
            filesystem_filter,
            performance_filter,
        }
    }
}

/// What a handler of tasks may return: a result, or a `Result` whose error becomes the message of a failure.
pub trait IntoTaskResult {
    /// The result, or what the client is told instead.
    ///
    /// # Errors
    /// Why there is no result.
    fn into_task_result(self) -> Result<wire::DetectionResult, String>;
}

impl IntoTaskResult for wire::DetectionResult {
    fn into_task_result(self) -> Result<wire::DetectionResult, String> {
        Ok(self)
    }
}

impl<E: std::fmt::Display> IntoTaskResult for Result<wire::DetectionResult, E> {
    fn into_task_result(self) -> Result<wire::DetectionResult, String> {
        // `#` is the chain of causes, for errors that have one.
        self.map_err(|error| format!("{error:#}"))
    }
}
