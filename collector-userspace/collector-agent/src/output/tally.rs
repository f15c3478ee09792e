//! What an output has written so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Totals of an output since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OutputStats {
    /// `pretty` or `json`.
    pub(crate) format: String,
    /// Where to.
    pub(crate) target: String,
    /// Events written, by kind.
    pub(crate) events: BTreeMap<String, u64>,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Events that could not be written.
    pub(crate) lost: u64,
    /// Events that loss events told to be missing, wherever they were lost.
    pub(crate) told_lost: u64,
    /// What went wrong last.
    pub(crate) last_error: Option<String>,
    /// Whether whoever read the output has gone.
    pub(crate) closed: bool,
}

/// The totals, shared between the output's thread and whoever asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<OutputStats>>);

impl Tally {
    pub(crate) fn new(format: &str, target: &str) -> Self {
        let stats =
            OutputStats { format: format.to_owned(), target: target.to_owned(), ..OutputStats::default() };
        Self(Arc::new(Mutex::new(stats)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, OutputStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> OutputStats {
        self.lock().clone()
    }
}
