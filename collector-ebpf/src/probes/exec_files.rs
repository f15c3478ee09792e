//! Written files that an exec closes (close-on-exec): seen at the last moment at which the process still has them.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::file_flag;

use crate::kernel::{follow, load, offset};
use crate::maps::{SHUT_SCRATCH, SHUT_STAGES};
use crate::scratch::Scratch;
use crate::{file, written};

// proto: 6.12-7.3: void sched_prepare_exec(struct task_struct *task, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_prepare_exec")]
pub fn exec_files(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, exec_files => SHUT_STAGES[0]);
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed task pointer; the scratch buffer is a valid map value.
    unsafe {
        if !closes_alone(task) {
            return 0;
        }
        let Some(scratch) = Scratch::get(&SHUT_SCRATCH) else { return 0 };
        if written::collect(scratch, task, written::Which::ClosedByExec) > 0 {
            SHUT_STAGES.tail_call(&ctx, 0);
        }
    }
    0
}

/// Whether an exec of `task` closes descriptors for good. A table that other processes use as well is copied by the exec, and
/// they go on with theirs. The other threads of this one are still there, and will be gone by then.
///
/// # Safety
/// `task` must be typed.
#[inline(always)]
pub unsafe fn closes_alone(task: *const u8) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        let threads: u32 = load(follow(task, offset!(task_signal)), offset!(signal_threads));
        load::<u32>(follow(task, offset!(task_files)), offset!(files_count)) <= threads
    }
}

/// Starts one record; the next stage resolves its path, sends it and comes back for the next.
#[btf_tracepoint(function = "sched_prepare_exec")]
pub fn file_shut(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_shut => SHUT_STAGES[1]);
    // SAFETY: as above.
    unsafe {
        let Some(scratch) = Scratch::get(&SHUT_SCRATCH) else { return 0 };
        if written::begin_next(scratch, ctx.arg(0), file_flag::CLOSED_BY_EXEC) {
            SHUT_STAGES.tail_call(&ctx, 1);
            file::stage_failed(scratch);
        } else if written::more(scratch) {
            SHUT_STAGES.tail_call(&ctx, 0);
        }
        // No further run is possible: say how many files stay unreported.
        written::count_rest(scratch);
    }
    0
}
