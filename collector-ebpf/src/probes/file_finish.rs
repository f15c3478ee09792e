//! Last stage of the file probes: resolves paths and sends. One program per tracepoint it is called from.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::BtfTracePointContext;

use crate::maps::{
    ENTER_STAGES, EXIT_STAGES, FILE_SCRATCH, QUIT_SCRATCH, QUIT_STAGES, SHUT_SCRATCH, SHUT_STAGES,
};
use crate::scratch::{FileScratch, Scratch};
use crate::{file, written};

#[btf_tracepoint(function = "sys_exit")]
pub fn file_finish(ctx: BtfTracePointContext) -> i32 {
    heard!(file_finish);
    if let Some(scratch) = Scratch::get(&FILE_SCRATCH) {
        // SAFETY: a valid map value, begun by the first stage on this processor; the program is this one.
        unsafe { file::finish(&ctx, scratch, &EXIT_STAGES, 0) };
    }
    0
}

#[btf_tracepoint(function = "sys_enter")]
pub fn file_finish_ent(ctx: BtfTracePointContext) -> i32 {
    heard!(file_finish_ent);
    finish(&ctx, &FILE_SCRATCH, &ENTER_STAGES, 0, 1);
    0
}

// proto: 5.10-6.12: void sched_process_exit(struct task_struct *p)
// proto: 6.18-7.3: void sched_process_exit(struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
pub fn file_finish_end(ctx: BtfTracePointContext) -> i32 {
    heard!(file_finish_end);
    finish(&ctx, &QUIT_SCRATCH, &QUIT_STAGES, 1, 0);
    0
}

// proto: 6.12-7.3: void sched_prepare_exec(struct task_struct *task, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_prepare_exec")]
pub fn file_finish_sht(ctx: BtfTracePointContext) -> i32 {
    heard!(file_finish_sht);
    finish(&ctx, &SHUT_SCRATCH, &SHUT_STAGES, 1, 0);
    0
}

/// Sends, then goes back to the stage `next` that begins the next record, if several files are being closed.
#[inline(always)]
fn finish(
    ctx: &BtfTracePointContext,
    scratch: &Array<FileScratch>,
    stages: &ProgramArray,
    own: u32,
    next: u32,
) {
    let Some(scratch) = Scratch::get(scratch) else { return };
    // SAFETY: as above; programs in the array are of this tracepoint.
    unsafe {
        file::finish(ctx, scratch, stages, own);
        if written::more(scratch) {
            stages.tail_call(ctx, next);
            // No further run is possible: say how many files stay unreported.
            written::count_rest(scratch);
        }
    }
}
