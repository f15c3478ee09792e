//! A monitor of processes that polls `/proc`, with a database of what it saw.
//!
//! It needs no privileges beyond those that reading `/proc` takes, and sees what polling can see: who is there at each look.
//! With a database it keeps each event, and knows after a restart whom it had seen: who started meanwhile is reported as
//! started, who ended meanwhile as exited. A restart of the machine ends everybody without a word: what was known of an earlier
//! boot is forgotten, and who is there is reported as present.
//!
//! ```no_run
//! use collector_core::monitor::{LifecycleTrackingConfig, MonitorCollectorConfig, MonitorDatabase};
//! use collector_core::{Collector, CollectorConfig};
//! use collector_sources::procmond::{ProcessCollectionConfig, ProcmondMonitorCollector, ProcmondMonitorConfig};
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! async fn monitor<D: MonitorDatabase + 'static>(database: Arc<Mutex<D>>) -> anyhow::Result<()> {
//!     let config = ProcmondMonitorConfig {
//!         base_config: MonitorCollectorConfig {
//!             collection_interval: Duration::from_secs(30),
//!             max_events_in_flight: 1000,
//!             enable_event_driven: true,
//!             ..Default::default()
//!         },
//!         process_config: ProcessCollectionConfig::default(),
//!         lifecycle_config: LifecycleTrackingConfig::default(),
//!     };
//!
//!     let monitor_collector = ProcmondMonitorCollector::new(database, config).await?;
//!
//!     // Use as EventSource
//!     let mut collector = Collector::new(CollectorConfig::default());
//!     collector.register(Box::new(monitor_collector))?;
//!     collector.run().await?;
//!     Ok(())
//! }
//! ```

mod collector;
mod config;
mod deliver;
mod error;
mod eye;
mod hash;

pub(crate) use collector::boot;
pub use collector::{MonitorHandle, ProcmondMonitorCollector, SharedDatabase};
pub use config::{ProcessCollectionConfig, ProcmondMonitorConfig};
pub use error::MonitorError;
