//! Paths from dentries and mounts, and strings into records.

use core::hint::black_box;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user_str,
};
use collector_common::{PATH_MAX, StrRef};

use crate::kernel::{offset, read_at};
use crate::scratch::{NAME_MAX, Scratch};

/// Components and mount crossings followed in one run of a program. Paths that need more go on in another run, which
/// keeps the verifier's work small; the kernel allows 33 runs in a row.
const STEPS: u32 = 16;

/// Runs after which the first path is given up, so that a deep one leaves as much for the second.
const FIRST_RUNS: u64 = 16;

/// Not begun.
const IDLE: u32 = 0;
/// Going on.
const WALKING: u32 = 1;
/// At the root.
const WHOLE: u32 = 2;
/// Given up: the beginning is missing.
const CUT: u32 = 3;

/// What three words at `dentry.d_parent` hold on every kernel from 5.10 on; the loader checks the offsets.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct DentryHead {
    parent: u64,
    hash: u32,
    len: u32,
    name: u64,
}

/// Makes ready to resolve the slots, which may be filled in later.
///
/// # Safety
/// `scratch` must be a valid map value; so for every function of this file.
#[inline(always)]
pub unsafe fn prepare<const SIZE: usize>(scratch: *mut Scratch<SIZE>) {
    // SAFETY: by the caller's promise.
    unsafe {
        (*scratch).slots[0].dentry = 0;
        (*scratch).slots[1].dentry = 0;
        let walk = &raw mut (*scratch).walk;
        write_volatile(&raw mut (*walk).slot, 0);
        write_volatile(&raw mut (*walk).state, IDLE);
        write_volatile(&raw mut (*walk).truncated, 0);
        write_volatile(&raw mut (*walk).runs, 0);
        (*walk).found = [StrRef { offset: 0, len: 0 }; 2];
    }
}

/// Resolves the slots and appends their paths to the record. False when steps are left: run again.
///
/// # Safety
/// See [`prepare`], which comes first.
#[inline(always)]
pub unsafe fn resolve<const SIZE: usize>(scratch: *mut Scratch<SIZE>) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        for index in 0..2 {
            if read_volatile(&raw const (*walk).slot) != index {
                continue;
            }
            if !advance(scratch, index as usize) {
                return false;
            }
            write_volatile(&raw mut (*walk).slot, index + 1);
            write_volatile(&raw mut (*walk).state, IDLE);
        }
        true
    }
}

/// Ends the walk where it is, when there can be no further run.
///
/// # Safety
/// See [`prepare`].
#[inline(always)]
pub unsafe fn give_up<const SIZE: usize>(scratch: *mut Scratch<SIZE>) {
    // SAFETY: by the caller's promise.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let index = read_volatile(&raw const (*walk).slot) & 1;
        (*walk).truncated |= 1 << index;
        (*walk).found[index as usize] = append_walked(scratch);
    }
}

/// A path that [`resolve`] found, and whether it is whole.
///
/// # Safety
/// See [`prepare`].
#[inline(always)]
pub unsafe fn found<const SIZE: usize>(scratch: *const Scratch<SIZE>, index: usize) -> (StrRef, bool) {
    // SAFETY: by the caller's promise.
    unsafe { ((*scratch).walk.found[index], (*scratch).walk.truncated >> index & 1 == 0) }
}

/// Begins the walk of a slot; false when there is nothing to resolve.
///
/// # Safety
/// See [`prepare`]; `slot` must be below 2.
#[inline(always)]
pub unsafe fn start<const SIZE: usize>(scratch: *mut Scratch<SIZE>, slot: usize) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        let place = (*scratch).slots[slot];
        if place.dentry == 0 {
            return false;
        }
        let walk = &raw mut (*scratch).walk;
        write_volatile(&raw mut (*walk).dentry, place.dentry);
        write_volatile(&raw mut (*walk).mnt, place.mnt);
        write_volatile(&raw mut (*walk).root, read_at(place.mnt, offset!(vfsmount_root)));
        write_volatile(&raw mut (*walk).pos, PATH_MAX as u32);
        write_volatile(&raw mut (*walk).state, WALKING);
        true
    }
}

