//! Events, event sources, the collector runtime and the event bus.
//!
//! This crate knows neither eBPF nor Linux: sources bring events, subscribers take them.

pub mod bus;
mod collector;
mod config;
pub mod event;
pub mod json;
mod source;

pub use bus::{
    BusEvent, CorrelationFilter, CorrelationMetadata, EventBus, EventBusConfig, EventBusError,
    EventBusStatistics, EventFilter, EventSubscription, LocalEventBus, OverflowPolicy, SubscriberStatistics,
    Subscription, TryRecvError,
};
pub use collector::{
    Collector, CollectorError, CollectorHandle, CollectorHealth, HealthStatus, RunError, RuntimeStats,
    SourceFailure, SourceHealth, SourceState, SourceStats,
};
pub use config::{CollectorConfig, ConfigError};
pub use event::{
    AnalysisType, Capture, CollectionEvent, Direction, EventMeta, ExecId, FilesystemEvent,
    FilesystemEventKind, LossEvent, Namespaces, NetworkEvent, NetworkEventKind, PerformanceEvent,
    ProcessEvent, ProcessEventKind, ProcessExit, ProcessRef, Protocol, Sequence, Text, TriggerPriority,
    TriggerRequest,
};
pub use json::{EventJson, HostInfo};
pub use source::{EventSource, SourceCaps};
