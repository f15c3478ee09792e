//! From a source's channel to the bus, in batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};

use super::lane::Lane;
use crate::bus::LocalEventBus;
use crate::event::CollectionEvent;

/// Events there is room for from the start.
const FIRST_BATCH: usize = 128;

/// What the run wants of the pumps; later ones include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PumpOrder {
    /// Go on until the source has dropped its senders.
    Run,
    /// Take what is in the channel, refuse what is not.
    Close,
    /// Leave everything.
    Abort,
}

/// The receiving end of a source's channel. However the pump ends, be it dropped where it waits, what it has received is
/// accounted for.
struct Intake {
    lane: Arc<Lane>,
    rx: mpsc::Receiver<CollectionEvent>,
    /// Events of the batch that the bus has and is not done with.
    publishing: u64,
}

impl Intake {
    /// The bus is done with the batch.
    fn published(&mut self) {
        let count = std::mem::take(&mut self.publishing);
        self.lane.published.fetch_add(count, Ordering::Relaxed);
        self.lane.batches.fetch_add(u64::from(count > 0), Ordering::Relaxed);
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // All that did not have to be waited for have the batch; what the others miss the bus counts itself.
        self.published();
        self.rx.close();
        let mut left = 0;
        while self.rx.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 {
            tracing::error!(source = self.lane.name, events = left, "events were lost at shutdown");
            self.lane.received.fetch_add(left, Ordering::Relaxed);
            self.lane.lost_at_shutdown.fetch_add(left, Ordering::Relaxed);
        }
    }
}

/// Moves events until the channel is closed and empty, or the order is to abort.
pub(super) async fn pump(
    lane: Arc<Lane>,
    rx: mpsc::Receiver<CollectionEvent>,
    bus: LocalEventBus,
    mut orders: watch::Receiver<PumpOrder>,
    max_batch: usize,
    log_batches: bool,
) {
    let mut intake = Intake { lane: Arc::clone(&lane), rx, publishing: 0 };
    // Grows to what comes: the limit may be far beyond that.
    let mut batch = Vec::with_capacity(max_batch.min(FIRST_BATCH));
    let mut seen = PumpOrder::Run;
    loop {
        tokio::select! {
            order = next_order(&mut orders, seen) => {
                seen = order;
                match order {
                    PumpOrder::Run => {}
                    PumpOrder::Close => intake.rx.close(),
                    PumpOrder::Abort => break,
                }
                continue;
            }
            count = intake.rx.recv_many(&mut batch, max_batch) => if count == 0 { break },
        }
        let count = batch.len() as u64;
        lane.received.fetch_add(count, Ordering::Relaxed);
        for event in &mut batch {
            if let Some(meta) = event.meta_mut().filter(|meta| meta.source.is_empty()) {
                meta.source = lane.name;
            }
        }
        intake.publishing = count;
        let publish = bus.publish_batch(batch.drain(..));
        let published = tokio::select! {
            // First, so that an order to abort that has come meanwhile finds the batch on the bus.
            biased;
            published = publish => published,
            () = aborted(&mut orders) => Ok(()),
        };
        if let Err(error) = published {
            tracing::error!(source = lane.name, %error, "events could not be published");
            intake.publishing = 0;
            lane.lost_at_shutdown.fetch_add(count, Ordering::Relaxed);
            break;
        }
        intake.published();
        if log_batches {
            tracing::debug!(source = lane.name, events = count, "published a batch");
        }
    }
}

/// Waits for an order beyond `seen`.
async fn next_order(orders: &mut watch::Receiver<PumpOrder>, seen: PumpOrder) -> PumpOrder {
    match orders.wait_for(|order| *order > seen).await {
        Ok(order) => *order,
        // The run is gone, and with it everybody who could want the events.
        Err(_) => PumpOrder::Abort,
    }
}

async fn aborted(orders: &mut watch::Receiver<PumpOrder>) {
    let _or_the_run_is_gone = orders.wait_for(|order| *order == PumpOrder::Abort).await;
}