/// Takes some steps of a walk. False when it has ended.
///
/// # Safety
/// See [`prepare`]; [`start`] comes first.
#[inline(always)]
pub unsafe fn walk<const SIZE: usize>(scratch: *mut Scratch<SIZE>, steps: u32) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        for _ in 0..steps {
            step(scratch);
            if read_volatile(&raw const (*scratch).walk.state) != WALKING {
                return false;
            }
        }
        true
    }
}

/// Appends what the walk of a slot has found.
///
/// # Safety
/// As for [`walk`].
#[inline(always)]
pub unsafe fn end<const SIZE: usize>(scratch: *mut Scratch<SIZE>, slot: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        if read_volatile(&raw const (*walk).state) != WHOLE {
            (*walk).truncated |= 1 << slot;
        }
        (*walk).found[slot] = append_walked(scratch);
    }
}

/// Goes on with one slot; true when it is done.
#[inline(always)]
unsafe fn advance<const SIZE: usize>(scratch: *mut Scratch<SIZE>, index: usize) -> bool {
    // SAFETY: by the caller's promise. All accesses stay inside the value: constant field offsets, and indices
    // masked to the sizes of their arrays. Volatile keeps loop state in memory.
    unsafe {
        let walk_state = &raw mut (*scratch).walk;
        if read_volatile(&raw const (*walk_state).state) == IDLE && !start(scratch, index) {
            return true;
        }
        if walk(scratch, STEPS) {
            let runs = read_volatile(&raw const (*walk_state).runs);
            write_volatile(&raw mut (*walk_state).runs, runs + 1);
            if index != 0 || runs < FIRST_RUNS {
                return false;
            }
        }
        end(scratch, index);
        true
    }
}

/// Copies what the walk has built to the end of the record.
#[inline(always)]
unsafe fn append_walked<const SIZE: usize>(scratch: *mut Scratch<SIZE>) -> StrRef {
    // SAFETY: as in `advance`.
    unsafe {
        let mut pos = read_volatile(&raw const (*scratch).walk.pos) as usize;
        if pos >= PATH_MAX {
            // The root directory itself.
            pos = PATH_MAX - 1;
            (*scratch).path[PATH_MAX - 1] = b'/';
        }
        let pos = black_box(pos) & (PATH_MAX - 1);
        append_kernel(scratch, (&raw const (*scratch).path).cast::<u8>().add(pos), PATH_MAX - pos)
    }
}

/// One component or one mount crossing.
#[inline(always)]
unsafe fn step<const SIZE: usize>(scratch: *mut Scratch<SIZE>) {
    // SAFETY: as in `advance`.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let dentry = read_volatile(&raw const (*walk).dentry);
        if dentry == read_volatile(&raw const (*walk).root) {
            let mnt = read_volatile(&raw const (*walk).mnt);
            let mount = mnt.wrapping_sub(offset!(mount_mnt) as u64);
            let parent: u64 = read_at(mount, offset!(mount_parent));
            if parent == mount || parent == 0 {
                write_volatile(&raw mut (*walk).state, WHOLE);
                return;
            }
            let mnt = parent.wrapping_add(offset!(mount_mnt) as u64);
            write_volatile(&raw mut (*walk).dentry, read_at(mount, offset!(mount_mountpoint)));
            write_volatile(&raw mut (*walk).mnt, mnt);
            write_volatile(&raw mut (*walk).root, read_at(mnt, offset!(vfsmount_root)));
            return;
        }
        let head: DentryHead = read_at(dentry, offset!(dentry_parent));
        let len = head.len as usize;
        let pos = read_volatile(&raw const (*walk).pos) as usize;
        if head.parent == 0 || len >= NAME_MAX || len + 1 > pos || pos > PATH_MAX {
            write_volatile(&raw mut (*walk).state, CUT);
            return;
        }
        if len == 0 {
            // Only what no directory holds has no name, a pipe for example. Masked, the position of an empty name would be
            // the beginning of the buffer, with all that other paths have left there.
            write_volatile(&raw mut (*walk).state, CUT);
            return;
        }
        let start = black_box(pos - len) & (PATH_MAX - 1);
        let len = black_box(len) & (NAME_MAX - 1);
        let buffer = (&raw mut (*scratch).path).cast::<u8>();
        if bpf_probe_read_kernel(buffer.add(start).cast(), len as u32, head.name as *const _) < 0 {
            write_volatile(&raw mut (*walk).state, CUT);
            return;
        }
        if head.parent == dentry {
            // Not below the root of its mount: an object of a file system only the kernel mounts (memfd, pipe).
            write_volatile(&raw mut (*walk).pos, start as u32);
            write_volatile(&raw mut (*walk).state, WHOLE);
            return;
        }
        let slash = black_box(pos - len - 1) & (PATH_MAX - 1);
        *buffer.add(slash) = b'/';
        write_volatile(&raw mut (*walk).pos, slash as u32);
        write_volatile(&raw mut (*walk).dentry, head.parent);
    }
}

