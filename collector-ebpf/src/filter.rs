//! Which operations are wanted: switches and filters, constants to the verifier.

use core::ptr::read_volatile;

use collector_common::{Domain, Kind, LossReason, filter_flag};

use crate::emit;
use crate::kernel::{load, offset, read_at, setting};
use crate::maps::{FILTER_PIDS, HALTED};
use crate::task;

/// Levels of control groups searched upward.
const CGROUP_DEPTH: u32 = 16;

/// Whether any kind of the mask is switched on, now.
#[inline(always)]
pub fn switched_on(kinds: u64) -> bool {
    setting!(kinds) & kinds != 0 && !halted()
}

/// Whether userspace has ended the capture. It takes the kernel seconds to let go of dozens of programs; from this word on
/// they do nothing.
#[inline(always)]
pub fn halted() -> bool {
    // SAFETY: a valid, aligned map value.
    HALTED.get_ptr(0).is_some_and(|word| unsafe { read_volatile(word) } != 0)
}

/// Whether an operation of `kind` by `task` is wanted; what is left out is counted.
///
/// # Safety
/// `task` must be a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn wanted(task: *const u8, kind: Kind) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { wanted_if(task, kind, || passes(task)) }
}

/// The same for what a process that ends leaves behind, and which was wanted when it began: the pid filter may have
/// forgotten the process already, when two of its threads end at once on two processors.
///
/// # Safety
/// As for [`wanted`].
#[inline(always)]
pub unsafe fn wanted_to_the_end(task: *const u8, kind: Kind) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { wanted_if(task, kind, || passes_but_pids(task)) }
}

#[inline(always)]
unsafe fn wanted_if(task: *const u8, kind: Kind, passes: impl FnOnce() -> bool) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        if !switched_on(kind.bit()) {
            return false;
        }
        if kind.domain() as u8 != Domain::Process as u8
            && setting!(own_pid) != 0
            && task::tgid(task) == setting!(own_pid)
        {
            emit::count(kind, LossReason::Own);
            return false;
        }
        if !passes() {
            emit::count(kind, LossReason::Filtered);
            return false;
        }
        true
    }
}

/// Whether the task passes the user's filters.
///
/// # Safety
/// As for [`wanted`].
#[inline(always)]
pub unsafe fn passes(task: *const u8) -> bool {
    let filters = setting!(filters);
    // SAFETY: by the caller's promise.
    unsafe {
        if filters & filter_flag::PIDS != 0 && FILTER_PIDS.get(task::tgid(task)).is_none() {
            return false;
        }
        passes_but_pids(task)
    }
}

/// Whether the task passes the user's filters but that of pids.
#[inline(always)]
unsafe fn passes_but_pids(task: *const u8) -> bool {
    let filters = setting!(filters);
    // SAFETY: by the caller's promise.
    unsafe {
        if filters & filter_flag::UID != 0 {
            let cred = crate::kernel::follow(task, offset!(task_real_cred));
            if load::<u32>(cred, offset!(cred_uid)) != setting!(uid) {
                return false;
            }
        }
        filters & filter_flag::CGROUP == 0 || in_cgroup(task)
    }
}

/// Whether the task's control group is the wanted one or below it.
#[inline(always)]
unsafe fn in_cgroup(task: *const u8) -> bool {
    // SAFETY: by the caller's promise.
    let mut node = unsafe { task::cgroup_node(task) } as u64;
    for _ in 0..CGROUP_DEPTH {
        if node == 0 {
            return false;
        }
        if read_at::<u64>(node, offset!(kn_id)) == setting!(cgroup_id) {
            return true;
        }
        node = read_at(node, offset!(kn_parent));
    }
    false
}
