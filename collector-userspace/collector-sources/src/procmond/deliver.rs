//! From what was found to the database and the collector, off the polling path.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use collector_core::CollectionEvent;
use collector_core::analysis::CancellationToken;
use collector_core::monitor::{
    LifecycleChange, LifecycleEvent, MemoryChange, MonitorBatch, MonitorCollectorStats, RememberedProcess,
};
use tokio::sync::mpsc;

use super::collector::SharedDatabase;
use super::hash::Hashing;
use crate::procfs::poll::send_all;
use crate::session::lock;

/// Makes events of what was found, completes them by digests, stores them and hands them over, in order.
pub(super) struct Delivery {
    pub(super) source: &'static str,
    pub(super) max_events: usize,
    pub(super) stats: Arc<MonitorCollectorStats>,
    pub(super) hashing: Option<Hashing>,
    pub(super) database: Option<SharedDatabase>,
    /// Changes of the memory that the database does not have yet, by pid: the last one counts.
    pub(super) unwritten: HashMap<u32, MemoryChange>,
    pub(super) cancel: CancellationToken,
}

impl Delivery {
    /// Delivers until there is nothing more to come, or nobody to take it.
    pub(super) async fn run(
        mut self,
        mut found: mpsc::Receiver<Vec<LifecycleEvent>>,
        tx: mpsc::Sender<CollectionEvent>,
    ) {
        while let Some(batch) = found.recv().await {
            let mut rest = batch.len();
            for chunk in batch.chunks(self.max_events) {
                let events = self.events(chunk).await;
                let events = self.store(chunk, events).await;
                if !send_all(&tx, events, &self.stats).await {
                    MonitorCollectorStats::add(&self.stats.events_abandoned, rest);
                    return;
                }
                rest -= chunk.len();
            }
        }
    }

    async fn events(&self, chunk: &[LifecycleEvent]) -> Vec<CollectionEvent> {
        let mut events = Vec::with_capacity(chunk.len());
        MonitorCollectorStats::add(&self.stats.events_in_flight, chunk.len());
        for found in chunk {
            let mut event = found.to_event();
            if let Some(hashing) = &self.hashing {
                hashing.complete(found, &mut event, &self.cancel).await;
            }
            events.push(CollectionEvent::Process(event));
        }
        events
    }

    /// Stores the events and what is to be remembered. Events that the database refuses are counted, and not tried again; the
    /// memory is.
    async fn store(
        &mut self,
        chunk: &[LifecycleEvent],
        events: Vec<CollectionEvent>,
    ) -> Vec<CollectionEvent> {
        let Some(database) = self.database.clone() else { return events };
        for found in chunk {
            let pid = found.process.pid;
            self.unwritten.insert(pid, memory_of(found));
        }
        let memory: Vec<MemoryChange> = self.unwritten.values().cloned().collect();
        let source = self.source;
        let append = move || {
            let batch = MonitorBatch { collector: source, events: &events, memory: &memory };
            let result = lock(&database).append(&batch);
            (events, result)
        };
        let Ok((events, result)) = tokio::task::spawn_blocking(append).await else {
            // The events went down with the thread.
            MonitorCollectorStats::add(&self.stats.events_abandoned, chunk.len());
            self.stats.events_in_flight.fetch_sub(chunk.len() as u64, Ordering::Relaxed);
            return Vec::new();
        };
        match result {
            Ok(()) => {
                self.unwritten.clear();
                MonitorCollectorStats::set(&self.stats.failing_writes, 0);
                MonitorCollectorStats::add(&self.stats.database_events, events.len());
            }
            Err(error) => {
                MonitorCollectorStats::add(&self.stats.failing_writes, 1);
                MonitorCollectorStats::add(&self.stats.database_lost_events, events.len());
                tracing::warn!(source, %error, "events not stored");
            }
        }
        events
    }
}

fn memory_of(found: &LifecycleEvent) -> MemoryChange {
    let pid = found.process.pid;
    if found.change == LifecycleChange::Exited {
        return MemoryChange::Forget { pid };
    }
    match serde_json::to_string(&RememberedProcess::of(&found.process)) {
        Ok(state) => MemoryChange::Remember { pid, state },
        // Strings and numbers can always be written.
        Err(_) => MemoryChange::Forget { pid },
    }
}
