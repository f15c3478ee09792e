//! A tour of the framework, part by part, each with an example that is compiled and run with the tests.
//!
//! # Sources and the collector
//!
//! A source implements [`EventSource`]; a [`Collector`] runs it on a thread of its own and publishes what it sends.
//! A source that fails is started again as [`RestartPolicy`] says; one that blocks or panics disturbs no other.
//!
//! ```
//! use async_trait::async_trait;
//! use collector_core::{CollectionEvent, Collector, CollectorConfig, EventSource, SourceCaps};
//! use std::sync::{Arc, atomic::AtomicBool};
//! use tokio::sync::mpsc;
//!
//! struct MyEventSource;
//!
//! #[async_trait]
//! impl EventSource for MyEventSource {
//!     fn name(&self) -> &'static str {
//!         "my-source"
//!     }
//!
//!     fn capabilities(&self) -> SourceCaps {
//!         SourceCaps::PROCESS | SourceCaps::REALTIME
//!     }
//!
//!     async fn start(
//!         &self,
//!         tx: mpsc::Sender<CollectionEvent>,
//!         shutdown_signal: Arc<AtomicBool>,
//!     ) -> anyhow::Result<()> {
//!         // Implementation here - monitor shutdown signal
//!         while !shutdown_signal.load(std::sync::atomic::Ordering::Relaxed) {
//!             // Collect events and send via tx
//!             tokio::time::sleep(tokio::time::Duration::from_millis(100)).await;
//!         }
//!         Ok(())
//!     }
//!
//!     async fn stop(&self) -> anyhow::Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     let config = CollectorConfig::default();
//!     let mut collector = Collector::new(config);
//!
//!     collector.register(Box::new(MyEventSource))?;
//!     # // So that the example ends: whoever has a handle can stop a collector.
//!     # collector.handle().shutdown();
//!     collector.run().await
//! }
//! ```
//!
//! # Configuration
//!
//! Every setting has a default that works, and [`CollectorConfig::validate`] names what cannot. The types are serialisable, with
//! durations such as `"30s"`, for programs that read them from a file.
//!
//! ```
//! use collector_core::CollectorConfig;
//! use std::time::Duration;
//!
//! fn create_config() -> CollectorConfig {
//!     CollectorConfig::new()
//!         .with_max_event_sources(32)
//!         .with_event_buffer_size(2000)
//!         .with_shutdown_timeout(Duration::from_secs(60))
//!         .with_health_check_interval(Duration::from_secs(120))
//!         .with_debug_logging(true)
//! }
//! # assert!(create_config().validate().is_ok());
//! ```
//!
//! # Events
//!
//! [`CollectionEvent`] has a variant per domain. Payloads are plain structs with a `Default`: a source fills in what it knows, and
//! what it leaves out is absent everywhere downstream. [`json`](crate::json) describes them as they are written.
//!
//! ```
//! use collector_core::{CollectionEvent, NetworkEvent, ProcessEvent};
//! use std::time::SystemTime;
//!
//! fn create_events() {
//!     // Process events
//!     let process_event = CollectionEvent::Process(ProcessEvent {
//!         pid: 1234,
//!         name: "example".to_string(),
//!         timestamp: SystemTime::now(),
//!         // ... other fields
//!         # ..Default::default()
//!     });
//!
//!     // Network events (future extension)
//!     let network_event = CollectionEvent::Network(NetworkEvent {
//!         connection_id: "conn_123".to_string(),
//!         protocol: "TCP".to_string(),
//!         timestamp: SystemTime::now(),
//!         // ... other fields
//!         # ..Default::default()
//!     });
//!     # assert_eq!((process_event.pid(), network_event.event_type()), (Some(1234), "network"));
//! }
//! # create_events();
//! ```
//!
//! # Capabilities
//!
//! [`SourceCaps`] say what a source can see and how. Those of a collector are the union of its sources' that have not ended.
//!
//! ```
//! use collector_core::SourceCaps;
//!
//! fn demonstrate_capabilities() {
//!     // Process monitoring with real-time capabilities
//!     let process_caps = SourceCaps::PROCESS | SourceCaps::REALTIME | SourceCaps::SYSTEM_WIDE;
//!
//!     // Network monitoring with kernel-level access
//!     let network_caps = SourceCaps::NETWORK | SourceCaps::KERNEL_LEVEL | SourceCaps::REALTIME;
//!
//!     // Check capabilities
//!     assert!(process_caps.contains(SourceCaps::PROCESS));
//!     assert!(!process_caps.contains(SourceCaps::NETWORK));
//!     # assert!(network_caps.contains(SourceCaps::KERNEL_LEVEL));
//! }
//! # demonstrate_capabilities();
//! ```
//!
//! # The event bus
//!
//! A [`LocalEventBus`] gives every event to every subscriber that wants it, through a bounded queue per subscriber; what a slow one
//! misses it is told. A collector has one ([`Collector::bus`]); it can be used alone as well.
//!
//! ```
//! use collector_core::{EventBus, EventFilter, CorrelationFilter, LocalEventBus};
//! # use collector_core::{CollectionEvent, EventBusConfig, ProcessEvent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let event_bus = LocalEventBus::new(EventBusConfig::default()).await?;
//! event_bus.start().await?;
//!
//! // Subscribe to process events with correlation
//! let filter = EventFilter::new()
//!     .with_event_type(CollectionEvent::Process)
//!     .with_correlation_filter(CorrelationFilter::by_pid(1234));
//!
//! let subscription = event_bus.subscribe(filter).await?;
//! # let mut subscription = subscription;
//! # for pid in [1, 1234] {
//! #     event_bus.publish(CollectionEvent::Process(ProcessEvent { pid, ..Default::default() })).await?;
//! # }
//! # event_bus.shutdown().await;
//! # assert_eq!(subscription.recv().await.and_then(|event| event.event.pid()), Some(1234));
//! # assert!(subscription.recv().await.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # Triggers
//!
//! A [`TriggerManager`] looks at events and asks collectors that analyse for an analysis when a condition is met. Conditions that
//! cannot be evaluated are refused when they are registered; repetitions, rates and queues are limited, and what is left out is
//! counted. [`serve`](TriggerManager::serve) does it for a bus.
//!
//! ```
//! use collector_core::{TriggerManager, TriggerCondition, TriggerConfig};
//! # use collector_core::{AnalysisType, ConditionType, TriggerCapabilities, TriggerPriority, TriggerResourceLimits};
//!
//! # fn main() -> anyhow::Result<()> {
//! let trigger_manager = TriggerManager::new(TriggerConfig::default())?;
//!
//! // Register collector capabilities
//! let capabilities = TriggerCapabilities {
//!     collector_id: "binary-hasher".to_string(),
//!     supported_conditions: vec![
//!         ConditionType::ProcessNamePattern("suspicious".to_string()),
//!         ConditionType::MissingExecutable,
//!     ],
//!     supported_analysis: vec![AnalysisType::BinaryHash],
//!     max_trigger_rate: 100,
//!     max_concurrent_analysis: 10,
//!     supported_priorities: vec![TriggerPriority::High, TriggerPriority::Critical],
//!     resource_limits: TriggerResourceLimits::default(),
//! };
//!
//! trigger_manager.register_collector_capabilities(capabilities)?;
//!
//! // Register trigger conditions
//! let condition = TriggerCondition {
//!     id: "suspicious-process".to_string(),
//!     description: "Detect suspicious processes".to_string(),
//!     analysis_type: AnalysisType::BinaryHash,
//!     priority: TriggerPriority::High,
//!     target_collector: "binary-hasher".to_string(),
//!     condition_type: ConditionType::ProcessNamePattern("malware".to_string()),
//! };
//!
//! trigger_manager.register_condition(condition)?;
//! # use collector_core::{CollectionEvent, ProcessEvent};
//! # let event = ProcessEvent { pid: 7, name: "malware.sh".to_owned(), ..ProcessEvent::default() };
//! # let requests = trigger_manager.evaluate(&CollectionEvent::Process(event));
//! # assert_eq!((requests.len(), requests[0].target_pid), (1, Some(7)));
//! # Ok(())
//! # }
//! ```
//!
//! Conditions in SQL are [`ConditionType::Sql`]; [`condition`](crate::condition) describes the language.
//!
//! # Analysis chains
//!
//! An [`AnalysisChainCoordinator`] runs workflows of stages: what is known of a subject, what can be found out, a verdict, an
//! alert. The four stages below have analyzers from the start; [`Analyzer`] is for others. Stages may depend on each other in any
//! way without a circle ([`with_stage_after`](AnalysisWorkflowDefinition::with_stage_after)); here each waits for the one before.
//!
//! ```
//! use collector_core::{AnalysisChainCoordinator, AnalysisStage, AnalysisWorkflowDefinition};
//! # use collector_core::AnalysisChainConfig;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let coordinator = AnalysisChainCoordinator::new(AnalysisChainConfig::default())?;
//!
//! // Define analysis workflow
//! let workflow = AnalysisWorkflowDefinition::new()
//!     .with_stage(AnalysisStage::Collection)
//!     .with_stage(AnalysisStage::Enrichment)
//!     .with_stage(AnalysisStage::Detection)
//!     .with_stage(AnalysisStage::Alerting);
//!
//! coordinator.execute_workflow(workflow).await?;
//! # assert_eq!(coordinator.statistics().completed, 1);
//! # Ok(())
//! # }
//! ```
//!
//! What it looks at is the workflow's [subject](crate::analysis::AnalysisSubject): an event, a trigger or a file.
//!
//! # Monitors
//!
//! A [`MonitorCollector`] is a source that looks at intervals and says what has changed. The one
//! for processes lives where `/proc` is, in the crate `collector-sources`.
//!
//! ```
//! # use collector_core::{Collector, CollectorConfig, monitor::LifecycleTrackingConfig};
//! # use collector_sources::procmond::{self, ProcessCollectionConfig};
//! # use collector_store::DatabaseManager;
//! # use std::{sync::{Arc, Mutex}, time::Duration};
//! use collector_core::{MonitorCollector, MonitorCollectorConfig};
//! use procmond::{ProcmondMonitorCollector, ProcmondMonitorConfig};
//!
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let database = Arc::new(Mutex::new(DatabaseManager::new(directory.path().join("audit.db"))?));
//! // Create procmond monitor collector
//! let config = ProcmondMonitorConfig {
//!     base_config: MonitorCollectorConfig {
//!         collection_interval: Duration::from_secs(30),
//!         max_events_in_flight: 1000,
//!         enable_event_driven: true,
//!         ..Default::default()
//!     },
//!     process_config: ProcessCollectionConfig::default(),
//!     lifecycle_config: LifecycleTrackingConfig::default(),
//! };
//!
//! let monitor_collector = ProcmondMonitorCollector::new(database, config).await?;
//! # let own = collector_sources::Filter { pids: vec![std::process::id()], ..Default::default() };
//! # let monitor_collector = monitor_collector.with_filter(own);
//!
//! // Use as EventSource
//! let mut collector = Collector::new(CollectorConfig::default());
//! collector.register(Box::new(monitor_collector))?;
//! # let mut events = collector.bus().subscribe(collector_core::EventFilter::new()).await?;
//! # let handle = collector.handle();
//! # let seen = tokio::spawn(async move {
//! #     let first = events.recv().await;
//! #     handle.shutdown();
//! #     first.and_then(|event| event.event.pid())
//! # });
//! collector.run().await?;
//! # assert_eq!(seen.await?, Some(std::process::id()));
//! # Ok(())
//! # }
//! ```
//!
//! # Serving an agent
//!
//! A [`CollectorIpcServer`](crate::CollectorIpcServer) answers the tasks of DaemonEye's agent over a Unix socket: it negotiates, checks what the sources can
//! see, and calls a handler with a deadline. [`ipc`](crate::ipc) describes the protocol.
//!
//! ```
//! # use collector_core::ipc as daemoneye_lib;
//! use collector_core::{CollectorIpcServer, SourceCaps};
//! use daemoneye_lib::proto::{DetectionResult, DetectionTask};
//! # use collector_core::ipc::{IpcClient, IpcConfig, proto::{ProcessRecord, ProtoTaskType}};
//!
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("procmond.sock");
//! # let config = IpcConfig::new(&path);
//! // Create IPC server with capabilities
//! let capabilities = SourceCaps::PROCESS | SourceCaps::REALTIME | SourceCaps::SYSTEM_WIDE;
//! let mut ipc_server = CollectorIpcServer::new(config, capabilities).await?;
//!
//! // Start IPC server for daemoneye-agent communication
//! ipc_server.start(|task| {
//!     Box::pin(async move {
//!         // Process detection task
//!         match task.task_type {
//!             ProtoTaskType::EnumerateProcesses => {
//!                 // Enumerate processes and return results
//! #               let processes = vec![ProcessRecord { pid: std::process::id(), ..Default::default() }];
//!                 DetectionResult::success(&task.task_id, processes)
//!             }
//!             _ => DetectionResult::failure(&task.task_id, "Unsupported task type"),
//!         }
//!     })
//! }).await?;
//! # // What a client sees of it.
//! # let mut client = IpcClient::connect(&path).await?;
//! # let result = client.send(DetectionTask::new("1", ProtoTaskType::EnumerateProcesses)).await?;
//! # assert_eq!((&*result.task_id, result.processes[0].pid), ("1", std::process::id()));
//! # let result = client.send(DetectionTask::new("2", ProtoTaskType::VerifyExecutable)).await?;
//! # assert_eq!(result, DetectionResult::failure("2", "Unsupported task type"));
//! # ipc_server.shutdown().await;
//! # assert!(!path.exists());
//! # Ok(())
//! # }
//! ```
//!
//! # A program with a monitor
//!
//! The same with every setting that such a program has, as a whole:
//!
//! ```no_run
//! # use collector_core::{MonitorCollectorConfig, monitor::LifecycleTrackingConfig};
//! # use collector_sources::procmond::{self, ProcessCollectionConfig};
//! # use collector_store::DatabaseManager;
//! # use std::{sync::{Arc, Mutex}, time::Duration};
//! use collector_core::{Collector, CollectorConfig, EventSource, SourceCaps};
//! use procmond::{ProcmondMonitorCollector, ProcmondMonitorConfig};
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     // Create database manager
//!     let database = Arc::new(Mutex::new(DatabaseManager::new(
//!         "/var/lib/daemoneye/audit.db",
//!     )?));
//!
//!     // Configure procmond monitor collector
//!     let config = ProcmondMonitorConfig {
//!         base_config: MonitorCollectorConfig {
//!             collection_interval: Duration::from_secs(30),
//!             max_events_in_flight: 1000,
//!             enable_event_driven: true,
//!             ..Default::default()
//!         },
//!         process_config: ProcessCollectionConfig {
//!             collect_enhanced_metadata: true,
//!             compute_executable_hashes: true,
//!             max_processes: 10000,
//!             ..Default::default()
//!         },
//!         lifecycle_config: LifecycleTrackingConfig {
//!             track_process_lifecycle: true,
//!             detect_suspicious_events: true,
//!             ..Default::default()
//!         },
//!     };
//!
//!     // Create monitor collector
//!     let monitor_collector = ProcmondMonitorCollector::new(database, config).await?;
//!
//!     // Create main collector
//!     let collector_config = CollectorConfig::new()
//!         .with_max_event_sources(16)
//!         .with_event_buffer_size(2000)
//!         .with_shutdown_timeout(Duration::from_secs(60));
//!
//!     let mut collector = Collector::new(collector_config);
//!     collector.register(Box::new(monitor_collector))?;
//!
//!     // Run collector
//!     collector.run().await
//! }
//! ```
//!
//! # A source of your own
//!
//! A source that polls, as a whole. `tx.send` waits while the collector is behind: a full channel is back-pressure, never a loss.
//!
//! ```
//! use async_trait::async_trait;
//! use collector_core::{CollectionEvent, EventSource, ProcessEvent, SourceCaps};
//! use std::sync::{Arc, atomic::AtomicBool};
//! use tokio::sync::mpsc;
//! # use std::{sync::atomic::Ordering, time::Duration};
//!
//! struct CustomProcessCollector {
//!     name: String,
//!     collection_interval: Duration,
//! }
//!
//! # impl CustomProcessCollector {
//! #     async fn collect_processes(&self) -> anyhow::Result<Vec<ProcessEvent>> {
//! #         Ok(vec![ProcessEvent { pid: 1, name: self.name.clone(), ..Default::default() }])
//! #     }
//! # }
//! #
//! #[async_trait]
//! impl EventSource for CustomProcessCollector {
//!     fn name(&self) -> &'static str {
//!         "custom-process-collector"
//!     }
//!
//!     fn capabilities(&self) -> SourceCaps {
//!         SourceCaps::PROCESS | SourceCaps::REALTIME | SourceCaps::SYSTEM_WIDE
//!     }
//!
//!     async fn start(
//!         &self,
//!         tx: mpsc::Sender<CollectionEvent>,
//!         shutdown_signal: Arc<AtomicBool>,
//!     ) -> anyhow::Result<()> {
//!         let mut interval = tokio::time::interval(self.collection_interval);
//!
//!         loop {
//!             tokio::select! {
//!                 _ = interval.tick() => {
//!                     if shutdown_signal.load(Ordering::Relaxed) {
//!                         break;
//!                     }
//!
//!                     // Collect process data
//!                     let processes = self.collect_processes().await?;
//!
//!                     // Send events
//!                     for process in processes {
//!                         if tx.send(CollectionEvent::Process(process)).await.is_err() {
//!                             break;
//!                         }
//!                     }
//!                 }
//!                 _ = async {
//!                     while !shutdown_signal.load(Ordering::Relaxed) {
//!                         tokio::time::sleep(Duration::from_millis(100)).await;
//!                     }
//!                 } => {
//!                     break;
//!                 }
//!             }
//!         }
//!
//!         Ok(())
//!     }
//!
//!     async fn stop(&self) -> anyhow::Result<()> {
//!         Ok(())
//!     }
//! }
//! #
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! #     use collector_core::{Collector, CollectorConfig, EventFilter};
//! #     let mut collector = Collector::new(CollectorConfig::default());
//! #     let interval = Duration::from_millis(1);
//! #     let source = CustomProcessCollector { name: "init".to_string(), collection_interval: interval };
//! #     collector.register(Box::new(source))?;
//! #     let mut events = collector.bus().subscribe(EventFilter::new()).await?;
//! #     let handle = collector.handle();
//! #     let run = tokio::spawn(collector.run());
//! #     assert_eq!(events.recv().await.and_then(|event| event.event.pid()), Some(1));
//! #     handle.shutdown();
//! #     run.await?
//! # }
//! ```
//!
//! `examples/custom_source.rs` is a complete program with a source that reads something real.

// For the links alone.
#[expect(unused_imports, reason = "documentation links to them")]
use crate::{
    AnalysisChainCoordinator, AnalysisWorkflowDefinition, Analyzer, CollectionEvent, Collector,
    CollectorConfig, ConditionType, EventSource, LocalEventBus, MonitorCollector, RestartPolicy, SourceCaps,
    TriggerManager,
};
