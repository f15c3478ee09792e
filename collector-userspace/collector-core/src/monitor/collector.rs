//! The trait of monitors.

use async_trait::async_trait;

use super::MonitorCollectorStatsSnapshot;
use crate::source::EventSource;

/// An event source that looks at intervals and tells what it does.
///
/// Usable as `dyn MonitorCollector`.
#[async_trait]
pub trait MonitorCollector: EventSource {
    /// Counters, as of now.
    fn stats(&self) -> MonitorCollectorStatsSnapshot;

    /// Says whether the monitor works: by default whether its last look and its last write to a database did.
    ///
    /// # Errors
    /// What does not work.
    async fn monitor_health_check(&self) -> anyhow::Result<()> {
        let MonitorCollectorStatsSnapshot { failing_looks, failing_writes, database_lost_events, .. } =
            self.stats();
        anyhow::ensure!(failing_looks == 0, "the last {failing_looks} looks failed");
        anyhow::ensure!(
            failing_writes == 0,
            "the database refused the last {failing_writes} writes; {database_lost_events} events are missing in it"
        );
        Ok(())
    }
}
