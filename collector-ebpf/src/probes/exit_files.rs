//! Written files that a process leaves open when it ends: the kernel closes them without a system call.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::file_flag;

use crate::kernel::{follow, load, offset};
use crate::maps::{QUIT_SCRATCH, QUIT_STAGES};
use crate::scratch::Scratch;
use crate::{file, written};

/// Runs before `proc_exit`, so that a process's last file events precede its end.
// proto: 5.10-6.12: void sched_process_exit(struct task_struct *p)
// proto: 6.18-7.3: void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
pub fn exit_files(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, exit_files => QUIT_STAGES[0]);
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a typed task pointer; the scratch buffer is a valid map value.
    unsafe {
        let files = follow(task, offset!(task_files));
        let living: u32 = load(follow(task, offset!(task_signal)), offset!(signal_live));
        // While others use the table, nothing is closed. Threads that end at once each still see the others use it:
        // the end of their process ends what it wrote, whoever closes it. Each file is reported once all the same.
        if load::<u32>(files, offset!(files_count)) != 1 && living != 0 {
            return 0;
        }
        let Some(scratch) = Scratch::get(&QUIT_SCRATCH) else { return 0 };
        if written::collect(scratch, task, written::Which::Open { first: 0, last: u32::MAX }) > 0 {
            QUIT_STAGES.tail_call(&ctx, 0);
        }
    }
    0
}

/// Starts one record; the next stage resolves its path, sends it and comes back for the next.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn file_quit(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_quit => QUIT_STAGES[1]);
    // SAFETY: as above.
    unsafe {
        let Some(scratch) = Scratch::get(&QUIT_SCRATCH) else { return 0 };
        if written::begin_next(scratch, ctx.arg(0), file_flag::CLOSED_BY_EXIT) {
            QUIT_STAGES.tail_call(&ctx, 1);
            file::stage_failed(scratch);
        } else if written::more(scratch) {
            QUIT_STAGES.tail_call(&ctx, 0);
        }
        // No further run is possible: say how many files stay unreported.
        written::count_rest(scratch);
    }
    0
}
