//! Payload of the file domain.

use crate::{RecordHeader, StrRef, TaskWire};

/// One file event.
///
/// A path is `base` joined with `name`: with [`Capture::Kernel`](crate::Capture) the base is the whole resolved
/// path and the name is absent; with `Capture::Syscall` the base is the resolved directory the call started
/// from and the name is what the program gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct FileWire {
    /// Kind, sequence, time.
    pub header: RecordHeader,
    /// The process that acted.
    pub task: TaskWire,
    /// Bits of [`file_flag`].
    pub flags: u32,
    /// `open(2)` flags, or the flags argument of the call.
    pub open_flags: u32,
    /// Inode number; 0: unknown.
    pub inode: u64,
    /// Size in bytes after the operation.
    pub size: u64,
    /// Bytes written through this description (modify).
    pub written: u64,
    /// Device, kernel encoding (major << 20 | minor); 0: unknown.
    pub device: u32,
    /// Mode with type bits; 0: unknown.
    pub mode: u32,
    /// Owner; `u32::MAX`: unknown.
    pub owner_uid: u32,
    /// Group; `u32::MAX`: unknown.
    pub owner_gid: u32,
    /// Directory or whole path the event is about (for rename and link: the new name).
    pub base: StrRef,
    /// Name given by the program, relative to `base` or, when it begins with `/`, to the process's root.
    pub name: StrRef,
    /// Base of the old name (rename) or of the link's target.
    pub old_base: StrRef,
    /// Old name (rename), or target (link).
    pub old_name: StrRef,
}

/// Bits of [`FileWire::flags`].
pub mod file_flag {
    /// `base` lost its beginning.
    pub const BASE_TRUNCATED: u32 = 1;
    /// `old_base` lost its beginning.
    pub const OLD_BASE_TRUNCATED: u32 = 2;
    /// A name could not be read from user memory, or was cut.
    pub const NAME_FAULT: u32 = 4;
    /// The name of a symbolic link's target is `old_name` alone, verbatim.
    pub const SYMLINK: u32 = 8;
    /// Removed or made a directory.
    pub const DIRECTORY: u32 = 16;
    /// Written through a shared mapping: how much is unknown.
    pub const MAPPED: u32 = 32;
    /// The file had no name when the event happened.
    pub const UNLINKED: u32 = 64;
    /// The mode changed.
    pub const MODE_CHANGED: u32 = 128;
    /// Owner or group changed.
    pub const OWNER_CHANGED: u32 = 256;
    /// Times were set by hand.
    pub const TIMES_CHANGED: u32 = 512;
    /// An extended attribute was set or removed.
    pub const XATTR_CHANGED: u32 = 1024;
    /// Names were exchanged (`RENAME_EXCHANGE`).
    pub const EXCHANGED: u32 = 2048;
    /// The description was still open when the process ended; the kernel closed it.
    pub const CLOSED_BY_EXIT: u32 = 4096;
    /// The open emptied the file (`O_TRUNC`), or a truncate call did.
    pub const TRUNCATED: u32 = 8192;
    /// An exec closed the description (close-on-exec).
    pub const CLOSED_BY_EXEC: u32 = 16384;
    /// Written in a way that does not tell how much (io_uring, 32-bit programs).
    pub const UNCOUNTED: u32 = 32768;
}
