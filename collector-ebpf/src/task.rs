//! What a record says about a process, read from its `task_struct`.

#[cfg(kernel_before_5_12)]
use aya_ebpf::helpers::generated::bpf_get_current_task;
#[cfg(not(kernel_before_5_12))]
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use collector_common::{CredentialsWire, TaskWire, filter_flag, task_flag};

use crate::kernel::{follow, known, load, offset, read, read_at, setting};

const PF_KTHREAD: u32 = 0x0020_0000;
const PF_IO_WORKER: u32 = 0x10;
#[cfg(bpf_target_arch = "x86_64")]
const TS_COMPAT: u32 = 2;
/// Namespaces of pids are nested 32 deep at most, and a number takes two words.
const NUMBERS_MASK: u64 = 0x3ff;

/// The running task, typed.
#[cfg(not(kernel_before_5_12))]
#[inline(always)]
pub fn current() -> *const u8 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() }.cast()
}

/// The running task, as an address, which is all that [`load`] needs there.
#[cfg(kernel_before_5_12)]
#[inline(always)]
pub fn current() -> *const u8 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() as *const u8 }
}

/// Thread-group id.
///
/// # Safety
/// `task` must be a typed `task_struct` pointer; so for every function of this file.
#[inline(always)]
pub unsafe fn tgid(task: *const u8) -> u32 {
    // SAFETY: by the caller's promise.
    unsafe { load(task, offset!(task_tgid)) }
}

/// Whether the task is a kernel thread.
///
/// # Safety
/// See [`tgid`].
#[inline(always)]
pub unsafe fn is_kernel_thread(task: *const u8) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { load::<u32>(task, offset!(task_flags)) & PF_KTHREAD != 0 }
}

/// Whether the task works for io_uring on behalf of a program, as one of its threads.
///
/// # Safety
/// See [`tgid`].
#[inline(always)]
pub unsafe fn is_ring_worker(task: *const u8) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { load::<u32>(task, offset!(task_flags)) & PF_IO_WORKER != 0 }
}

/// Whether the task is inside a 32-bit system call.
///
/// # Safety
/// See [`tgid`].
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn in_compat_call(task: *const u8) -> bool {
    // SAFETY: by the caller's promise.
    known(offset!(task_status)) && unsafe { load::<u32>(task, offset!(task_status)) } & TS_COMPAT != 0
}

/// Whether the task is a 32-bit program, which makes 32-bit system calls only.
///
/// # Safety
/// See [`tgid`].
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn in_compat_call(task: *const u8) -> bool {
    /// What 32 bits can address.
    const LARGEST: u64 = 1 << 32;
    if !known(offset!(mm_task_size)) {
        return false;
    }
    // The kernel has a bit for it among the thread's flags, but moves that about.
    // SAFETY: by the caller's promise; what has no memory of its own reads as zero.
    let size: u64 = unsafe { load(follow(task, offset!(task_mm)), offset!(mm_task_size)) };
    size != 0 && size <= LARGEST
}

/// The kernfs node of the task's control group, typed.
///
/// # Safety
/// See [`tgid`].
#[inline(always)]
pub unsafe fn cgroup_node(task: *const u8) -> *const u8 {
    // SAFETY: by the caller's promise; each step follows a typed pointer.
    unsafe {
        let set = follow(task, offset!(task_cgroups));
        let cgroup = if setting!(filters) & filter_flag::CGROUP_V1 != 0 {
            let state = follow(set, offset!(css_set_subsys) + 8 * offset!(memory_cgrp_id));
            follow(state, offset!(css_cgroup))
        } else {
            follow(set, offset!(css_set_dfl_cgrp))
        };
        follow(cgroup, offset!(cgroup_kn))
    }
}

