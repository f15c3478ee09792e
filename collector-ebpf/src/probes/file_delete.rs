//! Names removed. The object is gone when the call returns, so the name comes from user memory.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::file::AT_FDCWD;
use crate::site::Site as _;
use crate::syscall::Call;
use crate::{file, filter, task};

const AT_REMOVEDIR: u64 = 0x200;

/// `unlink`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_unlink(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_unlink => EXIT_STAGES[0]);
    deleted(&ctx, AT_FDCWD, Call::new(&ctx).argument::<0>(), 0);
    0
}

/// `rmdir`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_rmdir(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_rmdir => EXIT_STAGES[0]);
    deleted(&ctx, AT_FDCWD, Call::new(&ctx).argument::<0>(), file_flag::DIRECTORY);
    0
}

/// `unlinkat`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_unlinkat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_unlinkat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let flags = if call.argument::<2>() & AT_REMOVEDIR != 0 { file_flag::DIRECTORY } else { 0 };
    deleted(&ctx, call.argument::<0>() as i32, call.argument::<1>(), flags);
    0
}

#[inline(always)]
fn deleted(ctx: &BtfTracePointContext, dirfd: i32, name: u64, flags: u32) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::FileDelete) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileDelete, Capture::Syscall) else { return };
        let wire = file::wire(scratch);
        (*wire).flags |= flags;
        (*wire).name = file::name_at(scratch, task, 0, dirfd, name);
        ctx.send(scratch);
    }
}
