//! All sources that poll, made in one place.

use collector_common::Domain;
use collector_core::EventSource;
use collector_core::monitor::MonitorCollectorStatsSnapshot;

use super::ProcfsNetworkSource;
use crate::config::Filter;
use crate::procmond::{MonitorError, MonitorHandle, ProcmondMonitorCollector, ProcmondMonitorConfig};

/// Names of the sources: processes, network.
pub const SOURCE_NAMES: [&str; 2] = ["procfs-process", "procfs-network"];

/// What to poll and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcfsConfig {
    /// What to see. Polling sees no files.
    pub domains: Vec<Domain>,
    /// Whose.
    pub filter: Filter,
    /// How to poll, for both; which processes to read and which changes to report.
    pub monitor: ProcmondMonitorConfig,
}

impl Default for ProcfsConfig {
    fn default() -> Self {
        Self {
            domains: vec![Domain::Process, Domain::Network],
            filter: Filter::default(),
            monitor: ProcmondMonitorConfig::default(),
        }
    }
}

/// Sources that poll `/proc`, and what is known of them.
///
/// ```no_run
/// use collector_core::{Collector, CollectorConfig};
/// use collector_sources::procfs::{ProcfsCapture, ProcfsConfig};
///
/// # async fn run() -> anyhow::Result<()> {
/// let mut capture = ProcfsCapture::new(&ProcfsConfig::default())?;
/// let handle = capture.handle();
/// let mut collector = Collector::new(CollectorConfig::default());
/// for source in capture.sources() {
///     collector.register(source)?;
/// }
/// collector.run().await?;
/// println!("{:?}", handle.stats());
/// # Ok(())
/// # }
/// ```
pub struct ProcfsCapture {
    sources: Vec<Box<dyn EventSource>>,
    handle: ProcfsHandle,
}

impl std::fmt::Debug for ProcfsCapture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcfsCapture").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// A view of the sources' counters that outlives them.
#[derive(Clone, Debug, Default)]
pub struct ProcfsHandle {
    monitors: Vec<MonitorHandle>,
}

impl ProcfsCapture {
    /// Makes the sources of the domains that are asked for and that polling can see.
    ///
    /// # Errors
    /// [`MonitorError::Nothing`] if there are none; else what does not work.
    pub fn new(config: &ProcfsConfig) -> Result<Self, MonitorError> {
        let ProcfsConfig { domains, filter, monitor } = config;
        let [process_name, network_name] = SOURCE_NAMES;
        let mut capture = Self { sources: Vec::new(), handle: ProcfsHandle::default() };
        if domains.contains(&Domain::Process) {
            let source =
                ProcmondMonitorCollector::without_database(process_name, monitor.clone(), filter.clone())?;
            capture.handle.monitors.push(source.handle());
            capture.sources.push(Box::new(source));
        }
        if domains.contains(&Domain::Network) {
            let source = ProcfsNetworkSource::new(network_name, monitor.base_config.clone(), filter.clone())?;
            capture.handle.monitors.push(source.handle());
            capture.sources.push(Box::new(source));
        }
        if capture.sources.is_empty() { Err(MonitorError::Nothing) } else { Ok(capture) }
    }

    /// The sources, once.
    pub fn sources(&mut self) -> Vec<Box<dyn EventSource>> {
        std::mem::take(&mut self.sources)
    }

    /// A handle for counters that may be kept apart.
    #[must_use]
    pub fn handle(&self) -> ProcfsHandle {
        self.handle.clone()
    }
}

impl ProcfsHandle {
    /// Counters, by name of the source.
    #[must_use]
    pub fn stats(&self) -> Vec<(&'static str, MonitorCollectorStatsSnapshot)> {
        self.monitors.iter().map(|monitor| (monitor.source(), monitor.stats())).collect()
    }

    /// The sources, each with its counters and a way to make it look.
    #[must_use]
    pub fn monitors(&self) -> &[MonitorHandle] {
        &self.monitors
    }
}
