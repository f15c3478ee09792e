//! Keeping the bus open for what the last events lead to.

use tokio::sync::{mpsc, watch};

/// Keeps the bus of a collector open after its sources have ended, while whoever holds it publishes what their last events
/// lead to: triggers, alerts. Dropping it lets the bus close, and so does the end of the shutdown timeout.
///
/// ```
/// # use collector_core::{Collector, CollectorConfig, EventFilter};
/// # async fn work(event: &collector_core::BusEvent) {}
/// # async fn example(collector: &Collector) -> anyhow::Result<()> {
/// let (bus, hold) = (collector.bus(), collector.hold_bus_open());
/// let mut events = bus.subscribe(EventFilter::new()).await?;
/// let id = events.id().to_owned();
/// tokio::spawn(async move {
///     let mut over = std::pin::pin!(hold.sources_ended());
///     let mut ended = false;
///     loop {
///         tokio::select! {
///             event = events.recv() => match event {
///                 Some(event) => work(&event).await,
///                 None => break,
///             },
///             // What is queued still comes, then the end.
///             () = &mut over, if !ended => {
///                 ended = true;
///                 let _ = bus.unsubscribe(&id).await;
///             }
///         }
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BusHold {
    ended: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl BusHold {
    /// Waits until everything the sources had to say is on the bus.
    pub async fn sources_ended(&self) {
        let mut ended = self.ended.clone();
        // The other side is gone: there is no run any more, which is an end as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// The collector's side of all holds.
#[derive(Debug)]
pub(super) struct Holds {
    ended: watch::Sender<bool>,
    alive: Option<mpsc::Sender<()>>,
    all_dropped: Option<mpsc::Receiver<()>>,
}

impl Default for Holds {
    fn default() -> Self {
        let (alive, all_dropped) = mpsc::channel(1);
        Self { ended: watch::Sender::new(false), alive: Some(alive), all_dropped: Some(all_dropped) }
    }
}

impl Holds {
    /// Another hold; one of a run that is over holds nothing.
    pub(super) fn hold(&self) -> BusHold {
        let alive = self.alive.clone().unwrap_or_else(|| mpsc::channel(1).0);
        BusHold { ended: self.ended.subscribe(), _alive: alive }
    }

    /// The sources have ended. What is returned is ready when nobody holds the bus open any more.
    pub(super) fn sources_ended(&mut self) -> impl Future<Output = ()> + use<> {
        self.ended.send_replace(true);
        self.alive = None;
        let all_dropped = self.all_dropped.take();
        async move {
            if let Some(mut all_dropped) = all_dropped {
                // Nobody sends anything: this is the end of the last sender.
                while all_dropped.recv().await.is_some() {}
            }
        }
    }
}
