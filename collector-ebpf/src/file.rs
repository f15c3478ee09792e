//! Building file records: descriptors to objects, objects to fields, names from user memory.

use core::mem::offset_of;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, FileWire, Kind, RecordHeader, StrRef, file_flag};

use crate::emit;
use crate::kernel::{follow, head_field, load, offset, read, read_at, read_head};
use crate::path;
use crate::scratch::{FileScratch, Slot};
use crate::task;

pub const AT_FDCWD: i32 = -100;
/// The description was opened for writing.
pub const FMODE_WRITE: u32 = 0x2;
/// `vfsmount.mnt_flags`: mounted by the kernel for itself.
pub const MNT_INTERNAL: u32 = 0x4000;
pub const S_IFMT: u16 = 0o170_000;
pub const S_IFREG: u16 = 0o100_000;
pub const S_IFBLK: u16 = 0o060_000;

/// The description behind a descriptor of `task`, as an untyped address; 0 if there is none.
///
/// # Safety
/// `task` must be a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn description(task: *const u8, fd: i32) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe {
        let table = follow(follow(task, offset!(task_files)), offset!(files_fdt));
        let max: u32 = load(table, offset!(fdt_max));
        if fd < 0 || fd as u32 >= max {
            return 0;
        }
        let array: u64 = load(table, offset!(fdt_fd));
        read(array + fd as u64 * 8)
    }
}

/// Mode of the file behind a description, type bits included.
#[inline(always)]
pub fn mode_of(description: u64) -> u16 {
    let inode: u64 = read_at(description, offset!(file_inode));
    read_at(inode, offset!(inode_mode))
}

/// Whether writes to it are worth an event: regular files and block devices.
#[inline(always)]
pub const fn is_storage(mode: u16) -> bool {
    matches!(mode & S_IFMT, S_IFREG | S_IFBLK)
}

/// Whether a description is of something in a file system, or at least of storage: not of a pipe or a socket.
#[inline(always)]
pub fn has_place(opened: Opened) -> bool {
    is_storage(opened.inode_mode)
        || read_at::<u32>(opened.path.mnt, offset!(vfsmount_flags)) & MNT_INTERNAL == 0
}

/// Starts a record of `kind`. The header is complete but for its length. False if there is no number for it.
///
/// # Safety
/// `scratch` must be a valid map value.
#[inline(always)]
#[must_use]
pub unsafe fn begin(scratch: *mut FileScratch, kind: Kind, capture: Capture) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        // One record, no list to go on with.
        write_volatile(&raw mut (*scratch).pending_len, 0);
        begin_listed(scratch, kind, capture)
    }
}

/// [`begin`] for one of several records: the list of the others stays.
///
/// # Safety
/// As for [`begin`].
#[inline(always)]
#[must_use]
pub unsafe fn begin_listed(scratch: *mut FileScratch, kind: Kind, capture: Capture) -> bool {
    // SAFETY: by the caller's promise; the record buffer is larger than the fixed part.
    unsafe {
        let wire = wire(scratch);
        let Some(header) = emit::header(kind, capture, 0) else { return false };
        (*wire).header = header;
        (*wire).flags = 0;
        (*wire).open_flags = 0;
        (*wire).inode = 0;
        (*wire).size = 0;
        (*wire).written = 0;
        (*wire).device = 0;
        (*wire).mode = 0;
        (*wire).owner_uid = u32::MAX;
        (*wire).owner_gid = u32::MAX;
        (*wire).base = StrRef { offset: 0, len: 0 };
        (*wire).name = StrRef { offset: 0, len: 0 };
        (*wire).old_base = StrRef { offset: 0, len: 0 };
        (*wire).old_name = StrRef { offset: 0, len: 0 };
        path::prepare(scratch);
        write_volatile(&raw mut (*scratch).len, size_of::<FileWire>() as u32);
        true
    }
}

/// The record under construction.
#[inline(always)]
pub const fn wire(scratch: *mut FileScratch) -> *mut FileWire {
    // SAFETY: only the address is taken; the buffer is inside the value and 8-byte aligned.
    unsafe { (&raw mut (*scratch).record).cast() }
}

const _: () = assert!(offset_of!(FileScratch, record) % 8 == 0);

/// What an open description says.
#[derive(Clone, Copy)]
pub struct Opened {
    /// Mode of the description (`FMODE_…`).
    pub mode: u32,
    /// Flags of the open call.
    pub flags: u32,
    /// Address of the inode.
    pub inode: u64,
    /// Mode of the inode, type bits included.
    pub inode_mode: u16,
    /// Path.
    pub path: Slot,
}

/// Reads a description and the beginning of its inode.
///
/// # Safety
/// `scratch` must be a valid map value.
#[inline(always)]
pub unsafe fn look(scratch: *mut FileScratch, description: u64) -> Opened {
    // SAFETY: by the caller's promise.
    unsafe {
        let file = &raw mut (*scratch).file;
        read_head(file, description);
        let inode: u64 = head_field(file, description, offset!(file_inode));
        let head = &raw mut (*scratch).inode;
        read_head(head, inode);
        Opened {
            mode: head_field(file, description, offset!(file_mode)),
            flags: head_field(file, description, offset!(file_flags)),
            inode,
            inode_mode: head_field(head, inode, offset!(inode_mode)),
            path: Slot {
                dentry: head_field(file, description, offset!(file_dentry)),
                mnt: head_field(file, description, offset!(file_mnt)),
            },
        }
    }
}

