//! What every record begins with.
//!
//! ```text
//! +--------------+-----------+--------------------+----------------------+
//! | RecordHeader | TaskWire  | rest of XxxWire    | strings, back to back |
//! +--------------+-----------+--------------------+----------------------+
//! 0              32          112                  size_of::<XxxWire>()    RecordHeader::len
//! ```
//! A [`StrRef`] in the fixed part names a range of the record that lies wholly inside the string area.

/// First bytes of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct RecordHeader {
    /// Bytes of the whole record, this header included.
    pub len: u32,
    /// A [`Kind`](crate::Kind) number.
    pub kind: u16,
    /// [`WIRE_VERSION`](crate::WIRE_VERSION) of the program that wrote it.
    pub version: u16,
    /// Processor that ran the probe.
    pub cpu: u32,
    /// A [`Capture`] number.
    pub capture: u32,
    /// Position in this processor's and domain's sequence, counted from 0; advances even when a record is lost.
    pub seq: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds when the probe ran.
    pub ktime_ns: u64,
}

/// Where the content of a record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Capture {
    /// From kernel objects: not open to races by the observed program.
    Kernel = 0,
    /// From a system call's user pointers: the program may have changed them meanwhile.
    Syscall = 1,
}

impl Capture {
    /// The capture with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Kernel),
            1 => Some(Self::Syscall),
            _ => None,
        }
    }
}

/// A range of bytes inside the same record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct StrRef {
    /// Byte offset from the start of the record; 0 means absent.
    pub offset: u32,
    /// Bytes, without a terminator.
    pub len: u32,
}

/// The process that acted, as the kernel knew it at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct TaskWire {
    /// Thread-group id in the initial pid namespace: what users call pid. 0: no process is known.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Thread-group id of the real parent.
    pub ppid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// Real group id in the initial user namespace.
    pub gid: u32,
    /// Bits of [`task_flag`].
    pub flags: u32,
    /// `CLOCK_BOOTTIME` in nanoseconds at which the thread group's leader started.
    pub start_ns: u64,
    /// The kernel's count of exec calls in this line of processes (`self_exec_id`): tells images of one process apart.
    pub image: u64,
    /// Id of the control group (v2, or the memory hierarchy's on a hybrid host). 0: unknown.
    pub cgroup_id: u64,
    /// Inode of the mount namespace.
    pub mnt_ns: u32,
    /// Inode of the network namespace.
    pub net_ns: u32,
    /// Thread name, NUL padded.
    pub comm: [u8; 16],
    /// Offset of the image's stack, random per exec: lets `/proc` and the kernel agree on an image. 0: no memory map.
    pub start_stack: u64,
}

/// Bits of [`TaskWire::flags`].
pub mod task_flag {
    /// A thread of the kernel or one that works for it.
    pub const KERNEL_THREAD: u32 = 1;
    /// The process has set up an io_uring: it can act without system calls.
    pub const IO_URING: u32 = 2;
    /// The process runs in 32-bit compatibility mode.
    pub const COMPAT: u32 = 4;
}
