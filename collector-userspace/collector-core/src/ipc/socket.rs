//! The file of the socket: how it comes, and how it goes.
//!
//! It must never be there with other permissions than its own, a stale one must be replaced, and one that somebody listens on
//! must not. So the socket is bound in a private directory beside its place, given its mode there, and renamed: at its place it
//! appears in one step, listening and with its mode, instead of the stale one if there is one. The other ways are worse: umask is
//! shared with all threads of the process; `fchmod` before `bind` means something on Linux alone; `chmod` after `bind` but before
//! `listen` lets nobody in too early, but there must be nothing at the place, so that a server that starts at the same time and
//! finds a socket nobody listens on yet would take it for stale and remove it.
//!
//! Servers that start at the same time wait for each other, by a lock on the directory.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::error::IpcError;

/// How long to wait for another server that starts in the same directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The socket as a file; dropping it removes the file, if it still is this one. It has to go before the listener: whoever
/// starts meanwhile then finds a server that answers, or nothing.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if !still_ours {
            tracing::warn!(path = %self.path.display(), "the socket is not ours any more and is left alone");
        } else if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket cannot be removed");
        }
    }
}

/// Makes the socket at `path`, with this mode.
pub(super) async fn bind(path: &Path, mode: u32) -> Result<(SocketFile, UnixListener), IpcError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| IpcError::Io { action, path, source }
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(failed("make the directory", directory))?;
    let _lock = lock(directory).await?;
    refuse_to_replace_more_than_a_stale_socket(path).await?;

    let private = PrivateDirectory::make(directory)
        .map_err(failed("make a private directory for the socket in", directory))?;
    let first = private.socket();
    let listener = UnixListener::bind(&first).map_err(failed("make the socket", &first))?;
    let found = fs::set_permissions(&first, Permissions::from_mode(mode))
        .and_then(|()| fs::symlink_metadata(&first))
        .map_err(failed("set the permissions of", &first))?;
    fs::rename(&first, path).map_err(failed("put the socket at", path))?;
    Ok((SocketFile { path: path.to_owned(), device: found.dev(), inode: found.ino() }, listener))
}

/// Locks a directory until the file is closed.
async fn lock(directory: &Path) -> Result<File, IpcError> {
    let path = || directory.to_owned();
    let failed = |source| IpcError::Io { action: "lock the directory", path: path(), source };
    let file = File::open(directory).map_err(failed)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A file system without locks: two servers that start at the same moment are on their own.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(IpcError::Locked { path: path() });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn refuse_to_replace_more_than_a_stale_socket(path: &Path) -> Result<(), IpcError> {
    let failed = |action, source| IpcError::Io { action, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(IpcError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", error)),
    }
    match UnixStream::connect(path).await {
        // A queue that is full is somebody's.
        Ok(_) => Err(IpcError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(IpcError::InUse { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("find out whether somebody listens on", error)),
    }
}

/// A directory for this user alone, with room for one socket. Dropping it removes both.
#[derive(Debug)]
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn make(parent: &Path) -> io::Result<Self> {
        // Another process of this number may be at work in another pid namespace, or have crashed here.
        let mut taken = None;
        for attempt in 0..16 {
            // The limit for paths counts on these lengths.
            let path = parent.join(format!(".{:x}.{attempt:x}", std::process::id() & 0xff_ffff));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Usually it has been renamed.
        let _ = fs::remove_file(self.socket());
        if let Err(error) = fs::remove_dir(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a private directory cannot be removed");
        }
    }
}
