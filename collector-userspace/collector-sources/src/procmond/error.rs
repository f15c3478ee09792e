//! Why a monitor cannot be made.

use std::io;

use collector_core::analysis::AnalysisConfigError;
use collector_core::monitor::{MonitorConfigError, MonitorDatabaseError};

/// Why a source that polls `/proc` cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] MonitorConfigError),
    /// A setting of the hasher cannot work.
    #[error("process_config: {0}")]
    Hasher(#[from] AnalysisConfigError),
    /// `/proc` does not say which boot this is: no identity would be stable.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Boot {
        /// File.
        path: String,
        /// Reason.
        source: io::Error,
    },
    /// The database does not say what was seen before.
    #[error("cannot read from the database what was seen before: {0}")]
    Database(#[from] MonitorDatabaseError),
    /// The thread that asked the database did not come back.
    #[error("cannot read from the database what was seen before: the thread that asked panicked")]
    Panicked,
    /// Nothing that polling could see was asked for.
    #[error("polling /proc sees processes and connections, and neither was asked for")]
    Nothing,
}
