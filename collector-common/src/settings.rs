//! Read-only globals of the kernel programs, set by userspace before they are loaded: the verifier takes them
//! for constants and removes what is switched off.

/// Filters and switches.
///
/// With [`filter_flag::CGROUP`] descendants of the control group pass as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Settings {
    /// A bit per kind that is wanted, see [`Kind::bit`](crate::Kind::bit).
    pub kinds: u64,
    /// Only this control group's processes, with [`filter_flag::CGROUP`].
    pub cgroup_id: u64,
    /// Only this real user's processes, with [`filter_flag::UID`].
    pub uid: u32,
    /// Bits of [`filter_flag`].
    pub filters: u32,
    /// The agent: its own network and file operations are counted, not sent.
    pub own_pid: u32,
    /// Bytes of an argument vector to keep, at most [`ARGV_MAX`](crate::ARGV_MAX).
    pub argv_max: u32,
}

/// Bits of [`Settings::filters`].
pub mod filter_flag {
    /// Only processes listed in the pid map, and their descendants.
    pub const PIDS: u32 = 1;
    /// Only processes of one control group.
    pub const CGROUP: u32 = 2;
    /// Only processes of one user.
    pub const UID: u32 = 4;
    /// Not a filter: control groups are those of the v1 memory hierarchy, because the v2 one is not in use.
    pub const CGROUP_V1: u32 = 8;
    /// Not a filter: `sched_process_exit` says whether the whole process ends (6.16 on).
    pub const GROUP_DEAD: u32 = 16;
    /// Not a filter: the results of connect calls are looked at, so that a socket that gives up inside its call need not be.
    pub const CONNECT_RESULT: u32 = 32;
}
