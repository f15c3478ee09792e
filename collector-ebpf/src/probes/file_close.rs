//! Descriptors about to be closed whose file was written: read on the way in, when the description still lives.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::maps::{ENTER_STAGES, FILE_SCRATCH, WRITTEN};
use crate::scratch::Scratch;
use crate::syscall::Call;
use crate::{file, task, written};

/// `close`: the descriptor is the first argument.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_close(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_close => ENTER_STAGES[0]);
    closing(&ctx, Call::new(&ctx).argument::<0>() as i32);
    0
}

/// `dup2`, `dup3`: the second descriptor, if open, is closed. Equal descriptors close nothing.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_dup(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_dup => ENTER_STAGES[0]);
    let call = Call::new(&ctx);
    let (from, to) = (call.argument::<0>() as i32, call.argument::<1>() as i32);
    // A bad source is an error, and then nothing is closed either.
    // SAFETY: the current task is typed.
    if from != to && unsafe { file::description(task::current(), from) } != 0 {
        closing(&ctx, to);
    }
    0
}

#[inline(always)]
fn closing(ctx: &BtfTracePointContext, fd: i32) {
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        let description = file::description(task, fd);
        if description == 0 {
            return;
        }
        let Some(entry) = WRITTEN.get_ptr(description) else { return };
        if (*entry).pid != task::tgid(task) {
            return;
        }
        let Some(scratch) = Scratch::get(&FILE_SCRATCH) else { return };
        written::alone(scratch);
        if written::begin(scratch, task, description, 0) {
            ENTER_STAGES.tail_call(ctx, 0);
            file::stage_failed(scratch);
        }
    }
}