/// Fills in what [`look`] found, and marks the path for resolution.
///
/// # Safety
/// `scratch` must be a valid map value begun with [`begin`], and [`look`] the last that used it.
#[inline(always)]
pub unsafe fn describe(scratch: *mut FileScratch, opened: Opened) {
    // SAFETY: by the caller's promise.
    unsafe {
        let wire = wire(scratch);
        let (head, inode) = (&raw const (*scratch).inode, opened.inode);
        (*wire).open_flags = opened.flags;
        (*wire).inode = head_field(head, inode, offset!(inode_ino));
        (*wire).size = head_field(head, inode, offset!(inode_size));
        (*wire).mode = u32::from(opened.inode_mode);
        (*wire).owner_uid = head_field(head, inode, offset!(inode_uid));
        (*wire).owner_gid = head_field(head, inode, offset!(inode_gid));
        let sb: u64 = head_field(head, inode, offset!(inode_sb));
        (*wire).device = read_at(sb, offset!(sb_dev));
        if head_field::<u32>(head, inode, offset!(inode_nlink)) == 0 {
            (*wire).flags |= file_flag::UNLINKED;
        }
        (*scratch).slots[0] = opened.path;
    }
}

/// The path of a description, to be resolved.
#[inline(always)]
pub fn path_of(description: u64) -> Slot {
    Slot { dentry: read_at(description, offset!(file_dentry)), mnt: read_at(description, offset!(file_mnt)) }
}

/// Appends a name from user memory and marks the directory it is relative to for resolution.
///
/// # Safety
/// As for [`describe`]; `task` must be a typed `task_struct` pointer, `slot` below 2.
#[inline(always)]
pub unsafe fn name_at(
    scratch: *mut FileScratch,
    task: *const u8,
    slot: usize,
    dirfd: i32,
    name: u64,
) -> StrRef {
    // SAFETY: by the caller's promise.
    unsafe {
        let text = path::append_user_str(scratch, name);
        if text.offset == 0 {
            (*wire(scratch)).flags |= file_flag::NAME_FAULT;
        }
        let record = (&raw const (*scratch).record).cast::<u8>();
        let at = core::hint::black_box(text.offset as usize) & (crate::scratch::FILE_LIMIT - 1);
        let absolute = text.len > 0 && read_volatile(record.add(at)) == b'/';
        let fs = follow(task, offset!(task_fs));
        (*scratch).slots[slot] = if absolute {
            Slot { dentry: load(fs, offset!(fs_root_dentry)), mnt: load(fs, offset!(fs_root_mnt)) }
        } else if dirfd == AT_FDCWD {
            Slot { dentry: load(fs, offset!(fs_pwd_dentry)), mnt: load(fs, offset!(fs_pwd_mnt)) }
        } else {
            path_of(description(task, dirfd))
        };
        text
    }
}

/// Last stage: resolves the marked paths and sends the record. `stages` and `own` name the program this runs in, which
/// is called again for deep paths.
///
/// # Safety
/// As for [`describe`]; the program must be of the tracepoint of `ctx`.
#[inline(always)]
pub unsafe fn finish(ctx: &BtfTracePointContext, scratch: *mut FileScratch, stages: &ProgramArray, own: u32) {
    // SAFETY: by the caller's promise.
    unsafe {
        if !path::resolve(scratch) {
            stages.tail_call(ctx, own);
            path::give_up(scratch);
        }
        complete(scratch);
    }
}

/// Adds who acted and the paths that were found, and sends the record.
///
/// # Safety
/// As for [`describe`].
#[inline(always)]
pub unsafe fn complete(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise.
    unsafe {
        let (base, whole) = path::found(scratch, 0);
        let (old_base, old_whole) = path::found(scratch, 1);
        let wire = wire(scratch);
        // Here rather than in each first stage: the verifier searches the kernel's whole BTF for every pointer
        // followed, some 100 µs each, and there are dozens of first stages.
        task::fill(task::current(), &raw mut (*wire).task);
        (*wire).base = base;
        (*wire).old_base = old_base;
        if !whole {
            (*wire).flags |= file_flag::BASE_TRUNCATED;
        }
        if !old_whole {
            (*wire).flags |= file_flag::OLD_BASE_TRUNCATED;
        }
        if let Some(kind) = kind_of(scratch) {
            emit::built(scratch, kind);
        }
    }
}

/// Counts a record whose second stage could not be called.
///
/// # Safety
/// As for [`describe`].
#[inline(always)]
pub unsafe fn stage_failed(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise.
    if let Some(kind) = unsafe { kind_of(scratch) } {
        emit::count(kind, collector_common::LossReason::StageFailed);
    }
}

#[inline(always)]
unsafe fn kind_of(scratch: *mut FileScratch) -> Option<Kind> {
    // SAFETY: by the caller's promise.
    let header: RecordHeader = unsafe { (*wire(scratch)).header };
    Kind::try_from(header.kind).ok()
}
