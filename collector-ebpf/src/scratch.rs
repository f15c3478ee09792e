//! Per-processor buffers in which records with paths are built.
//!
//! Loop state lives here too: in registers it would make the verifier follow every combination of values,
//! in memory it forgets them and a loop costs the same per step.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use aya_ebpf::maps::Array;
use collector_common::{PATH_MAX, StrRef};

/// Longest name of one path component.
pub const NAME_MAX: usize = 256;

/// A path to resolve.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Slot {
    /// `struct dentry *`; 0: nothing to resolve.
    pub dentry: u64,
    /// `struct vfsmount *`.
    pub mnt: u64,
}

/// Working state of a walk.
#[repr(C)]
pub struct Walk {
    pub dentry: u64,
    pub mnt: u64,
    /// Root dentry of `mnt`.
    pub root: u64,
    /// First used byte of the path buffer; it fills from its end.
    pub pos: u32,
    /// One of the constants of `path`.
    pub state: u32,
    /// Slot being resolved; those before it are done.
    pub slot: u32,
    /// A bit per slot whose path lost its beginning.
    pub truncated: u32,
    /// Runs that ended with steps left.
    pub runs: u64,
    /// Paths of the slots that are done.
    pub found: [StrRef; 2],
}

/// Working state of a search through a descriptor table.
#[repr(C)]
pub struct Scan {
    /// `struct file **`.
    pub array: u64,
    /// Bitmap of open descriptors.
    pub bitmap: u64,
    /// Bits of the bitmap from `fd` on.
    pub word: u64,
    pub fd: u32,
    pub first: u32,
    /// One past the last descriptor.
    pub end: u32,
    pub pid: u32,
}

/// Bytes at the beginning of a kernel object that are read at once; fields beyond cost a read each.
pub const HEAD: usize = 128;

/// See [`HEAD`].
#[repr(C, align(8))]
pub struct Head(pub [u8; HEAD]);

/// Buffer with room for a record whose variable part starts below `LIMIT`.
///
/// Writes of up to `PATH_MAX` bytes go to `record[pos & (LIMIT - 1)..]`, so the last of them still fits.
#[repr(C)]
pub struct Scratch<const SIZE: usize> {
    pub slots: [Slot; 2],
    pub walk: Walk,
    pub scan: Scan,
    /// The beginnings of a `struct file` and its inode, read in one go each.
    pub file: Head,
    pub inode: Head,
    /// Programs at kernel functions that use this buffer or found it in use; zero: it is free.
    pub users: u64,
    /// Its index among the buffers of such programs.
    pub index: u32,
    pub padding: u32,
    /// Bytes of `record` in use.
    pub len: u32,
    /// Number of file descriptions in `pending` (process exit).
    pub pending_len: u32,
    /// File descriptions with unreported writes.
    pub pending: [u64; 16],
    /// Path buffer, filled from the end.
    pub path: [u8; PATH_MAX + NAME_MAX],
    pub record: [u8; SIZE],
}

/// Where exec records may begin their last write.
pub const EXEC_LIMIT: usize = 64 * 1024;
/// Where file records may begin their last write: behind the fixed part and three full paths.
pub const FILE_LIMIT: usize = 16 * 1024;

pub type ExecScratch = Scratch<{ EXEC_LIMIT + PATH_MAX }>;
pub type FileScratch = Scratch<{ FILE_LIMIT + PATH_MAX }>;

impl<const SIZE: usize> Scratch<SIZE> {
    /// This processor's buffer.
    #[inline(always)]
    pub fn get(map: &Array<Self>) -> Option<*mut Self> {
        // SAFETY: the helper has no preconditions.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        map.get_ptr_mut(cpu)
    }
}
