//! Directories, nodes and FIFOs made.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::file::AT_FDCWD;
use crate::site::Site as _;
use crate::syscall::Call;
use crate::{file, filter, task};

const S_IFDIR: u32 = 0o040_000;

/// `mkdir(name, mode)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_mkdir(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_mkdir => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    created(&ctx, AT_FDCWD, call.argument::<0>(), call.argument::<1>() as u32 | S_IFDIR);
    0
}

/// `mkdirat(dirfd, name, mode)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_mkdirat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_mkdirat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let mode = call.argument::<2>() as u32 | S_IFDIR;
    created(&ctx, call.argument::<0>() as i32, call.argument::<1>(), mode);
    0
}

/// `mknod(name, mode, dev)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_mknod(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_mknod => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    created(&ctx, AT_FDCWD, call.argument::<0>(), call.argument::<1>() as u32);
    0
}

/// `mknodat(dirfd, name, mode, dev)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_mknodat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_mknodat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    created(&ctx, call.argument::<0>() as i32, call.argument::<1>(), call.argument::<2>() as u32);
    0
}

/// `mode` is what the program asked for; the process's umask is not yet taken off.
#[inline(always)]
fn created(ctx: &BtfTracePointContext, dirfd: i32, name: u64, mode: u32) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::FileCreate) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileCreate, Capture::Syscall) else { return };
        let wire = file::wire(scratch);
        (*wire).mode = mode;
        if mode & u32::from(file::S_IFMT) == S_IFDIR {
            (*wire).flags |= file_flag::DIRECTORY;
        }
        (*wire).name = file::name_at(scratch, task, 0, dirfd, name);
        ctx.send(scratch);
    }
}
