//! A collector with a source that polls, told when to look.

use std::time::{Duration, Instant};

use collector_core::bus::EventSubscription;
use collector_core::monitor::{
    LifecycleTrackingConfig, MonitorCollectorConfig, MonitorCollectorStatsSnapshot,
};
use collector_core::{
    CollectionEvent, Collector, CollectorConfig, CollectorHandle, EventFilter, EventSource, HealthStatus,
    OverflowPolicy, ProcessEvent, Subscription,
};
use collector_sources::Filter;
use collector_sources::procmond::{
    MonitorHandle, ProcessCollectionConfig, ProcmondMonitorCollector, ProcmondMonitorConfig,
};
use collector_tests::DEADLINE;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A source at work.
pub(crate) struct Monitor {
    runtime: Runtime,
    events: Subscription,
    collector: CollectorHandle,
    run: JoinHandle<anyhow::Result<()>>,
    handle: MonitorHandle,
}

/// Looks when it is told to, in effect.
pub(crate) fn config() -> ProcmondMonitorConfig {
    ProcmondMonitorConfig {
        base_config: MonitorCollectorConfig {
            collection_interval: Duration::from_secs(3600),
            ..Default::default()
        },
        process_config: ProcessCollectionConfig::default(),
        lifecycle_config: LifecycleTrackingConfig::default(),
    }
}

/// The process and its descendants.
pub(crate) fn only(pid: u32) -> Filter {
    Filter { pids: vec![pid], ..Filter::default() }
}

impl Monitor {
    /// Watches processes with `config`, those that `filter` lets through.
    pub(crate) fn watching(config: ProcmondMonitorConfig, filter: Filter) -> Self {
        let monitor = ProcmondMonitorCollector::without_database("procfs-process", config, filter).unwrap();
        let handle = monitor.handle();
        Self::of(Box::new(monitor), handle)
    }

    pub(crate) fn of(source: Box<dyn EventSource>, handle: MonitorHandle) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut collector = Collector::new(
            CollectorConfig::new()
                .with_signal_handling(false)
                .with_health_check_interval(Duration::from_millis(50)),
        );
        collector.register(source).unwrap();
        let wanted = EventSubscription::new("test")
            .with_filter(EventFilter::new())
            .with_overflow(OverflowPolicy::Block { deadline: DEADLINE })
            .with_capacity(1000);
        let events = runtime.block_on(collector.bus().subscribe(wanted)).unwrap();
        let ends = collector.handle();
        let run = runtime.spawn(collector.run());
        let monitor = Self { runtime, events, collector: ends, run, handle };
        monitor.until("the first look", |stats| stats.collection_cycles > 0);
        monitor
    }

    pub(crate) fn stats(&self) -> MonitorCollectorStatsSnapshot {
        self.handle.stats()
    }

    /// Returns once the counters are so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&MonitorCollectorStatsSnapshot) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(&self.stats()) {
            assert!(Instant::now() < deadline, "no {what} in {DEADLINE:?}: {:?}", self.stats());
            // deadline: counters wake nobody.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Looks once more, and gives everything that was found and not taken yet.
    pub(crate) fn look(&mut self) -> Vec<CollectionEvent> {
        let cycles = self.stats().collection_cycles;
        self.handle.look_now();
        self.until("further look", |stats| stats.collection_cycles > cycles);
        self.take()
    }

    /// Everything that was found and not taken yet.
    pub(crate) fn take(&mut self) -> Vec<CollectionEvent> {
        self.until("delivery", |stats| stats.events_sent == stats.lifecycle_events);
        let mut events = Vec::new();
        let quiet = Duration::from_millis(200);
        self.runtime.block_on(async {
            while let Ok(Some(event)) = tokio::time::timeout(quiet, self.events.recv()).await {
                events.push(event.event.clone());
            }
        });
        events
    }

    /// [`look`](Self::look), the processes alone.
    pub(crate) fn processes(&mut self) -> Vec<ProcessEvent> {
        self.look().into_iter().filter_map(process).collect()
    }

    /// Looks until an event about the process says that this has changed.
    #[track_caller]
    pub(crate) fn see(&mut self, pid: u32, change: &str) -> ProcessEvent {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            for event in self.processes() {
                if event.pid == pid && changed(&event) == change {
                    return event;
                }
                seen.push(format!("{} {} {}", event.pid, event.kind.name(), changed(&event)));
            }
        }
        panic!("nothing says {change} of {pid}, but {seen:?}");
    }

    /// Returns once its health check says so: a reason, or nothing where it is well.
    pub(crate) fn until_health(&self, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let health = self.collector.health();
            let reasons: String = health.sources.into_iter().filter_map(|source| source.reason).collect();
            if health.status != HealthStatus::Unknown && is_so(&reasons) {
                return;
            }
            assert!(Instant::now() < deadline, "it is {:?}: {reasons}", health.status);
            // deadline: health wakes nobody.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it and says how long that took.
    pub(crate) fn end(self) -> Duration {
        let begin = Instant::now();
        self.collector.shutdown();
        let ended = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, self.run).await });
        ended.expect("the run ends").unwrap().unwrap();
        begin.elapsed()
    }
}

pub(crate) fn process(event: CollectionEvent) -> Option<ProcessEvent> {
    match event {
        CollectionEvent::Process(event) => Some(event),
        _ => None,
    }
}

/// What an event says has changed.
pub(crate) fn changed(event: &ProcessEvent) -> &str {
    let metadata = event.platform_metadata.as_ref();
    metadata.and_then(|metadata| metadata["lifecycle"]["change"].as_str()).unwrap_or_default()
}

/// What an event says is suspicious.
pub(crate) fn suspicious(event: &ProcessEvent) -> Vec<&str> {
    let words =
        event.platform_metadata.as_ref().and_then(|metadata| metadata["lifecycle"]["suspicious"].as_array());
    words.into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
}
