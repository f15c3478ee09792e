//! The eye of the monitor: a scan of `/proc` and what it means.

use std::io;

use collector_core::monitor::{LifecycleEvent, LifecycleTracker, MonitorCollectorStats};
use std::sync::Arc;

use crate::procfs::poll::Eye;
use crate::procfs::scan::ProcessScan;

/// Looks at processes.
#[derive(Debug)]
pub(crate) struct ProcessEye {
    pub(crate) scan: ProcessScan,
    pub(crate) tracker: LifecycleTracker,
    pub(crate) stats: Arc<MonitorCollectorStats>,
}

impl Eye for ProcessEye {
    type Found = LifecycleEvent;

    fn look(&mut self) -> io::Result<Vec<LifecycleEvent>> {
        let look = self.scan.look()?;
        let found = self.tracker.observe(look);
        let suspicious = found.iter().filter(|event| !event.suspicious.is_empty()).count();
        MonitorCollectorStats::add(&self.stats.suspicious_events, suspicious);
        MonitorCollectorStats::set(&self.stats.not_tracked, self.tracker.counts().not_tracked);
        Ok(found)
    }
}
