//! The event model: what an event is, apart from how it was captured.
//!
//! Payloads are plain structs with public fields and a `Default`, so that a source fills what it knows and
//! leaves the rest: an absent field is absent everywhere downstream, never a made-up value. Strings that came
//! from the kernel as bytes are [`OsString`](std::ffi::OsString)-like: see [`Text`].

mod alert;
mod file;
mod kind;
mod loss;
mod meta;
mod network;
mod performance;
mod process;
mod text;
mod trigger;

use std::sync::Arc;
use std::time::SystemTime;

pub use alert::{AlertEvent, AlertReason, AlertSeverity};
pub use file::{FilesystemEvent, FilesystemEventKind};
pub use kind::{KINDS, TOPICS};
pub(crate) use kind::{KindIndex, KindSet};
pub use loss::LossEvent;
pub use meta::{Capture, EventMeta, Sequence};
pub use network::{Direction, NetworkEvent, NetworkEventKind, Protocol};
pub use performance::PerformanceEvent;
pub use process::{ExecId, Namespaces, ProcessEvent, ProcessEventKind, ProcessExit, ProcessRef};
pub use text::{EscapedText, Text};
pub use trigger::{AnalysisType, TriggerPriority, TriggerRequest};

/// One thing that happened, from any source.
///
/// The [guide](crate::guide) shows it at work.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "the specification constructs variants unboxed; on the bus events travel behind an Arc"
)]
pub enum CollectionEvent {
    /// Process life and behaviour.
    Process(ProcessEvent),
    /// Sockets and connections.
    Network(NetworkEvent),
    /// Files and directories.
    Filesystem(FilesystemEvent),
    /// A measurement.
    Performance(PerformanceEvent),
    /// A request to analyse something.
    TriggerRequest(TriggerRequest),
    /// Something that somebody should know.
    Alert(AlertEvent),
    /// Events that were lost, and how many: a hole in the stream, stated in the stream.
    Loss(LossEvent),
}

impl CollectionEvent {
    /// When it happened.
    #[must_use]
    pub const fn timestamp(&self) -> SystemTime {
        match self {
            Self::Process(event) => event.timestamp,
            Self::Network(event) => event.timestamp,
            Self::Filesystem(event) => event.timestamp,
            Self::Performance(event) => event.timestamp,
            Self::TriggerRequest(event) => event.timestamp,
            Self::Alert(event) => event.timestamp,
            Self::Loss(event) => event.timestamp,
        }
    }

    /// The domain: `process`, `network`, `filesystem`, `performance`, `trigger_request`, `alert` or `loss`.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Network(_) => "network",
            Self::Filesystem(_) => "filesystem",
            Self::Performance(_) => "performance",
            Self::TriggerRequest(_) => "trigger_request",
            Self::Alert(_) => "alert",
            Self::Loss(_) => "loss",
        }
    }

    /// The kind as JSON and the store name it, for example `process.exec`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Process(event) => event.kind.name(),
            Self::Network(event) => event.kind.name(),
            Self::Filesystem(event) => event.kind.name(),
            Self::Performance(_) => "performance.sample",
            Self::TriggerRequest(_) => "trigger.request",
            Self::Alert(_) => "alert",
            Self::Loss(_) => "loss",
        }
    }

    /// The topic under which it is published, for example `events/process/exec`; one of [`TOPICS`].
    #[must_use]
    pub fn topic(&self) -> &'static str {
        KindIndex::of(self).topic()
    }

    /// The process the event is about, where there is one.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(event) => Some(event.pid),
            Self::Network(event) => event.pid,
            Self::Filesystem(event) => event.pid,
            Self::Performance(event) => event.pid,
            Self::TriggerRequest(event) => event.target_pid,
            Self::Alert(event) => event.pid,
            Self::Loss(_) => None,
        }
    }

    /// Where and how it was captured.
    #[must_use]
    pub const fn meta(&self) -> Option<&EventMeta> {
        match self {
            Self::Process(event) => Some(&event.meta),
            Self::Network(event) => Some(&event.meta),
            Self::Filesystem(event) => Some(&event.meta),
            Self::Performance(event) => Some(&event.meta),
            Self::Alert(event) => Some(&event.meta),
            Self::Loss(event) => Some(&event.meta),
            Self::TriggerRequest(_) => None,
        }
    }

    /// Identity of the process the event is about, where it is known.
    #[must_use]
    pub fn exec_id(&self) -> Option<ExecId> {
        match self {
            Self::Process(event) => event.exec_id,
            Self::Network(event) => event.process.as_ref()?.exec_id,
            Self::Filesystem(event) => event.process.as_ref()?.exec_id,
            Self::TriggerRequest(event) => event.process.as_ref()?.exec_id,
            Self::Alert(event) => event.process.as_ref()?.exec_id,
            Self::Performance(event) => event.process.as_ref()?.exec_id,
            Self::Loss(_) => None,
        }
    }

    /// The process behind the event in short, where more than its pid is known. Costs nothing but for process events.
    #[must_use]
    pub fn process(&self) -> Option<Arc<ProcessRef>> {
        match self {
            Self::Process(event) => Some(Arc::new(event.into())),
            Self::Network(event) => event.process.clone(),
            Self::Filesystem(event) => event.process.clone(),
            Self::TriggerRequest(event) => event.process.clone(),
            Self::Alert(event) => event.process.clone(),
            Self::Performance(event) => event.process.clone(),
            Self::Loss(_) => None,
        }
    }

    /// The mount namespace in which its paths lead to what it is about, where that is known: an inode number.
    #[must_use]
    pub fn mount_ns(&self) -> Option<u32> {
        match self {
            Self::Process(event) => event.namespaces.map(|namespaces| namespaces.mnt),
            Self::Filesystem(event) => event.mount_ns,
            Self::TriggerRequest(event) => event.target_mount_ns,
            Self::Network(_) | Self::Performance(_) | Self::Alert(_) | Self::Loss(_) => None,
        }
        .filter(|namespace| *namespace != 0)
    }

    /// Where and how it was captured, to be filled in.
    pub const fn meta_mut(&mut self) -> Option<&mut EventMeta> {
        match self {
            Self::Process(event) => Some(&mut event.meta),
            Self::Network(event) => Some(&mut event.meta),
            Self::Filesystem(event) => Some(&mut event.meta),
            Self::Performance(event) => Some(&mut event.meta),
            Self::Alert(event) => Some(&mut event.meta),
            Self::Loss(event) => Some(&mut event.meta),
            Self::TriggerRequest(_) => None,
        }
    }
}
