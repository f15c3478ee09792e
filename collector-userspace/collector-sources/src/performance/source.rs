//! The event source: samples at intervals.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use collector_core::{CollectionEvent, EventSource, SourceCaps};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::NAME;
use super::config::{PerformanceConfig, PerformanceConfigError};
use super::sampler::PerformanceSampler;
use super::stats::PerformanceHandle;

/// Longest time until the shutdown signal is seen: as long as may be, because waking up to look costs more than sampling.
const SIGNAL_POLL: Duration = Duration::from_millis(90);

/// Samples the system and its busiest and largest processes, by polling `/proc`; needs no privileges.
#[derive(Debug)]
pub struct PerformanceSource {
    config: PerformanceConfig,
    proc: PathBuf,
    sys: PathBuf,
    handle: PerformanceHandle,
    /// Why the last sample could not be taken.
    failure: Mutex<Option<String>>,
    stopping: Notify,
}

impl PerformanceSource {
    /// A source of this machine.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn new(config: PerformanceConfig) -> Result<Self, PerformanceConfigError> {
        Self::at(config, PathBuf::from("/proc"), PathBuf::from("/sys"))
    }

    pub(super) fn at(
        config: PerformanceConfig,
        proc: PathBuf,
        sys: PathBuf,
    ) -> Result<Self, PerformanceConfigError> {
        config.check()?;
        let handle = PerformanceHandle::default();
        Ok(Self { config, proc, sys, handle, failure: Mutex::default(), stopping: Notify::new() })
    }

    /// Its counters, also while it runs and after its end.
    #[must_use]
    pub fn handle(&self) -> PerformanceHandle {
        self.handle.clone()
    }

    fn note(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Returns when the signal is set.
    async fn signal(&self, shutdown: &AtomicBool) {
        while !shutdown.load(Ordering::Relaxed) {
            // Who stops the source has set the signal.
            let _ = tokio::time::timeout(SIGNAL_POLL, self.stopping.notified()).await;
        }
    }

    /// Sends everything, unless the signal comes first. `false` at the end.
    async fn send(
        &self,
        tx: &mpsc::Sender<CollectionEvent>,
        events: Vec<CollectionEvent>,
        shutdown: &AtomicBool,
    ) -> bool {
        for event in events {
            tokio::select! {
                biased;
                sent = tx.send(event) => if sent.is_err() { return false },
                () = self.signal(shutdown) => return false,
            }
        }
        true
    }
}

#[async_trait]
impl EventSource for PerformanceSource {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PERFORMANCE | SourceCaps::SYSTEM_WIDE
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let Self { config, proc, sys, handle, .. } = self;
        let mut sampler = PerformanceSampler::at(*config, handle.clone(), proc.clone(), sys.clone());
        let mut events = sampler.sample()?;
        let mut next = Instant::now() + config.interval;
        loop {
            if !self.send(&tx, events, &shutdown_signal).await {
                return Ok(());
            }
            // Without a receiver nobody is there to set the signal, either.
            tokio::select! {
                biased;
                () = self.signal(&shutdown_signal) => return Ok(()),
                () = tx.closed() => return Ok(()),
                () = tokio::time::sleep_until(next) => {}
            }
            next += config.interval;
            if next <= Instant::now() {
                // Too late for one or more: nothing is made up for.
                next = Instant::now() + config.interval;
            }
            let sampled = sampler.sample();
            self.note(sampled.as_ref().err().map(ToString::to_string));
            events = sampled.unwrap_or_default();
        }
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.stopping.notify_one();
        Ok(())
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        if let Some(failure) = &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            bail!("the last sample failed: {failure}");
        }
        let path = self.proc.join("stat");
        match std::fs::File::open(&path) {
            Ok(_) => Ok(()),
            Err(error) => bail!("cannot read {}: {error}", path.display()),
        }
    }
}
