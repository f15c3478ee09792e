//! The processes that were there before capture began.

use collector_core::{Namespaces, Text};

pub use super::procfs::Procfs;

/// What `/proc` shows of one process. What could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// When it was read, `CLOCK_BOOTTIME` nanoseconds.
    pub seen_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Process id of the parent; 0: none.
    pub ppid: u32,
    /// Start tick of the parent.
    pub parent_start_ticks: Option<u64>,
    /// Start tick (field 22 of `stat`).
    pub start_ticks: u64,
    /// Place of the stack (field 28 of `stat`); 0: none, or not ours to see.
    pub start_stack: u64,
    /// Name.
    pub comm: Box<[u8]>,
    /// Path of the executable as the link shows it, without the mark of a deleted one.
    pub exe: Option<Box<[u8]>>,
    /// The executable has no name any more.
    pub exe_deleted: bool,
    /// Arguments, each followed by NUL.
    pub argv: Box<[u8]>,
    /// There were more arguments than were read.
    pub argv_truncated: bool,
    /// Current directory.
    pub cwd: Option<Box<[u8]>>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Real group id.
    pub gid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Effective group id.
    pub egid: Option<u32>,
    /// Audit login uid.
    pub login_uid: Option<u32>,
    /// Audit session id.
    pub session_id: Option<u32>,
    /// Namespaces; 0: unknown.
    pub namespaces: Namespaces,
    /// Pid inside its own pid namespace, where that is not the reader's.
    pub pid_in_namespace: Option<u32>,
    /// Effective capabilities.
    pub capabilities: Option<u64>,
    /// Control group path.
    pub cgroup: Option<Box<[u8]>>,
    /// Control group id.
    pub cgroup_id: Option<u64>,
    /// A thread of the kernel.
    pub kernel_thread: bool,
}

impl SnapshotEntry {
    /// Path of the executable as events name it: `memfd:name` for one that lives in memory alone.
    #[must_use]
    pub fn executable(&self) -> Option<Text> {
        let exe = self.exe.as_deref()?;
        Some(Text::from(if self.is_memfd() { exe.get(1..).unwrap_or(exe) } else { exe }))
    }

    /// Whether the executable lives in memory alone.
    #[must_use]
    pub fn is_memfd(&self) -> bool {
        self.exe_deleted && self.exe.as_deref().is_some_and(|exe| exe.starts_with(b"/memfd:"))
    }
}
