//! Payloads of the process domain.

use crate::{RecordHeader, StrRef, TaskWire};

/// Credentials, parent and namespaces of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct CredentialsWire {
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Audit login uid; `u32::MAX` when never set.
    pub login_uid: u32,
    /// Audit session id; `u32::MAX` when never set.
    pub session_id: u32,
    /// Effective capability mask.
    pub cap_effective: u64,
    /// Inode of the pid namespace of the process itself.
    pub pid_ns: u32,
    /// Inode of the user namespace of its credentials.
    pub user_ns: u32,
    /// Its pid inside its own pid namespace.
    pub ns_pid: u32,
    /// Depth of that pid namespace; 0 is the initial one.
    pub ns_level: u32,
    /// Start time of the parent's leader, `CLOCK_BOOTTIME` nanoseconds.
    pub parent_start_ns: u64,
    /// The parent's [`TaskWire::image`].
    pub parent_image: u64,
}

/// `process.exec`: the image of a process was replaced; failed attempts never get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ExecWire {
    /// Kind, sequence, time.
    pub header: RecordHeader,
    /// The process after the exec.
    pub task: TaskWire,
    /// Its credentials after the exec.
    pub credentials: CredentialsWire,
    /// Bits of [`exec_flag`].
    pub flags: u32,
    /// Arguments the kernel counted.
    pub argc: u32,
    /// Bytes of the whole argument vector, terminators included, before any cut.
    pub argv_len: u64,
    /// Thread id that called exec; differs from pid for a non-leader thread.
    pub old_tid: u32,
    /// Mode bits of the executable.
    pub exe_mode: u32,
    /// Inode number of the executable.
    pub exe_inode: u64,
    /// Device of the executable, kernel encoding (major << 20 | minor).
    pub exe_device: u32,
    /// Hard links to the executable; 0: it has no name any more.
    pub exe_nlink: u32,
    /// The argument vector: NUL-terminated strings back to back, as they lay in memory.
    pub argv: StrRef,
    /// Path of the executable in its mount namespace.
    pub exe: StrRef,
    /// Current directory in its mount namespace.
    pub cwd: StrRef,
    /// Path as given to exec.
    pub filename: StrRef,
    /// Interpreter the kernel chose; differs from `filename` for scripts.
    pub interp: StrRef,
    /// Control group names from the leaf upward, each followed by `/`.
    pub cgroup: StrRef,
}

/// Bits of [`ExecWire::flags`].
pub mod exec_flag {
    /// `argv` is shorter than `argv_len`.
    pub const ARGV_TRUNCATED: u32 = 1;
    /// The argument memory could not be read in full (paged out).
    pub const ARGV_FAULT: u32 = 2;
    /// The path of the executable lost its beginning.
    pub const EXE_TRUNCATED: u32 = 4;
    /// The current directory lost its beginning.
    pub const CWD_TRUNCATED: u32 = 8;
    /// Credentials were raised by the file (setuid, setgid, file capabilities).
    pub const SECURE: u32 = 16;
    /// The executable lives on a mount only the kernel sees (memfd).
    pub const INTERNAL_MOUNT: u32 = 32;
}

/// `process.fork`: a new process. `task` is the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ForkWire {
    /// Kind, sequence, time.
    pub header: RecordHeader,
    /// The child.
    pub task: TaskWire,
    /// The child's credentials.
    pub credentials: CredentialsWire,
}

/// `process.exit`: the last thread of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ExitWire {
    /// Kind, sequence, time.
    pub header: RecordHeader,
    /// The process; `start_stack` is 0, its memory is gone.
    pub task: TaskWire,
    /// Wait status: exit code << 8 | core flag (128) | signal.
    pub status: u32,
    /// Audit login uid; `u32::MAX` when never set.
    pub login_uid: u32,
    /// Audit session id; `u32::MAX` when never set.
    pub session_id: u32,
    /// Effective user id.
    pub euid: u32,
}
