//! Several written files closed at once: finding them in a descriptor table, and reporting one after another.

use core::hint::black_box;
use core::ptr::{read_volatile, write_volatile};

use collector_common::{Capture, Kind};

use crate::kernel::{follow, load, offset, read};
use crate::maps::WRITTEN;
use crate::scratch::FileScratch;
use crate::{file, filter, task};

/// Descriptors looked at in one go.
const DESCRIPTORS: u32 = 256;
/// Most files reported in one go: the length of `Scratch::pending`.
const PENDING: u32 = 16;

/// Notes the descriptions in `first..=last` that `task` wrote to. Returns how many.
///
/// # Safety
/// `scratch` must be a valid map value, `task` a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn collect(scratch: *mut FileScratch, task: *const u8, first: u32, last: u32) -> u32 {
    // SAFETY: by the caller's promise; the index is masked to the array.
    unsafe {
        let table = follow(follow(task, offset!(task_files)), offset!(files_fdt));
        let max: u32 = load(table, offset!(fdt_max));
        let array: u64 = load(table, offset!(fdt_fd));
        let bitmap: u64 = load(table, offset!(fdt_open));
        let pid = task::tgid(task);
        write_volatile(&raw mut (*scratch).pending_len, 0);
        // Starting at a multiple of 64 keeps the bitmap word and the descriptor in step.
        let base = first & !63;
        let mut word = 0u64;
        for index in 0..DESCRIPTORS {
            let fd = base + index;
            if fd >= max || fd > last {
                break;
            }
            if index % 64 == 0 {
                word = read(bitmap + u64::from(fd / 8));
            }
            // Most descriptors are closed, most processes have a handful: an empty rest costs little.
            if word == 0 {
                continue;
            }
            let open = word & 1 != 0;
            word >>= 1;
            if !open || fd < first {
                continue;
            }
            let description: u64 = read(array + u64::from(fd) * 8);
            let Some(written) = WRITTEN.get_ptr(description) else { continue };
            if (*written).pid != pid {
                continue;
            }
            let count = read_volatile(&raw const (*scratch).pending_len);
            if count < PENDING {
                (*scratch).pending[(black_box(count) & (PENDING - 1)) as usize] = description;
                write_volatile(&raw mut (*scratch).pending_len, count + 1);
            }
        }
        read_volatile(&raw const (*scratch).pending_len)
    }
}

/// Reports one noted file. Returns how many are left.
///
/// # Safety
/// As for [`collect`].
#[inline(always)]
pub unsafe fn report_one(scratch: *mut FileScratch, task: *const u8, flags: u32) -> u32 {
    // SAFETY: by the caller's promise; the index is masked to the array.
    unsafe {
        let count = read_volatile(&raw const (*scratch).pending_len);
        if count == 0 || count > PENDING {
            return 0;
        }
        let left = black_box(count - 1) & (PENDING - 1);
        write_volatile(&raw mut (*scratch).pending_len, left);
        let description = (*scratch).pending[left as usize];
        if let Some(written) = WRITTEN.get_ptr(description) {
            let written = *written;
            if WRITTEN.remove(description).is_ok() && filter::wanted(task, Kind::FileModify) {
                file::begin_in(scratch, task, Kind::FileModify, Capture::Kernel);
                file::describe(scratch, description);
                let wire = file::wire(scratch);
                (*wire).flags |= written.flags | flags;
                (*wire).written = written.bytes;
                file::finish(scratch);
            }
        }
        left
    }
}
