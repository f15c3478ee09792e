//! TCP by polling: listeners and connections that are there at a look and were not at the one before, and connections that are
//! gone. What begins and ends between two looks is not seen. UDP is not reported: a table of sockets does not say that anything
//! was sent.

mod eye;
mod owners;
mod table;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use async_trait::async_trait;
use collector_core::monitor::{
    MonitorCollector, MonitorCollectorConfig, MonitorCollectorStats, MonitorCollectorStatsSnapshot,
};
use collector_core::{CollectionEvent, EventSource, SourceCaps};
use tokio::sync::mpsc;

use self::eye::NetworkEye;
use super::poll::{Polling, send_all};
use crate::config::Filter;
use crate::identity::snapshot::Procfs;
use crate::procmond::{MonitorError, MonitorHandle};

/// Most sockets known; what is beyond is counted.
const SOCKETS_MAX: usize = 65_536;

/// Polls the tables of TCP sockets of all network namespaces that a visible process lives in.
#[derive(Debug)]
pub struct ProcfsNetworkSource {
    polling: Polling<NetworkEye>,
    is_filtered: bool,
}

impl ProcfsNetworkSource {
    /// A source of this name, of the sockets of processes that `filter` lets through.
    ///
    /// # Errors
    /// What does not work, see [`MonitorError`].
    pub fn new(
        name: &'static str,
        config: MonitorCollectorConfig,
        filter: Filter,
    ) -> Result<Self, MonitorError> {
        config.validate()?;
        let procfs = Procfs::default();
        let boot = crate::procmond::boot(&procfs)?;
        let stats = Arc::new(MonitorCollectorStats::default());
        let is_filtered = filter != Filter::default();
        let eye = NetworkEye::new(procfs, boot, filter, name, SOCKETS_MAX, Arc::clone(&stats));
        Ok(Self { polling: Polling::new(eye, name, config, stats), is_filtered })
    }

    /// A handle for counters, and to make it look, that may be kept apart.
    #[must_use]
    pub fn handle(&self) -> MonitorHandle {
        self.polling.handle()
    }
}

#[async_trait]
impl EventSource for ProcfsNetworkSource {
    fn name(&self) -> &'static str {
        self.polling.source
    }

    fn capabilities(&self) -> SourceCaps {
        let everybody = if self.is_filtered { SourceCaps::empty() } else { SourceCaps::SYSTEM_WIDE };
        SourceCaps::NETWORK | everybody
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let (found, mut batches) = mpsc::channel::<Vec<CollectionEvent>>(1);
        let stats = Arc::clone(&self.polling.stats);
        let delivery = tokio::spawn(async move {
            while let Some(batch) = batches.recv().await {
                MonitorCollectorStats::set(&stats.events_in_flight, batch.len());
                if !send_all(&tx, batch, &stats).await {
                    return;
                }
            }
        });
        let result = self.polling.run(&found, &shutdown_signal).await;
        drop(found);
        tokio::time::timeout(self.polling.config.shutdown_timeout, delivery)
            .await
            .context("what was found could not be handed over within shutdown_timeout")?
            .context("the delivery panicked")?;
        result
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        self.monitor_health_check().await
    }
}

#[async_trait]
impl MonitorCollector for ProcfsNetworkSource {
    fn stats(&self) -> MonitorCollectorStatsSnapshot {
        self.polling.stats.snapshot()
    }
}
