//! Why a server could not begin.

use std::io;
use std::path::PathBuf;

use super::config::IpcConfigError;

/// Why a server could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(#[from] IpcConfigError),
    /// It serves already.
    #[error("the server has been started already; shut it down first")]
    AlreadyStarted,
    /// Somebody else serves there.
    #[error("a server is listening on {path:?} already; stop it, or configure another path")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something is there, and it is no socket.
    #[error("{path:?} exists and is not a socket; remove it, or configure another path")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another server is about to begin in the same directory, and takes its time.
    #[error("{path:?} is locked by another program; try again")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}
