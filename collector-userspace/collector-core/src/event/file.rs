//! Filesystem events.

use std::sync::Arc;
use std::time::SystemTime;

use super::{EventMeta, ProcessRef, Text};

/// What happened to a file or directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FilesystemEventKind {
    /// It came into being.
    #[default]
    Create,
    /// It was opened for writing.
    Open,
    /// It was closed after being written.
    Modify,
    /// A name of it was removed.
    Delete,
    /// It got another name.
    Rename,
    /// A further name, hard or symbolic, was made.
    Link,
    /// Mode, owner, times or extended attributes changed.
    Attributes,
}

impl FilesystemEventKind {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "file.create",
            Self::Open => "file.open",
            Self::Modify => "file.modify",
            Self::Delete => "file.delete",
            Self::Rename => "file.rename",
            Self::Link => "file.link",
            Self::Attributes => "file.attributes",
        }
    }
}

/// An event about a file or directory.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesystemEvent {
    /// Path after the event, in the mount namespace `mount_ns`.
    pub path: Text,
    /// Path before (rename only).
    pub old_path: Option<Text>,
    /// What a link points to (link only); verbatim for a symbolic link.
    pub target: Option<Text>,
    /// When it happened.
    pub timestamp: SystemTime,
    /// Process that acted.
    pub pid: Option<u32>,
    /// Size in bytes after the event.
    pub size: Option<u64>,
    /// Mode with type bits.
    pub mode: Option<u32>,
    /// Digest of the content, hexadecimal.
    pub file_hash: Option<String>,

    /// What happened.
    pub kind: FilesystemEventKind,
    /// Provenance.
    pub meta: EventMeta,
    /// The process, in short.
    pub process: Option<Arc<ProcessRef>>,
    /// Inode number.
    pub inode: Option<u64>,
    /// Device, as (major, minor).
    pub device: Option<(u32, u32)>,
    /// Mount namespace inode of the process.
    pub mount_ns: Option<u32>,
    /// Owner, as (uid, gid).
    pub owner: Option<(u32, u32)>,
    /// Bytes written through the description that was closed (modify only).
    pub written: Option<u64>,
    /// Words: how it was opened (`write`, `append`, `truncate`), what changed (`mode`, `owner`, `times`, `xattr`), and what is
    /// unusual (`symlink`, `directory`, `mapped`, `unlinked`, `exchange`, `path_truncated`, `name_unreadable`, `closed_by_exit`, `closed_by_exec`).
    pub flags: Vec<&'static str>,
    /// Errno; 0 for success.
    pub result: Option<i32>,
}

impl Default for FilesystemEvent {
    fn default() -> Self {
        Self {
            path: Text::default(),
            old_path: None,
            target: None,
            timestamp: SystemTime::UNIX_EPOCH,
            pid: None,
            size: None,
            mode: None,
            file_hash: None,
            kind: FilesystemEventKind::default(),
            meta: EventMeta::default(),
            process: None,
            inode: None,
            device: None,
            mount_ns: None,
            owner: None,
            written: None,
            flags: Vec::new(),
            result: None,
        }
    }
}
