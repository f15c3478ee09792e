//! What programs at kernel functions share: buffers, sending, and arguments whose position differs by kernel.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use collector_common::HOOK_BUFFERS;

use crate::kernel::read;
use crate::maps::HOOK_SCRATCH;
use crate::scratch::FileScratch;
use crate::site::Site;
use crate::{emit, file, path};

/// Steps of a walk in one call of [`walk_on`].
const STEPS: u32 = 8;
/// Calls of it; together as many steps as the tail calls of the other programs allow.
const CALLS: u32 = 64;

/// A buffer of this processor that nobody uses. The kernel keeps the program on its processor, but may run others there
/// before it ends.
#[inline(always)]
pub fn claim() -> Option<*mut FileScratch> {
    const { assert!(HOOK_BUFFERS == 4, "one attempt a buffer") };
    // SAFETY: the helper has no preconditions.
    let first = unsafe { bpf_get_smp_processor_id() } * HOOK_BUFFERS;
    // Not a loop: old verifiers (6.1) do not see that it ends, because they do not know where it begins.
    attempt(first)
        .or_else(|| attempt(first + 1))
        .or_else(|| attempt(first + 2))
        .or_else(|| attempt(first + 3))
}

#[inline(always)]
fn attempt(index: u32) -> Option<*mut FileScratch> {
    let scratch = buffer(index)?;
    // SAFETY: a valid map value. Whoever finds zero has the buffer; everybody else takes back what they added.
    unsafe {
        let users = &raw mut (*scratch).users;
        if emit::fetch_add(users, 1) == 0 {
            (*scratch).index = index;
            return Some(scratch);
        }
        emit::fetch_add(users, u64::MAX);
    }
    None
}

/// Gives a buffer back.
///
/// # Safety
/// `scratch` must come from [`claim`].
#[inline(always)]
pub unsafe fn release(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise.
    unsafe { emit::fetch_add(&raw mut (*scratch).users, u64::MAX) };
}

/// The buffer with this index.
#[inline(always)]
pub fn buffer(index: u32) -> Option<*mut FileScratch> {
    HOOK_SCRATCH.get_ptr_mut(index)
}

/// Resolves paths and sends the record.
///
/// # Safety
/// `scratch` must come from [`claim`], with a record begun in it.
#[inline(always)]
pub unsafe fn send(scratch: *mut FileScratch) {
    // SAFETY: by the caller's promise.
    unsafe {
        let index = core::ptr::read_volatile(&raw const (*scratch).index);
        for slot in 0..2 {
            if !path::start(scratch, slot) {
                continue;
            }
            for _ in 0..CALLS {
                if walk_on(index) == 0 {
                    break;
                }
            }
            path::end(scratch, slot);
        }
        file::complete(scratch);
    }
}

/// Goes on with the walk in a buffer; 0 when it has ended.
///
/// A function of its own, which the verifier looks at once per program instead of once per call.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_on(index: u32) -> u32 {
    let Some(scratch) = buffer(index) else { return 0 };
    // SAFETY: a valid map value; the caller has started a walk in it.
    u32::from(unsafe { path::walk(scratch, STEPS) })
}

/// Argument `n` where `n` is known when the program is loaded.
///
/// The verifier wants constant offsets into the context and knows which branch is taken; the compiler must not join the
/// branches to one load at a computed offset, which is what the differing assembly is for.
#[inline(always)]
pub fn argument(site: &impl Site, n: usize) -> u64 {
    macro_rules! one_of {
        ($($number:literal)*) => {
            match n {
                $($number => {
                    let mut value: u64 = site.arg($number);
                    // SAFETY: moves a register to itself.
                    unsafe { core::arch::asm!(concat!("{0} = {0} # ", $number), inout(reg) value) };
                    value
                })*
                _ => 0,
            }
        };
    }
    one_of!(0 1 2 3 4 5)
}

/// Whether a function that returns an `int`, or a pointer to a description, succeeded.
#[inline(always)]
pub const fn succeeded(result: u64) -> bool {
    // `int`: the upper half means nothing. A pointer: no object ends at a multiple of 4 GiB.
    (result as u32) < ERRORS as u32
}

/// Whether a function that returns an `int` or, of newer kernels, a pointer succeeded.
#[inline(always)]
pub fn succeeded_either_way(result: u64) -> bool {
    // What a pointer is may not be computed with, unless it went through memory.
    let result: u64 = read(&raw const result as u64);
    succeeded(result) || (0xffff_8000_0000_0000..ERRORS).contains(&result)
}

/// The least error, as an unsigned number.
const ERRORS: u64 = -4095_i64 as u64;
