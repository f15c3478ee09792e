//! Dispatch of system calls: one tail call by number, so that calls nobody watches cost next to nothing.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Kind, LossReason};

use crate::emit;
use crate::maps::{ENTER_CALLS, EXIT_CALLS};
use crate::syscall::Call;
use crate::task;

// proto: 5.10-7.3: void sys_enter(struct pt_regs *regs, long id)
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the current task is typed.
    if unsafe { task::in_compat_call(task::current()) } {
        return 0;
    }
    // SAFETY: every program in the array is of this tracepoint; an empty entry falls through.
    unsafe { ENTER_CALLS.tail_call(&ctx, Call::new(&ctx).number()) };
    0
}

// proto: 5.10-7.3: void sys_exit(struct pt_regs *regs, long ret)
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the current task is typed.
    if unsafe { task::in_compat_call(task::current()) } {
        // 32-bit calls have other numbers: what they do to files is not seen by this tier. Say so.
        emit::count(Kind::FileOpen, LossReason::Compat);
        return 0;
    }
    // SAFETY: as above.
    unsafe { EXIT_CALLS.tail_call(&ctx, Call::new(&ctx).number()) };
    0
}
