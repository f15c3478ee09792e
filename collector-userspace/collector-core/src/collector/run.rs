//! A run from start to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{CollectorError, RunError};
use super::handle::Shared;
use super::lane::Lane;
use super::pump::{PumpOrder, pump};
use super::relay::Relay;
use super::{health, source_thread};

/// The shares of the shutdown timeout, in percent, at which waiting turns into doing something about it.
mod share {
    /// `stop` is called although `start` has not returned.
    pub(super) const STOP: u32 = 50;
    /// Sources that have not ended are abandoned, and pumps take only what is there.
    pub(super) const ABANDON: u32 = 75;
    /// Pumps that have not ended, because subscribers block them, are aborted.
    pub(super) const ABORT: u32 = 90;
}

pub(super) async fn run(shared: Arc<Shared>) -> anyhow::Result<()> {
    let lanes = shared.lanes().clone();
    let config = &shared.config;
    // From here on, leaving by any way closes the bus.
    let mut run = Run {
        lanes,
        changed: Arc::default(),
        orders: watch::Sender::new(PumpOrder::Run),
        pumps: JoinSet::new(),
        signals: Signals::ignored(),
        impatient: false,
        shared: Arc::clone(&shared),
    };
    config.validate().map_err(CollectorError::from)?;
    if run.lanes.is_empty() {
        return Err(CollectorError::NoSources.into());
    }
    if config.handle_signals {
        run.signals = Signals::handled().map_err(CollectorError::Signals)?;
    }
    run.start_sources();
    run.until_wanted_to_stop().await;
    run.shut_down().await;
    run.result().map_err(Into::into)
}

/// Everything a run holds. Dropping it, at the end or because the future was dropped, stops the sources and closes the bus.
struct Run {
    shared: Arc<Shared>,
    lanes: Vec<Arc<Lane>>,
    /// Notified by source threads whenever a lane has changed.
    changed: Arc<Notify>,
    orders: watch::Sender<PumpOrder>,
    pumps: JoinSet<()>,
    signals: Signals,
    /// A signal came during the shutdown: wait for nothing any more.
    impatient: bool,
}

impl Run {
    fn start_sources(&mut self) {
        let config = &self.shared.config;
        tracing::info!(component = config.component_name, sources = self.lanes.len(), "collector starts");
        let since = Instant::now();
        for lane in &self.lanes {
            let (tx, rx) = mpsc::channel(config.event_buffer_size);
            let relay = Relay::new(pump(
                Arc::clone(lane),
                rx,
                self.shared.bus.clone(),
                self.orders.subscribe(),
                config.max_batch_size,
                config.enable_debug_logging,
            ));
            self.pumps.spawn(relay.clone().stand_by(
                Arc::clone(lane),
                tx.downgrade(),
                self.orders.subscribe(),
                since,
            ));
            source_thread::spawn(lane, tx, relay, config.restart, &self.changed);
        }
    }

