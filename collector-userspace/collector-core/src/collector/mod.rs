//! The collector: runs event sources and puts what they send on the event bus.
//!
//! Each source runs on a thread of its own with a tokio runtime of its own. A source that blocks, panics or burns processor
//! time can therefore neither stall another source nor keep [`Collector::run`] from ending in time: a thread that does not
//! come back is abandoned and reported. Sources of realtime events are also woken by their own I/O driver, without a
//! detour over another thread.
//!
//! ```text
//! source thread ── bounded channel ── pump task ── event bus ── subscribers' queues
//!   (waits when full)               (batches)     (each with its own policy)
//! ```

mod error;
mod handle;
mod health;
mod hold;
mod lane;
mod pump;
mod relay;
mod restart;
mod run;
mod source_thread;
mod statistics;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use error::{CollectorError, RunError, SourceFailure};
pub use handle::CollectorHandle;
pub use health::{CollectorHealth, SourceHealth};
pub use hold::BusHold;
pub use restart::RestartPolicy;
pub use statistics::{RuntimeStats, SourceState, SourceStats};

use self::handle::Shared;
use self::lane::Lane;
use crate::bus::LocalEventBus;
use crate::config::CollectorConfig;
use crate::source::{EventSource, SourceCaps};

/// How a source is kept from harming others, for who runs one without a collector.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod isolation {
    pub(crate) use super::health::HealthRequest;
    pub(crate) use super::lane::{CallError, call};
    pub(crate) use super::source_thread::{answer_health_checks, runtime};
}

/// Runs event sources and publishes their events.
///
/// The [guide](crate::guide) shows it at work.
///
/// Subscribe to [`bus`](Self::bus) before `run`, and keep a [`handle`](Self::handle) to stop it and to look inside.
pub struct Collector {
    shared: Arc<Shared>,
}

impl Collector {
    /// A collector without sources. The configuration is validated by [`run`](Self::run).
    #[must_use]
    pub fn new(config: CollectorConfig) -> Self {
        Self { shared: Arc::new(Shared::new(config)) }
    }

    /// Adds a source.
    ///
    /// # Errors
    /// [`CollectorError::TooManySources`], [`CollectorError::DuplicateSource`] or [`CollectorError::UnnamedSource`].
    pub fn register(&mut self, source: Box<dyn EventSource>) -> Result<(), CollectorError> {
        let name = source.name();
        let mut lanes = self.shared.lanes();
        let limit = self.shared.config.max_event_sources;
        if name.is_empty() {
            return Err(CollectorError::UnnamedSource);
        }
        if lanes.iter().any(|lane| lane.name == name) {
            return Err(CollectorError::DuplicateSource { name });
        }
        if lanes.len() >= limit {
            return Err(CollectorError::TooManySources { limit });
        }
        lanes.push(Arc::new(Lane::new(name, Arc::from(source))));
        Ok(())
    }

    /// What all sources together can see.
    #[must_use]
    pub fn capabilities(&self) -> SourceCaps {
        self.shared.capabilities()
    }

    /// How many sources are registered.
    #[must_use]
    pub fn source_count(&self) -> usize {
        self.shared.lanes().len()
    }

    /// The bus the events go to. It runs already, and closes when [`run`](Self::run) ends or the collector is dropped without.
    #[must_use]
    pub fn bus(&self) -> LocalEventBus {
        self.shared.bus.clone()
    }

    /// Keeps the bus open after the sources have ended, until it is dropped or the shutdown timeout is over.
    #[must_use = "it holds nothing once it is dropped"]
    pub fn hold_bus_open(&self) -> BusHold {
        self.shared.holds().hold()
    }

    /// A handle that works before, during and after [`run`](Self::run).
    #[must_use]
    pub fn handle(&self) -> CollectorHandle {
        CollectorHandle::new(Arc::clone(&self.shared))
    }

    /// Runs all sources until SIGINT or SIGTERM (see [`CollectorConfig::handle_signals`]), until
    /// [`CollectorHandle::shutdown`], or until all have ended by themselves.
    ///
    /// A source that fails does not disturb the others, and is started again as [`CollectorConfig::restart`] says. To stop,
    /// the shutdown signal of all sources is set; `stop` is called once for each, when its `start` has returned, or at half
    /// of the shutdown timeout if it has not. Everything the sources sent reaches the subscribers' queues; then the bus
    /// closes, unless somebody [holds it open](Self::hold_bus_open). Subscribers can go on receiving what is queued after
    /// `run` has returned. A second signal cuts the waiting short.
    ///
    /// `run` returns within [`CollectorConfig::shutdown_timeout`] of the wish to stop, whatever a source does. Dropping the
    /// future stops everything, without waiting for anything. It needs a tokio runtime with time enabled, and with I/O where
    /// signals are handled.
    ///
    /// # Errors
    /// [`CollectorError`] when it cannot begin, [`RunError`] when sources failed, panicked, or had to be abandoned.
    pub async fn run(self) -> anyhow::Result<()> {
        run::run(Arc::clone(&self.shared)).await
    }
}

impl Drop for Collector {
    /// Who waits for events or for the end of the sources shall not wait for a run that never comes. After a run there is
    /// nothing left to do.
    fn drop(&mut self) {
        drop(self.shared.holds().sources_ended());
        self.shared.bus.close();
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("shared", &self.shared).finish()
    }
}
