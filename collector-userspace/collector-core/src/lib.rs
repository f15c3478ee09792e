//! Events, event sources, the collector runtime and the event bus.
//!
//! This crate knows neither eBPF nor Linux: sources bring events, subscribers take them.

pub mod event;
pub mod json;
mod source;

pub use event::{
    AnalysisType, Capture, CollectionEvent, Direction, EventMeta, ExecId, FilesystemEvent,
    FilesystemEventKind, LossEvent, Namespaces, NetworkEvent, NetworkEventKind, PerformanceEvent,
    ProcessEvent, ProcessEventKind, ProcessExit, ProcessRef, Protocol, Sequence, Text, TriggerPriority,
    TriggerRequest,
};
pub use json::{EventJson, HostInfo};
pub use source::{EventSource, SourceCaps};