/// Copies `len` bytes of kernel memory, at most `PATH_MAX`, to the end of the record.
///
/// # Safety
/// `scratch` must be a valid map value and `source` readable for the helper.
#[inline(always)]
pub unsafe fn append_kernel<const SIZE: usize>(
    scratch: *mut Scratch<SIZE>,
    source: *const u8,
    len: usize,
) -> StrRef {
    // SAFETY: the destination has PATH_MAX bytes behind any masked position.
    unsafe {
        let at = tail(scratch);
        let len = if len > PATH_MAX { PATH_MAX } else { len };
        let record = (&raw mut (*scratch).record).cast::<u8>();
        if bpf_probe_read_kernel(record.add(at).cast(), len as u32, source.cast()) < 0 {
            return StrRef { offset: 0, len: 0 };
        }
        grow(scratch, at, len)
    }
}

/// Copies a NUL-terminated kernel string to the end of the record.
///
/// # Safety
/// As for [`append_kernel`].
#[inline(always)]
pub unsafe fn append_kernel_str<const SIZE: usize>(scratch: *mut Scratch<SIZE>, source: u64) -> StrRef {
    // SAFETY: as in `append_kernel`.
    unsafe {
        let at = tail(scratch);
        let record = (&raw mut (*scratch).record).cast::<u8>();
        let read = bpf_probe_read_kernel_str(record.add(at).cast(), PATH_MAX as u32, source as *const _);
        finish_str(scratch, at, read)
    }
}

/// Copies a NUL-terminated user string to the end of the record; `offset` 0 when it cannot be read.
///
/// # Safety
/// As for [`append_kernel`].
#[inline(always)]
pub unsafe fn append_user_str<const SIZE: usize>(scratch: *mut Scratch<SIZE>, source: u64) -> StrRef {
    // SAFETY: as in `append_kernel`.
    unsafe {
        let at = tail(scratch);
        let record = (&raw mut (*scratch).record).cast::<u8>();
        let read = bpf_probe_read_user_str(record.add(at).cast(), PATH_MAX as u32, source as *const _);
        finish_str(scratch, at, read)
    }
}

/// Puts one byte at the end of the record.
///
/// # Safety
/// As for [`append_kernel`].
#[inline(always)]
pub unsafe fn append_byte<const SIZE: usize>(scratch: *mut Scratch<SIZE>, byte: u8) {
    // SAFETY: as in `append_kernel`.
    unsafe {
        let at = tail(scratch);
        (&raw mut (*scratch).record).cast::<u8>().add(at).write_volatile(byte);
        grow(scratch, at, 1);
    }
}

/// The masked end of the record.
#[inline(always)]
unsafe fn tail<const SIZE: usize>(scratch: *mut Scratch<SIZE>) -> usize {
    // SAFETY: a field of a valid map value.
    black_box(unsafe { read_volatile(&raw const (*scratch).len) } as usize) & (SIZE - PATH_MAX - 1)
}

#[inline(always)]
unsafe fn finish_str<const SIZE: usize>(scratch: *mut Scratch<SIZE>, at: usize, read: i64) -> StrRef {
    if read <= 0 || read > PATH_MAX as i64 {
        return StrRef { offset: 0, len: 0 };
    }
    // The helper counts the terminator, which stays out.
    // SAFETY: as in `append_kernel`.
    unsafe { grow(scratch, at, read as usize - 1) }
}

#[inline(always)]
unsafe fn grow<const SIZE: usize>(scratch: *mut Scratch<SIZE>, at: usize, len: usize) -> StrRef {
    // SAFETY: a field of a valid map value.
    unsafe { write_volatile(&raw mut (*scratch).len, (at + len) as u32) };
    StrRef { offset: at as u32, len: len as u32 }
}