/// Fills `out` for the thread group of `task`.
///
/// # Safety
/// See [`tgid`]; `out` must be writable.
#[inline(always)]
pub unsafe fn fill(task: *const u8, out: *mut TaskWire) {
    // SAFETY: by the caller's promise; each step follows a typed pointer.
    unsafe {
        let cred = follow(task, offset!(task_real_cred));
        let namespaces = follow(task, offset!(task_nsproxy));
        let mut flags = 0;
        if is_kernel_thread(task) {
            flags |= task_flag::KERNEL_THREAD;
        }
        if in_compat_call(task) {
            flags |= task_flag::COMPAT;
        }
        if known(offset!(task_io_uring)) && !follow(task, offset!(task_io_uring)).is_null() {
            flags |= task_flag::IO_URING;
        }
        (*out).pid = tgid(task);
        (*out).tid = load(task, offset!(task_pid));
        (*out).ppid = tgid(follow(task, offset!(task_real_parent)));
        (*out).uid = load(cred, offset!(cred_uid));
        (*out).gid = load(cred, offset!(cred_gid));
        (*out).flags = flags;
        (*out).start_ns = load(follow(task, offset!(task_group_leader)), offset!(task_start));
        (*out).image = load(task, offset!(task_self_exec_id));
        (*out).cgroup_id = load(cgroup_node(task), offset!(kn_id));
        (*out).mnt_ns = load(follow(namespaces, offset!(nsproxy_mnt_ns)), offset!(mnt_namespace_inum));
        (*out).net_ns = load(follow(namespaces, offset!(nsproxy_net_ns)), offset!(net_inum));
        name(task, out);
        (*out).start_stack = load(follow(task, offset!(task_mm)), offset!(mm_start_stack));
    }
}

/// Puts the name of `task` into `out`.
///
/// # Safety
/// See [`fill`].
#[inline(always)]
pub unsafe fn name(task: *const u8, out: *mut TaskWire) {
    // SAFETY: by the caller's promise; two words, which the record keeps aligned.
    unsafe {
        let comm = (&raw mut (*out).comm).cast::<u64>();
        comm.write(load(task, offset!(task_comm)));
        comm.add(1).write(load(task, offset!(task_comm) + 8));
    }
}

/// `struct upid` with room for its namespace pointer.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Upid {
    words: [u64; 2],
}

/// Fills `out` with credentials, namespaces and parent.
///
/// # Safety
/// See [`fill`].
#[inline(always)]
pub unsafe fn fill_credentials(task: *const u8, out: *mut CredentialsWire) {
    // SAFETY: by the caller's promise; each step follows a typed pointer.
    unsafe {
        let cred = follow(task, offset!(task_real_cred));
        let parent = follow(task, offset!(task_real_parent));
        (*out).euid = load(cred, offset!(cred_euid));
        (*out).egid = load(cred, offset!(cred_egid));
        (*out).login_uid = login_uid(task);
        (*out).session_id = session_id(task);
        (*out).cap_effective = load(cred, offset!(cred_cap_effective));
        (*out).user_ns = load(follow(cred, offset!(cred_user_ns)), offset!(user_namespace_inum));
        // The array of numbers is indexed by a variable: read it by address. Old verifiers (6.1) want to see how far a typed
        // pointer is moved, and lose sight in a multiplication; the compiler must not see that the mask does nothing.
        let pid = follow(task, offset!(task_thread_pid));
        let level: u32 = load(pid, offset!(pid_level));
        let distance = u64::from(level) * offset!(sizeof_upid) as u64;
        let distance = core::hint::black_box(distance) & NUMBERS_MASK;
        let at = pid as u64 + offset!(pid_numbers) as u64 + distance;
        let upid: Upid = read(at);
        (*out).ns_pid = (upid.words[(offset!(upid_nr) / 8) & 1]) as u32;
        (*out).pid_ns = read_at(upid.words[(offset!(upid_ns) / 8) & 1], offset!(pid_namespace_inum));
        (*out).ns_level = level;
        (*out).parent_start_ns = load(follow(parent, offset!(task_group_leader)), offset!(task_start));
        (*out).parent_image = load(parent, offset!(task_self_exec_id));
    }
}

/// Audit login uid, `u32::MAX` where unset or unknown to this kernel.
///
/// # Safety
/// See [`tgid`].
#[inline(always)]
pub unsafe fn login_uid(task: *const u8) -> u32 {
    if !known(offset!(task_loginuid)) {
        return u32::MAX;
    }
    // SAFETY: by the caller's promise.
    unsafe { load(task, offset!(task_loginuid)) }
}

/// Audit session, `u32::MAX` where unset or unknown to this kernel.
///
/// # Safety
/// See [`tgid`].
#[inline(always)]
pub unsafe fn session_id(task: *const u8) -> u32 {
    if !known(offset!(task_sessionid)) {
        return u32::MAX;
    }
    // SAFETY: by the caller's promise.
    unsafe { load(task, offset!(task_sessionid)) }
}
