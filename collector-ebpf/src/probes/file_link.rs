//! Hard and symbolic links made.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::file::AT_FDCWD;
use crate::path;
use crate::site::Site as _;
use crate::syscall::Call;
use crate::{file, filter, task};

/// `link(old, new)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_link(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_link => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    linked(&ctx, Some(AT_FDCWD), call.argument::<0>(), (AT_FDCWD, call.argument::<1>()));
    0
}

/// `linkat(olddirfd, old, newdirfd, new, flags)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_linkat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_linkat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let new = (call.argument::<2>() as i32, call.argument::<3>());
    linked(&ctx, Some(call.argument::<0>() as i32), call.argument::<1>(), new);
    0
}

/// `symlink(target, new)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_symlink(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_symlink => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    linked(&ctx, None, call.argument::<0>(), (AT_FDCWD, call.argument::<1>()));
    0
}

/// `symlinkat(target, newdirfd, new)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_symlinkat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_symlinkat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let new = (call.argument::<1>() as i32, call.argument::<2>());
    linked(&ctx, None, call.argument::<0>(), new);
    0
}

/// `old_dirfd` is `None` for a symbolic link, whose target is text, not a name to resolve.
#[inline(always)]
fn linked(ctx: &BtfTracePointContext, old_dirfd: Option<i32>, old: u64, new: (i32, u64)) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::FileLink) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileLink, Capture::Syscall) else { return };
        let wire = file::wire(scratch);
        (*wire).name = file::name_at(scratch, task, 0, new.0, new.1);
        (*wire).old_name = match old_dirfd {
            Some(dirfd) => file::name_at(scratch, task, 1, dirfd, old),
            None => {
                (*wire).flags |= file_flag::SYMLINK;
                path::append_user_str(scratch, old)
            }
        };
        ctx.send(scratch);
    }
}
