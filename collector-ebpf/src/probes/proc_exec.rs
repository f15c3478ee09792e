//! Image changes: the arguments as the new image will see them, read after the kernel copied them.

use core::ptr::write_volatile;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{ARGV_MAX, Capture, ExecWire, Kind, StrRef, exec_flag};

use crate::kernel::{follow, load, offset, read_at, setting};
use crate::maps::{EXEC_SCRATCH, EXEC_STAGES};
use crate::path;
use crate::scratch::{ExecScratch, Scratch, Slot};
use crate::{emit, file, filter, task};

/// Names of control groups sent, from the leaf upward.
const CGROUP_NAMES: u32 = 8;
/// Bytes read when the whole vector cannot be: one page is likely to be present.
const ARGV_RETRY: u32 = 1024;

// proto: 5.10-7.3: void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_process_exec")]
pub fn proc_exec(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, proc_exec => EXEC_STAGES[0]);
    let task: *const u8 = ctx.arg(0);
    let old_tid: i32 = ctx.arg(1);
    let bprm: *const u8 = ctx.arg(2);
    // SAFETY: the arguments are typed pointers; the scratch buffer is a valid map value.
    unsafe {
        if !filter::wanted(task, Kind::ProcessExec) {
            return 0;
        }
        let Some(scratch) = Scratch::get(&EXEC_SCRATCH) else { return 0 };
        let wire = (&raw mut (*scratch).record).cast::<ExecWire>();
        let Some(header) = emit::header(Kind::ProcessExec, Capture::Kernel, 0) else { return 0 };
        (*wire).header = header;
        task::fill(task, &raw mut (*wire).task);
        task::fill_credentials(task, &raw mut (*wire).credentials);
        (*wire).old_tid = old_tid as u32;
        (*wire).argc = load(bprm, offset!(bprm_argc));
        (*wire).flags = 0;
        let word: u32 = load(bprm, offset!(bprm_secureexec));
        if word >> (offset!(bprm_secureexec_bit) & 31) & 1 != 0 {
            (*wire).flags |= exec_flag::SECURE;
        }
        let file = follow(bprm, offset!(bprm_file));
        let inode = follow(file, offset!(file_inode));
        (*wire).exe_inode = load(inode, offset!(inode_ino));
        (*wire).exe_mode = u32::from(load::<u16>(inode, offset!(inode_mode)));
        (*wire).exe_nlink = load(inode, offset!(inode_nlink));
        (*wire).exe_device = load(follow(inode, offset!(inode_sb)), offset!(sb_dev));
        let mnt = follow(file, offset!(file_mnt));
        if load::<u32>(mnt, offset!(vfsmount_flags)) & file::MNT_INTERNAL != 0 {
            (*wire).flags |= exec_flag::INTERNAL_MOUNT;
        }
        path::prepare(scratch);
        (*scratch).slots[0] = Slot { dentry: load(file, offset!(file_dentry)), mnt: mnt as u64 };
        let fs = follow(task, offset!(task_fs));
        (*scratch).slots[1] =
            Slot { dentry: load(fs, offset!(fs_pwd_dentry)), mnt: load(fs, offset!(fs_pwd_mnt)) };
        arguments(scratch, task);
        (*wire).filename = path::append_kernel_str(scratch, load(bprm, offset!(bprm_filename)));
        (*wire).interp = path::append_kernel_str(scratch, load(bprm, offset!(bprm_interp)));
        (*wire).cgroup = control_group(scratch, task);
        EXEC_STAGES.tail_call(&ctx, 0);
        emit::count(Kind::ProcessExec, collector_common::LossReason::StageFailed);
    }
    0
}

/// Second stage: the two paths, in a program of its own to keep each within the verifier's budget.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn proc_exec_path(ctx: BtfTracePointContext) -> i32 {
    heard!(proc_exec_path);
    // SAFETY: the scratch buffer is a valid map value, begun by the first stage on this processor.
    unsafe {
        let Some(scratch) = Scratch::get(&EXEC_SCRATCH) else { return 0 };
        if !path::resolve(scratch) {
            EXEC_STAGES.tail_call(&ctx, 0);
            path::give_up(scratch);
        }
        let (exe, exe_whole) = path::found(scratch, 0);
        let (cwd, cwd_whole) = path::found(scratch, 1);
        let wire = (&raw mut (*scratch).record).cast::<ExecWire>();
        (*wire).exe = exe;
        (*wire).cwd = cwd;
        if !exe_whole {
            (*wire).flags |= exec_flag::EXE_TRUNCATED;
        }
        if !cwd_whole {
            (*wire).flags |= exec_flag::CWD_TRUNCATED;
        }
        emit::built(scratch, Kind::ProcessExec);
    }
    0
}

/// Reads the argument vector of the new image right behind the fixed part.
#[inline(always)]
unsafe fn arguments(scratch: *mut ExecScratch, task: *const u8) {
    const START: usize = size_of::<ExecWire>();
    // SAFETY: the destination has ARGV_MAX bytes behind START, and the length is bounded to that.
    unsafe {
        let wire = (&raw mut (*scratch).record).cast::<ExecWire>();
        let mm = follow(task, offset!(task_mm));
        let start: u64 = load(mm, offset!(mm_arg_start));
        let whole = load::<u64>(mm, offset!(mm_arg_end)).wrapping_sub(start);
        (*wire).argv_len = whole;
        let mut limit = setting!(argv_max);
        if limit > ARGV_MAX as u32 {
            limit = ARGV_MAX as u32;
        }
        let mut len = if whole > u64::from(limit) { limit } else { whole as u32 };
        let target = (&raw mut (*scratch).record).cast::<u8>().add(START);
        len = core::hint::black_box(len);
        if len > ARGV_MAX as u32 {
            len = ARGV_MAX as u32;
        }
        if bpf_probe_read_user(target.cast(), len, start as *const _) < 0 {
            // Part of it is not in memory: a shorter read may still succeed.
            (*wire).flags |= exec_flag::ARGV_FAULT;
            len = core::hint::black_box(if len > ARGV_RETRY { ARGV_RETRY } else { len / 2 });
            if len > ARGV_RETRY {
                len = ARGV_RETRY;
            }
            if bpf_probe_read_user(target.cast(), len, start as *const _) < 0 {
                len = 0;
            }
        }
        if u64::from(len) < whole {
            (*wire).flags |= exec_flag::ARGV_TRUNCATED;
        }
        (*wire).argv = StrRef { offset: START as u32, len };
        write_volatile(&raw mut (*scratch).len, START as u32 + len);
    }
}

/// Appends the names of the task's control groups from the leaf upward, each followed by `/`.
#[inline(always)]
unsafe fn control_group(scratch: *mut ExecScratch, task: *const u8) -> StrRef {
    // SAFETY: a field of a valid map value; nodes are read by address.
    unsafe {
        let start = core::ptr::read_volatile(&raw const (*scratch).len);
        let mut node = task::cgroup_node(task) as u64;
        for _ in 0..CGROUP_NAMES {
            let parent: u64 = read_at(node, offset!(kn_parent));
            if node == 0 || parent == 0 {
                break; // The root has no name worth sending.
            }
            let name = path::append_kernel_str(scratch, read_at(node, offset!(kn_name)));
            if name.offset == 0 {
                break;
            }
            path::append_byte(scratch, b'/');
            node = parent;
        }
        let end = core::ptr::read_volatile(&raw const (*scratch).len);
        if end == start {
            return StrRef { offset: 0, len: 0 };
        }
        StrRef { offset: start, len: end - start }
    }
}
