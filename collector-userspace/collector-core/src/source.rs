//! The universal event source and its capabilities.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::event::CollectionEvent;

bitflags::bitflags! {
    /// What a source can see and how.
    ///
    /// The [guide](crate::guide) shows it at work.
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
///
/// A [`Collector`](crate::Collector) calls `start` on a thread of its own with a tokio runtime of its own: blocking there
/// harms no other source, and delays its own events by less than a second. They are published on that thread whenever
/// `start` awaits something; when it first does, and [`is_started`](Self::is_started) agrees, the source counts as running. Tasks that `start` spawns
/// live until `stop` has returned.
///
/// Whether a source does what is asked of it here, the conformance kit in `collector_core::testing` finds out (feature `testing`).
///
/// The [guide](crate::guide) shows it at work.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// A name, unique in its collector, that appears in events, statistics and logs.
    fn name(&self) -> &'static str;

    /// What it can see at the moment.
    fn capabilities(&self) -> SourceCaps;

    /// Collects and sends events until `shutdown_signal` is set, the receiver is gone, or a fatal error.
    ///
    /// The source awaits `tx`: a full channel is back-pressure, not loss. It sends events of the domains that its capabilities
    /// name; losses, trigger requests and alerts belong to every domain. [`EventMeta::source`](crate::EventMeta::source) may be left
    /// empty: the collector fills in the name of the source.
    ///
    /// # Errors
    /// What made further collection impossible.
    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()>;

    /// Releases what `start` took. A collector calls it once for each call of `start`: when that has returned for whatever
    /// reason, or while the collector shuts down when it does not return; then `stop` may be what lets `start` return. A
    /// source that failed may be started again afterwards, see [`RestartPolicy`](crate::RestartPolicy). Before `start`, or a
    /// second time, there is nothing to release, and `stop` does nothing.
    ///
    /// # Errors
    /// What could not be released.
    async fn stop(&self) -> anyhow::Result<()>;

    /// Whether `start` has got as far as collecting. A collector asks whenever `start` awaits something, until the answer is
    /// yes; [`startup_timeout`](crate::CollectorConfig::startup_timeout) counts no further. A source whose `start` awaits
    /// before it collects, to connect somewhere for example, says here when it is ready; for others the first await is.
    fn is_started(&self) -> bool {
        true
    }

    /// Says whether collection works. A collector asks in intervals while `start` goes on, on the same thread.
    ///
    /// # Errors
    /// What does not work.
    async fn health_check(&self) -> anyhow::Result<()> {
        Ok(())
    }
}
