//! Triggers and chains at work, on a thread of their own: whatever they do, capture and outputs do not wait for it.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use collector_core::analysis::AnalysisStatistics;
use collector_core::trigger::ChainHandler;
use collector_core::{
    AnalysisChainCoordinator, BusHold, Collector, LocalEventBus, Subscription, TriggerHandler,
    TriggerManager, TriggerStatistics,
};
use serde::{Deserialize, Serialize};

use crate::config::Detection;
use crate::failure::Failure;

/// The name of its subscription.
pub(crate) const TRIGGERS: &str = "triggers";

/// A thread that looks at events, and its counters.
#[derive(Debug)]
pub(crate) struct Detector {
    handle: DetectorHandle,
    thread: JoinHandle<()>,
}

/// The counters, for whoever asks, also after the end.
#[derive(Clone, Debug)]
pub(crate) struct DetectorHandle {
    manager: TriggerManager,
    coordinator: Arc<AnalysisChainCoordinator>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DetectorStats {
    pub(crate) triggers: TriggerStatistics,
    pub(crate) analysis: AnalysisStatistics,
}

impl Detector {
    /// Starts the thread. It ends when the bus closes, or when the sources have ended and what their last events led to is
    /// done.
    pub(crate) fn start(
        detection: Detection,
        collector: &Collector,
        events: Subscription,
    ) -> Result<Self, Failure> {
        let Detection { manager, mut analysis, chains } = detection;
        analysis.mount_namespace = mount_namespace();
        let bus = collector.bus();
        let coordinator = Arc::new(AnalysisChainCoordinator::with_alert_sink(analysis, bus.clone())?);
        let handlers: Vec<Arc<dyn TriggerHandler>> = chains
            .into_iter()
            .map(|(id, stages)| -> Arc<dyn TriggerHandler> {
                Arc::new(ChainHandler::new(id, Arc::clone(&coordinator)).with_stages(stages))
            })
            .collect();
        let handle = DetectorHandle { manager, coordinator };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (manager, hold) = (handle.manager.clone(), collector.hold_bus_open());
        let thread = std::thread::Builder::new().name(TRIGGERS.to_owned()).spawn(move || {
            runtime.block_on(serve(manager, bus, hold, events, handlers));
            // A hash that reads from a dead file system would keep the thread for ever.
            runtime.shutdown_background();
        });
        let thread = thread.context("cannot start the thread for triggers")?;
        Ok(Self { handle, thread })
    }

    /// A view of the counters.
    pub(crate) fn handle(&self) -> DetectorHandle {
        self.handle.clone()
    }

    /// Whether the thread has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// The mount namespace of this process.
fn mount_namespace() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = std::fs::metadata("/proc/self/ns/mnt").ok()?.ino();
    u32::try_from(inode).ok()
}

async fn serve(
    manager: TriggerManager,
    bus: LocalEventBus,
    hold: BusHold,
    events: Subscription,
    handlers: Vec<Arc<dyn TriggerHandler>>,
) {
    let last_events = async {
        hold.sources_ended().await;
        // What is queued is still looked at. That there is nothing to end any more is no error.
        let _ = bus.unsubscribe(TRIGGERS).await;
    };
    tokio::join!(manager.serve_events(&bus, events, handlers), last_events);
}

impl DetectorHandle {
    /// What was counted so far.
    pub(crate) fn stats(&self) -> DetectorStats {
        DetectorStats { triggers: self.manager.statistics(), analysis: self.coordinator.statistics() }
    }
}
