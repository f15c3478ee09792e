//! Events, event sources, the collector runtime and the event bus.
//!
//! This crate knows neither eBPF nor Linux: sources bring events, subscribers take them.
//!
//! ```text
//! EventSource ─┐                        ┌─ Subscription (store)
//! EventSource ─┼─ Collector ─ EventBus ─┼─ Subscription (output)
//! EventSource ─┘                        └─ Subscription (yours)
//! ```
//!
//! [`guide`] is a tour of all of it, with examples.
//!
//! * [`event`]: what an event is. Start at [`CollectionEvent`].
//! * [`EventSource`] and [`SourceCaps`]: how events come in; `examples/custom_source.rs` is a complete one.
//! * [`Collector`], configured by [`CollectorConfig`]: runs the sources.
//! * [`bus`]: how events go out, filtered, bounded, with every loss told.
//! * [`analysis`]: chains of analyses of what happened, up to a verdict and an alert. Start at [`AnalysisChainCoordinator`].
//! * [`condition`]: predicates over events, from code or SQL. [`trigger`]: events that meet one ask for an analysis. Start at
//!   [`TriggerManager`].
//! * [`monitor`]: collectors that poll, and what changed between two looks. Start at [`LifecycleTracker`].
//! * [`ipc`]: tasks over a Unix socket, from DaemonEye's agent and others. Start at [`CollectorIpcServer`].
//! * [`json`]: events as JSON lines, and the reference of that format.
//! * `testing`, with the feature of that name: a conformance kit for sources, and doubles for tests.

pub mod analysis;
pub mod bus;
mod collector;
pub mod condition;
mod config;
pub mod event;
pub mod guide;
mod health;
mod instance;
pub mod ipc;
pub mod json;
pub mod monitor;
mod panics;
mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trigger;

pub use analysis::{
    AnalysisChainConfig, AnalysisChainCoordinator, AnalysisChainError, AnalysisStage,
    AnalysisWorkflowDefinition, Analyzer, BinaryHasher,
};
pub use bus::{
    AncestryMode, AncestryStatistics, BusEvent, CorrelationFilter, CorrelationMetadata, CorrelationTags,
    EventBus, EventBusConfig, EventBusError, EventBusStatistics, EventFilter, EventSubscription,
    LocalEventBus, OverflowPolicy, SubscriberStatistics, Subscription, TopicPatternError, TryRecvError,
};
pub use collector::{
    BusHold, Collector, CollectorError, CollectorHandle, CollectorHealth, RestartPolicy, RunError,
    RuntimeStats, SourceFailure, SourceHealth, SourceState, SourceStats,
};
pub use condition::{Condition, ConditionError, ConditionSet};
pub use config::{CollectorConfig, ConfigError};
pub use event::{
    AlertEvent, AlertReason, AlertSeverity, AnalysisType, Capture, CollectionEvent, Direction, EventMeta,
    ExecId, FilesystemEvent, FilesystemEventKind, LossEvent, Namespaces, NetworkEvent, NetworkEventKind,
    PerformanceEvent, ProcessEvent, ProcessEventKind, ProcessExit, ProcessRef, Protocol, Sequence, Text,
    TriggerPriority, TriggerRequest,
};
pub use health::{ComponentHealth, HealthReport, HealthStatus};
#[cfg(unix)]
pub use ipc::CollectorIpcServer;
pub use json::{EventJson, HostInfo, JsonLines};
pub use monitor::{
    LifecycleTracker, LifecycleTrackingConfig, MonitorCollector, MonitorCollectorConfig,
    MonitorCollectorStats, MonitorDatabase,
};
pub use source::{EventSource, SourceCaps};
pub use trigger::{
    ConditionType, TriggerCapabilities, TriggerCondition, TriggerConfig, TriggerError, TriggerHandler,
    TriggerManager, TriggerResourceLimits, TriggerStatistics,
};
