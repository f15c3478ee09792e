//! The universal event source and its capabilities.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::event::CollectionEvent;

bitflags::bitflags! {
    /// What a source can see and how.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    pub struct SourceCaps: u32 {
        /// Processes.
        const PROCESS = 1;
        /// Network.
        const NETWORK = 2;
        /// Files.
        const FILESYSTEM = 4;
        /// Performance measurements.
        const PERFORMANCE = 8;
        /// Events arrive as they happen, not by polling.
        const REALTIME = 16;
        /// Events come from inside the kernel.
        const KERNEL_LEVEL = 32;
        /// The whole system, not one process.
        const SYSTEM_WIDE = 64;
    }
}

/// Something that produces events: the boundary between how events are collected and everything else.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// A name, unique in its collector, that appears in events, statistics and logs.
    fn name(&self) -> &'static str;

    /// What it can see at the moment.
    fn capabilities(&self) -> SourceCaps;

    /// Collects and sends events until `shutdown_signal` is set, the receiver is gone, or a fatal error.
    ///
    /// The source awaits `tx`: a full channel is back-pressure, not loss.
    ///
    /// # Errors
    /// What made further collection impossible.
    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()>;

    /// Releases what `start` took. Called once, after the shutdown signal.
    ///
    /// # Errors
    /// What could not be released.
    async fn stop(&self) -> anyhow::Result<()>;

    /// Says whether collection works.
    ///
    /// # Errors
    /// What does not work.
    async fn health_check(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