    async fn until_wanted_to_stop(&mut self) {
        let config = &self.shared.config;
        let mut stop = self.shared.stop.subscribe();
        let mut checks = JoinSet::new();
        checks.spawn(health::check_all(self.lanes.clone(), config.health_check_interval));
        checks.spawn(watch_start(self.lanes.clone(), config.startup_timeout));
        let reason = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => "requested",
            () = self.signals.next() => "signal",
            () = all(&self.lanes, Lane::has_ended, &self.changed) => "all sources have ended",
        };
        tracing::info!(reason, "collector stops");
    }

    async fn shut_down(&mut self) {
        let start = Instant::now();
        let timeout = self.shared.config.shutdown_timeout;
        let at = |share| start + timeout / 100 * share;
        for lane in &self.lanes {
            lane.shut_down();
        }
        self.wait_for(Lane::has_ended, at(share::STOP)).await;
        for lane in self.lanes.iter().filter(|lane| !lane.has_ended()) {
            if lane.claim_stop() {
                tracing::warn!(source = lane.name, "source has not ended; stopping it from outside");
                source_thread::stop_from_outside(lane, &self.changed);
            }
        }
        self.wait_for(Lane::is_over, at(share::ABANDON)).await;
        for lane in self.lanes.iter().filter(|lane| !lane.is_over()) {
            lane.abandon();
        }
        // Also of sources that have ended: a thread of theirs may have kept a sender, and would be waited for.
        self.orders.send_replace(PumpOrder::Close);
        let abort = if self.impatient { Instant::now() } else { at(share::ABORT) };
        if timeout_at(abort, self.pumps_end()).await.is_err() {
            self.orders.send_replace(PumpOrder::Abort);
            // They only have to be scheduled once more. If even that does not happen, dropping the set aborts them.
            let _ = timeout_at(start + timeout, self.pumps_end()).await;
        }
        self.wait_for_holds(start + timeout).await;
        self.shared.bus.close();
    }

    /// Waits until it is so for every lane, but not beyond `until`, and not at all after a second signal.
    async fn wait_for(&mut self, so: fn(&Lane) -> bool, until: Instant) {
        if self.impatient {
            return;
        }
        tokio::select! {
            () = all(&self.lanes, so, &self.changed) => {}
            () = sleep_until(until) => {}
            () = self.signals.next() => self.impatient = true,
        }
    }

    /// Waits until nobody holds the bus open any more, but not beyond `until`.
    async fn wait_for_holds(&mut self, until: Instant) {
        let released = self.shared.holds().sources_ended();
        if self.impatient {
            return;
        }
        tokio::select! {
            () = released => {}
            () = sleep_until(until) => tracing::warn!("the bus closes although somebody holds it open: the shutdown timeout is over"),
            () = self.signals.next() => {}
        }
    }

    async fn pumps_end(&mut self) {
        while let Some(ended) = self.pumps.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a pump failed");
            }
        }
    }

    fn result(&self) -> Result<(), RunError> {
        let failures: Vec<_> = self.lanes.iter().flat_map(|lane| lane.failures()).collect();
        if failures.is_empty() { Ok(()) } else { Err(RunError { failures, sources: self.lanes.len() }) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.shut_down();
        }
        // Whoever waits for the end of the sources shall not wait for ever, if this is no orderly end.
        drop(self.shared.holds().sources_ended());
        self.shared.bus.close();
    }
}

/// Waits until it is so for every lane. Only one caller at a time: `changed` wakes one.
async fn all(lanes: &[Arc<Lane>], so: fn(&Lane) -> bool, changed: &Notify) {
    while !lanes.iter().all(|lane| so(lane)) {
        changed.notified().await;
    }
}

/// Says which sources have not got going in time. It does nothing else about it: a slow start is no reason to lose it.
async fn watch_start(lanes: Vec<Arc<Lane>>, timeout: Duration) {
    tokio::time::sleep(timeout).await;
    for lane in lanes.iter().filter(|lane| lane.start_is_overdue()) {
        tracing::warn!(source = lane.name, ?timeout, "source has not started in time");
    }
}

/// The signals that ask a process to end.
struct Signals(Option<imp::Signals>);

impl Signals {
    const fn ignored() -> Self {
        Self(None)
    }

    fn handled() -> std::io::Result<Self> {
        imp::Signals::new().map(|signals| Self(Some(signals)))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(signals) => signals.next().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
mod imp {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        pub(super) fn new() -> std::io::Result<Self> {
            let interrupt = signal(SignalKind::interrupt())?;
            let terminate = signal(SignalKind::terminate())?;
            Ok(Self { interrupt, terminate })
        }

        pub(super) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}

#[cfg(not(unix))]
mod imp {
    pub(super) struct Signals;

    impl Signals {
        #[expect(clippy::unnecessary_wraps, reason = "the shape of the Unix one")]
        pub(super) fn new() -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        }
    }
}
