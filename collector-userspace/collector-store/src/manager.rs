//! A database for monitors: it keeps their events, and what they remember.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use collector_core::monitor::{MemoryChange, MonitorBatch, MonitorDatabase, MonitorDatabaseError};
use collector_core::{HostInfo, JsonLines};

use crate::config::StoreConfig;
use crate::database::Database;
use crate::error::StoreError;

/// How often old events are looked for.
const RETENTION: Duration = Duration::from_secs(60);

/// A database that monitors write themselves, in their own time: [`MonitorDatabase`] on a [`Database`].
///
/// Share it in an `Arc<Mutex<_>>`. Its events are those of any other store, with the same schema, queries and retention; do not
/// let a [`StoreWriter`](crate::StoreWriter) fill the same file, or each event of a monitor is there twice.
///
/// ```
/// use collector_core::monitor::MonitorDatabase;
/// use collector_store::DatabaseManager;
/// use std::sync::{Arc, Mutex};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("audit.db");
/// let database = Arc::new(Mutex::new(DatabaseManager::new(path)?));
/// # assert_eq!(database.lock().unwrap().recall("procmond")?, Vec::<String>::new());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DatabaseManager {
    database: Database,
    retained: Option<Instant>,
}

impl DatabaseManager {
    /// Opens the database at `path`, with the defaults of [`StoreConfig`] and the name of this host; creates it where there is
    /// none. Its directory must exist.
    ///
    /// # Errors
    /// What stands in the way; see [`StoreError::is_permanent`].
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        // What a system does not tell is left out of the events.
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let host = HostInfo {
            host: read("/proc/sys/kernel/hostname"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
        };
        Self::open(&StoreConfig::new(path), &JsonLines::new(host))
    }

    /// Opens a database with these settings, whose events name the host of `lines`.
    ///
    /// # Errors
    /// What stands in the way; see [`StoreError::is_permanent`].
    pub fn open(config: &StoreConfig, lines: &JsonLines) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(config, lines)?, retained: None })
    }

    /// Deletes what is too old or too much, at intervals and in bounded steps. It is no reason to refuse new events.
    fn retain(&mut self) {
        let is_due = self.retained.is_none_or(|at| at.elapsed() >= RETENTION);
        if !is_due {
            return;
        }
        match self.database.retain(SystemTime::now(), true) {
            // Again with the next batch.
            Ok(done) if done.more => {}
            Ok(_) => self.retained = Some(Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "old events not deleted");
                self.retained = Some(Instant::now());
            }
        }
    }
}

impl MonitorDatabase for DatabaseManager {
    fn append(&mut self, batch: &MonitorBatch<'_>) -> Result<(), MonitorDatabaseError> {
        self.database.check_in_place().map_err(MonitorDatabaseError::new)?;
        let MonitorBatch { collector, events, memory } = batch;
        let changes = memory.iter().map(|change| match change {
            MemoryChange::Remember { pid, state } => (*pid, Some(state.as_str())),
            MemoryChange::Forget { pid } => (*pid, None),
        });
        self.database.append_remembering(events, collector, changes).map_err(MonitorDatabaseError::new)?;
        self.retain();
        Ok(())
    }

    fn recall(&mut self, collector: &str) -> Result<Vec<String>, MonitorDatabaseError> {
        self.database.recall(collector).map_err(MonitorDatabaseError::new)
    }
}
