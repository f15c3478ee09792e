//! Where a monitor keeps its events and its memory.

use std::error::Error;

use crate::event::CollectionEvent;

/// A database as a monitor needs it.
///
/// Its methods may block; monitors call them off their polling path.
pub trait MonitorDatabase: Send {
    /// Stores the events and updates what is remembered: all of it or nothing.
    ///
    /// # Errors
    /// What the database says.
    fn append(&mut self, batch: &MonitorBatch<'_>) -> Result<(), MonitorDatabaseError>;

    /// What the collector of this name has told to [remember](MemoryChange::Remember) and not to forget, in any order.
    ///
    /// # Errors
    /// What the database says.
    fn recall(&mut self, collector: &str) -> Result<Vec<String>, MonitorDatabaseError>;
}

/// What one call of [`MonitorDatabase::append`] stores.
#[derive(Clone, Copy, Debug)]
pub struct MonitorBatch<'a> {
    /// Name of the collector.
    pub collector: &'a str,
    /// Events to keep.
    pub events: &'a [CollectionEvent],
    /// Changes of the collector's memory.
    pub memory: &'a [MemoryChange],
}

/// A change of what is remembered. Each collector has one state per process id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryChange {
    /// This is the state of the process now.
    Remember {
        /// Process id.
        pid: u32,
        /// The state, in a form the collector understands.
        state: String,
    },
    /// There is no such process any more.
    Forget {
        /// Process id.
        pid: u32,
    },
}

/// What a database could not do, and why.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MonitorDatabaseError(Box<dyn Error + Send + Sync>);

impl MonitorDatabaseError {
    /// Wraps the database's own error.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
