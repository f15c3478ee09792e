//! Descriptors about to be closed whose file was written: read on the way in, when the description still lives.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind};

use crate::maps::{ENTER_STAGES, WRITTEN};
use crate::syscall::Call;
use crate::{file, filter, task};

/// `close`: the descriptor is the first argument.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_close(ctx: BtfTracePointContext) -> i32 {
    closing(&ctx, Call::new(&ctx).argument::<0>() as i32);
    0
}

/// `dup2`, `dup3`: the second descriptor, if open, is closed. Equal descriptors close nothing.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_dup(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let (from, to) = (call.argument::<0>() as i32, call.argument::<1>() as i32);
    if from != to {
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
        let Some(written) = WRITTEN.get_ptr(description) else { return };
        let written = *written;
        if written.pid != task::tgid(task) {
            return;
        }
        // Two threads may close at once: whoever removes the entry reports it.
        if WRITTEN.remove(description).is_err() || !filter::wanted(task, Kind::FileModify) {
            return;
        }
        let Some(scratch) = file::begin_here(Kind::FileModify, Capture::Kernel) else { return };
        let opened = file::look(scratch, description);
        file::describe(scratch, opened);
        let wire = file::wire(scratch);
        (*wire).flags |= written.flags;
        (*wire).written = written.bytes;
        ENTER_STAGES.tail_call(ctx, 0);
        file::stage_failed(scratch);
    }
}
