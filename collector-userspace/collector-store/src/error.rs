//! What can go wrong with a store, and what it means for the events at hand.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A newer program wrote the database.
    #[error("{} has schema version {found}, this program knows up to {known}: use the newer collector, or another database with --db", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// It is a database, but not ours.
    #[error("{} is a database of another program: choose another file with --db", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// It is no database at all, or one that is damaged.
    #[error("{} is not a usable database ({message}): move it away, or choose another file with --db", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        message: String,
    },
    /// The file or its file system can only be read.
    #[error("{} can only be read", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// The file was removed or replaced while it was open.
    #[error("{} was removed or replaced while it was in use", path.display())]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// The file or a directory on the way to it could not be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

/// Why events did not reach the store: the words of loss events and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LossReason {
    /// No space.
    DiskFull,
    /// The file or its file system can only be read.
    ReadOnly,
    /// Another program held the database for too long.
    Locked,
    /// The database could not be opened or made.
    CannotOpen,
    /// The database is damaged, or is none.
    Corrupt,
    /// A read or write failed.
    Io,
    /// The file was removed or replaced.
    Replaced,
    /// Anything else.
    Other,
}

impl LossReason {
    /// The word used in loss events and statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Locked => "locked",
            Self::CannotOpen => "cannot_open",
            Self::Corrupt => "corrupt",
            Self::Io => "io",
            Self::Replaced => "replaced",
            Self::Other => "other",
        }
    }
}

impl StoreError {
    /// Wraps an error of SQLite, naming the ones that have a name here.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, message: source.to_string() }
            }
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            _ => Self::Sqlite { path, source },
        }
    }

    /// Why events are lost when this happens while writing them.
    #[must_use]
    pub fn reason(&self) -> LossReason {
        match self {
            Self::NewerSchema { .. } | Self::Foreign { .. } => LossReason::CannotOpen,
            Self::Damaged { .. } => LossReason::Corrupt,
            Self::ReadOnly { .. } => LossReason::ReadOnly,
            Self::Replaced { .. } => LossReason::Replaced,
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => LossReason::DiskFull,
                std::io::ErrorKind::ReadOnlyFilesystem => LossReason::ReadOnly,
                _ => LossReason::CannotOpen,
            },
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => LossReason::DiskFull,
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LossReason::Locked,
                Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => LossReason::CannotOpen,
                Some(ErrorCode::SystemIoFailure) => LossReason::Io,
                _ => LossReason::Other,
            },
        }
    }

    /// Whether waiting cannot help: somebody must choose another file or another program first.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::NewerSchema { .. } | Self::Foreign { .. } | Self::Damaged { .. })
    }
}
