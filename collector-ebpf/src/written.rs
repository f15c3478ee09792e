//! Several written files closed at once: finding them in a descriptor table, and reporting one after another.

use core::hint::black_box;
use core::ptr::{read_volatile, write_volatile};

use collector_common::{Capture, Kind, LossReason, Table, file_flag};

use crate::kernel::{follow, load, offset, read};
use crate::maps::WRITTEN;
use crate::scratch::FileScratch;
use crate::{emit, file, filter, table, task};

/// Looks at a descriptor, or past 64 closed ones, in one go.
const LOOKS: u32 = 256;
/// Most files reported in one go: the length of `Scratch::pending`.
const PENDING: u32 = 16;

/// Which descriptors of a table to look at.
pub enum Which {
    /// Open ones in `first..=last`.
    Open { first: u32, last: u32 },
    /// Those marked to be closed by an exec.
    ClosedByExec,
}

/// Notes the descriptions that `task` wrote to. Returns how many.
///
/// # Safety
/// `scratch` must be a valid map value, `task` a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn collect(scratch: *mut FileScratch, task: *const u8, which: Which) -> u32 {
    // SAFETY: by the caller's promise; the index is masked to the array.
    unsafe {
        let table = follow(follow(task, offset!(task_files)), offset!(files_fdt));
        let max: u32 = load(table, offset!(fdt_max));
        let (bitmap, first, last) = match which {
            Which::Open { first, last } => (load(table, offset!(fdt_open)), first, last),
            Which::ClosedByExec => (load(table, offset!(fdt_close_on_exec)), 0, u32::MAX),
        };
        let scan = &raw mut (*scratch).scan;
        write_volatile(&raw mut (*scan).array, load(table, offset!(fdt_fd)));
        write_volatile(&raw mut (*scan).bitmap, bitmap);
        write_volatile(&raw mut (*scan).first, first);
        write_volatile(&raw mut (*scan).end, if last < max { last + 1 } else { max });
        write_volatile(&raw mut (*scan).pid, task::tgid(task));
        // Starting at a multiple of 64 keeps the bitmap word and the descriptor in step.
        write_volatile(&raw mut (*scan).fd, first & !63);
        write_volatile(&raw mut (*scratch).pending_len, 0);
        for _ in 0..LOOKS {
            if !step(scratch) {
                break;
            }
        }
        read_volatile(&raw const (*scratch).pending_len)
    }
}

/// Looks at one descriptor; false at the end of the range. All state is in memory, see `scratch`.
#[inline(always)]
unsafe fn step(scratch: *mut FileScratch) -> bool {
    // SAFETY: by the promise to `collect`; the index is masked to the array.
    unsafe {
        let scan = &raw mut (*scratch).scan;
        let fd = read_volatile(&raw const (*scan).fd);
        if fd >= read_volatile(&raw const (*scan).end) {
            return false;
        }
        write_volatile(&raw mut (*scan).fd, fd + 1);
        if fd.is_multiple_of(64) {
            let bitmap = read_volatile(&raw const (*scan).bitmap);
            write_volatile(&raw mut (*scan).word, read(bitmap + u64::from(fd / 8)));
        }
        let word = read_volatile(&raw const (*scan).word);
        if word == 0 {
            // Most processes have a handful of descriptors: on to the next word.
            write_volatile(&raw mut (*scan).fd, (fd | 63) + 1);
            return true;
        }
        write_volatile(&raw mut (*scan).word, word >> 1);
        if word & 1 == 0 || fd < read_volatile(&raw const (*scan).first) {
            return true;
        }
        let description: u64 = read(read_volatile(&raw const (*scan).array) + u64::from(fd) * 8);
        let Some(written) = WRITTEN.get_ptr(description) else { return true };
        if (*written).pid != read_volatile(&raw const (*scan).pid) {
            return true;
        }
        let count = read_volatile(&raw const (*scratch).pending_len);
        if count < PENDING {
            (*scratch).pending[(black_box(count) & (PENDING - 1)) as usize] = description;
            write_volatile(&raw mut (*scratch).pending_len, count + 1);
        } else {
            // No room for its record: the kernel allows 33 tail calls, and each file takes two.
            unseen(description);
        }
        true
    }
}

/// Starts the record of one noted file. Returns whether there is one to finish.
///
/// # Safety
/// As for [`collect`].
#[inline(always)]
pub unsafe fn begin_next(scratch: *mut FileScratch, task: *const u8, flags: u32) -> bool {
    // SAFETY: by the caller's promise; the index is masked to the array.
    unsafe {
        let count = read_volatile(&raw const (*scratch).pending_len);
        if count == 0 || count > PENDING {
            return false;
        }
        let left = black_box(count - 1) & (PENDING - 1);
        write_volatile(&raw mut (*scratch).pending_len, left);
        begin(scratch, task, (*scratch).pending[left as usize], flags)
    }
}

/// Starts the record of what `task` wrote through a description. False if there is nothing to report: of two threads that
/// close at once only one finds the entry.
///
/// # Safety
/// As for [`collect`].
#[inline(always)]
pub unsafe fn begin(scratch: *mut FileScratch, task: *const u8, description: u64, flags: u32) -> bool {
    // SAFETY: by the caller's promise; the entry is copied before it is removed.
    unsafe {
        let Some(entry) = WRITTEN.get_ptr(description) else { return false };
        let written = *entry;
        if !table::forget(Table::Written, &WRITTEN, description) {
            return false;
        }
        let opened = file::look(scratch, description);
        // A description at the address of one whose close nobody saw: what was written is not its.
        let writable = opened.mode & file::FMODE_WRITE != 0 || written.flags & file_flag::TRUNCATED != 0;
        if opened.inode != written.inode || !writable {
            emit::count(Kind::FileModify, LossReason::CloseUnseen);
            return false;
        }
        let wanted = if flags & file_flag::CLOSED_BY_EXIT != 0 {
            filter::wanted_to_the_end(task, Kind::FileModify)
        } else {
            filter::wanted(task, Kind::FileModify)
        };
        if !wanted {
            return false;
        }
        if !file::begin_listed(scratch, Kind::FileModify, Capture::Kernel) {
            return false;
        }
        file::describe(scratch, opened);
        let wire = file::wire(scratch);
        (*wire).flags |= written.flags | flags;
        (*wire).written = written.bytes;
        true
    }
}

/// Empties the list: there is one file, or none.
///
/// # Safety
/// `scratch` must be a valid map value.
#[inline(always)]
pub unsafe fn alone(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise.
    unsafe { write_volatile(&raw mut (*scratch).pending_len, 0) };
}

/// Drops the entry under the address of a description that is new: it belongs to one closed out of sight.
#[inline(always)]
pub fn unseen(description: u64) {
    if table::forget(Table::Written, &WRITTEN, description) {
        emit::count(Kind::FileModify, LossReason::CloseUnseen);
    }
}

/// Whether noted files are left.
///
/// # Safety
/// As for [`collect`].
#[inline(always)]
pub unsafe fn more(scratch: *mut FileScratch) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { read_volatile(&raw const (*scratch).pending_len) != 0 }
}

/// Counts the noted files that will not be reported, and forgets them.
///
/// # Safety
/// As for [`collect`].
#[inline(always)]
pub unsafe fn count_rest(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise; the index is masked to the array.
    unsafe {
        let left = read_volatile(&raw const (*scratch).pending_len);
        for index in 0..PENDING {
            if index < left {
                let description = (*scratch).pending[(black_box(index) & (PENDING - 1)) as usize];
                unseen(description);
            }
        }
    }
}
