//! Names changed.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::file::AT_FDCWD;
use crate::site::Site as _;
use crate::syscall::Call;
use crate::{file, filter, task};

const RENAME_EXCHANGE: u64 = 2;

/// `rename(old, new)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_rename(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_rename => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    renamed(&ctx, (AT_FDCWD, call.argument::<0>()), (AT_FDCWD, call.argument::<1>()), 0);
    0
}

/// `renameat(olddirfd, old, newdirfd, new)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_renameat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_renameat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let old = (call.argument::<0>() as i32, call.argument::<1>());
    let new = (call.argument::<2>() as i32, call.argument::<3>());
    renamed(&ctx, old, new, 0);
    0
}

/// `renameat2(…, flags)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_renameat2(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_renameat2 => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let old = (call.argument::<0>() as i32, call.argument::<1>());
    let new = (call.argument::<2>() as i32, call.argument::<3>());
    let flags = if call.argument::<4>() & RENAME_EXCHANGE != 0 { file_flag::EXCHANGED } else { 0 };
    renamed(&ctx, old, new, flags);
    0
}

#[inline(always)]
fn renamed(ctx: &BtfTracePointContext, old: (i32, u64), new: (i32, u64), flags: u32) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::FileRename) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileRename, Capture::Syscall) else { return };
        let wire = file::wire(scratch);
        (*wire).flags |= flags;
        (*wire).name = file::name_at(scratch, task, 0, new.0, new.1);
        (*wire).old_name = file::name_at(scratch, task, 1, old.0, old.1);
        ctx.send(scratch);
    }
}
