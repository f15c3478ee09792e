//! `close_range`: many descriptors closed by one call.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::maps::{ENTER_STAGES, FILE_SCRATCH};
use crate::scratch::Scratch;
use crate::syscall::Call;
use crate::{file, task, written};

/// Only marks the descriptors, closes nothing.
const CLOSE_RANGE_CLOEXEC: u64 = 4;

/// `close_range(first, last, flags)`.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_closerange(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_closerange => ENTER_STAGES[1]);
    let call = Call::new(&ctx);
    if call.argument::<2>() & CLOSE_RANGE_CLOEXEC != 0 {
        return 0;
    }
    let (first, last) = (call.argument::<0>() as u32, call.argument::<1>() as u32);
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        let Some(scratch) = Scratch::get(&FILE_SCRATCH) else { return 0 };
        if written::collect(scratch, task::current(), written::Which::Open { first, last }) > 0 {
            ENTER_STAGES.tail_call(&ctx, 1);
        }
    }
    0
}

/// Starts one record; the next stage resolves its path, sends it and comes back for the next.
#[btf_tracepoint(function = "sys_enter")]
pub fn file_close_rest(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_close_rest => ENTER_STAGES[0]);
    // SAFETY: as above.
    unsafe {
        let Some(scratch) = Scratch::get(&FILE_SCRATCH) else { return 0 };
        if written::begin_next(scratch, task::current(), 0) {
            ENTER_STAGES.tail_call(&ctx, 0);
            file::stage_failed(scratch);
        } else if written::more(scratch) {
            ENTER_STAGES.tail_call(&ctx, 1);
        }
        // No further run is possible: say how many files stay unreported.
        written::count_rest(scratch);
    }
    0
}
