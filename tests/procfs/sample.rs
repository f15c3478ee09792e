//! The program that users begin with, as it stands in the documentation of the framework, but that it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector_core::monitor::{LifecycleTrackingConfig, MonitorCollectorConfig};
use collector_core::{Collector, CollectorConfig};
use collector_sources::procmond;
use collector_store::DatabaseManager;
use procmond::{ProcessCollectionConfig, ProcmondMonitorCollector, ProcmondMonitorConfig};

use crate::monitor::only;

async fn monitor(path: &str) -> anyhow::Result<Collector> {
    // Create database manager
    let database = Arc::new(Mutex::new(DatabaseManager::new(path)?));

    // Configure procmond monitor collector
    let config = ProcmondMonitorConfig {
        base_config: MonitorCollectorConfig {
            collection_interval: Duration::from_secs(30),
            max_events_in_flight: 1000,
            enable_event_driven: true,
            ..Default::default()
        },
        process_config: ProcessCollectionConfig {
            collect_enhanced_metadata: true,
            compute_executable_hashes: true,
            max_processes: 10000,
            ..Default::default()
        },
        lifecycle_config: LifecycleTrackingConfig {
            track_process_lifecycle: true,
            detect_suspicious_events: true,
            ..Default::default()
        },
    };

    // Create monitor collector
    let monitor_collector = ProcmondMonitorCollector::new(database, config).await?;
    // Not in the documentation: a test does not store what others do.
    let monitor_collector = monitor_collector.with_filter(only(std::process::id()));

    // Create main collector
    let collector_config = CollectorConfig::new()
        .with_max_event_sources(16)
        .with_event_buffer_size(2000)
        .with_shutdown_timeout(Duration::from_secs(60));

    let mut collector = Collector::new(collector_config);
    collector.register(Box::new(monitor_collector))?;
    Ok(collector)
}

#[tokio::test]
async fn the_sample_of_the_framework_runs_and_stores() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("audit.db");
    let path = path.to_str().unwrap();
    let collector = monitor(path).await?;
    let mut events = collector.bus().subscribe(collector_core::EventFilter::new()).await?;
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    let first = tokio::time::timeout(collector_tests::DEADLINE, events.recv()).await?.unwrap();
    assert_eq!(first.event.kind(), "process.snapshot");
    handle.shutdown();
    run.await??;
    let count = "SELECT count(*) > 0 FROM events WHERE source = 'procmond'";
    let rows = collector_store::query(path.as_ref(), count, &collector_store::Limits::default())?.rows;
    assert_eq!(rows, [[collector_store::Value::Integer(1)]]);
    Ok(())
}
