//! Why a file was not hashed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a file was not hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// There is no such file.
    #[error("{path:?} does not exist; it may have been deleted since it was named")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// Only regular files are read: others have no content of their own, may block for ever, or act when they are opened.
    #[error("{path:?} is a {kind}; only regular files are hashed")]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// It is larger than the limit.
    #[error("{path:?} has {size} bytes; hasher.max_file_size allows {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It took longer than the limit.
    #[error("{path:?} was not hashed within {} ms (hasher.time_limit)", limit.as_millis())]
    TimedOut {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// It was written to or replaced while it was read, so a digest would be of a content that never was.
    #[error("{path:?} changed while it was read; hash it again when it is complete")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Whoever asked no longer wants it.
    #[error("hashing {path:?} was cancelled")]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
    /// Too many requests wait already, or this one waited too long.
    #[error(
        "{path:?} was not hashed: others are (hasher.max_concurrent, hasher.max_waiting); try again later"
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The path leads somewhere else from here than from where it was seen.
    #[error("{path:?} was seen {place}; name the file by an absolute path that leads to it from here")]
    Elsewhere {
        /// The path.
        path: PathBuf,
        /// Where: in a container, in another mount namespace, or relative to a directory that is not known.
        place: &'static str,
    },
    /// It cannot be opened or read.
    #[error("{path:?} cannot be read: {message}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Class of the error.
        kind: io::ErrorKind,
        /// What the system says.
        message: String,
    },
}

impl HashError {
    /// Whether the same request may well succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Busy { .. } => true,
            Self::NotFound { .. }
            | Self::NotRegular { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled { .. }
            | Self::Elsewhere { .. }
            | Self::Io { .. } => false,
        }
    }

    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            kind => Self::Io { path, kind, message: error.to_string() },
        }
    }
}
