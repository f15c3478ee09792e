//! Opening a file that somebody else named, and knowing it again.
//!
//! The path comes from an event or a request, so what lies there may be hostile: a fifo that blocks whoever opens it,
//! a link to something else, a device that acts when it is opened, or a file that is replaced between two looks.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::HashError;

/// What tells one content of one file from another, as far as the system knows without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
    /// Absent where std does not tell inodes.
    pub(super) key: Option<FileKey>,
    links: u64,
}

impl Facts {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            key: key(metadata),
            links: links(metadata),
        }
    }

    /// Whether `later` facts of the same descriptor can stand for the same content.
    ///
    /// The change time counts too, because whoever writes can set the modification time back. It moves as well when the
    /// file loses a name, and a program that deletes itself while it is hashed must not get away without a digest.
    pub(super) fn same_content(&self, later: &Self) -> bool {
        let changed = match (self.key, later.key) {
            (Some(before), Some(after)) => before.changed_ns != after.changed_ns && later.links >= self.links,
            _ => false,
        };
        self.size == later.size && self.modified == later.modified && !changed
    }

    /// Whether the last change is so long before `now` that a further one must show in the times.
    pub(super) fn settled(&self, now: SystemTime, settle_time: Duration) -> bool {
        let Some(key) = self.key else { return false };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let age = now - key.changed_ns.max(key.modified_ns);
        age >= settle_time.as_nanos() as i128
    }
}

/// Opens a regular file for reading, without following a link in the last part of the path and without ever waiting.
pub(super) fn open(path: &Path) -> Result<(File, Facts), HashError> {
    // Opening a device can rewind a tape; so look before. What counts is what the descriptor says afterwards.
    let before = std::fs::symlink_metadata(path).map_err(|error| HashError::io(path, &error))?;
    refuse_irregular(path, before.file_type())?;
    let file = match open_flags().open(path) {
        Ok(file) => file,
        Err(error) => {
            // It may have become a link or a socket in the meantime, which says more than the error number.
            if let Ok(now) = std::fs::symlink_metadata(path) {
                refuse_irregular(path, now.file_type())?;
            }
            return Err(HashError::io(path, &error));
        }
    };
    let opened = file.metadata().map_err(|error| HashError::io(path, &error))?;
    refuse_irregular(path, opened.file_type())?;
    Ok((file, Facts::of(&opened)))
}

/// The facts of the open file as they are now.
pub(super) fn facts_now(file: &File) -> io::Result<Facts> {
    Ok(Facts::of(&file.metadata()?))
}

/// Whether the path leads to another file than the one with these facts. A path that leads nowhere is not another file.
pub(super) fn replaced(path: &Path, facts: &Facts) -> bool {
    let now = std::fs::symlink_metadata(path).ok().and_then(|metadata| key(&metadata));
    match (facts.key, now) {
        (Some(open), Some(now)) => (open.device, open.inode) != (now.device, now.inode),
        _ => false,
    }
}

fn refuse_irregular(path: &Path, file_type: FileType) -> Result<(), HashError> {
    if file_type.is_file() {
        return Ok(());
    }
    Err(HashError::NotRegular { path: path.to_owned(), kind: kind_name(file_type) })
}

#[cfg(unix)]
pub(super) fn open_flags() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = OpenOptions::new();
    // O_NONBLOCK: a fifo without a writer opens at once. O_NOCTTY: a terminal does not become ours. std sets O_CLOEXEC.
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}

#[cfg(not(unix))]
pub(super) fn open_flags() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    options
}

#[cfg(unix)]
fn kind_name(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;

    if file_type.is_dir() {
        "directory"
    } else if file_type.is_symlink() {
        "symbolic link"
    } else if file_type.is_fifo() {
        "fifo"
    } else if file_type.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn kind_name(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "directory"
    } else if file_type.is_symlink() {
        "symbolic link"
    } else {
        "special file"
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no key")]
fn key(metadata: &Metadata) -> Option<FileKey> {
    use std::os::unix::fs::MetadataExt as _;

    let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Some(FileKey {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(not(unix))]
fn key(_: &Metadata) -> Option<FileKey> {
    None
}

#[cfg(unix)]
fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn links(_: &Metadata) -> u64 {
    0
}
