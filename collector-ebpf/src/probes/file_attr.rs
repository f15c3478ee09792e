//! Modes, owners, times and extended attributes changed, by name or by descriptor.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, file_flag};

use crate::file::AT_FDCWD;
use crate::site::Site;
use crate::syscall::Call;
use crate::{emit, file, filter, task};

/// What a call changed and to what.
#[derive(Clone, Copy)]
pub struct Change {
    flags: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Change {
    pub const fn of(flags: u32) -> Self {
        Self { flags, mode: 0, uid: u32::MAX, gid: u32::MAX }
    }

    const fn mode(mode: u64) -> Self {
        Self { mode: mode as u32 & 0o7777, ..Self::of(file_flag::MODE_CHANGED) }
    }

    const fn owner(uid: u64, gid: u64) -> Self {
        Self { uid: uid as u32, gid: gid as u32, ..Self::of(file_flag::OWNER_CHANGED) }
    }
}

/// `chmod(name, mode)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_chmod(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_chmod => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    by_name(&ctx, AT_FDCWD, call.argument::<0>(), Change::mode(call.argument::<1>()));
    0
}

/// `fchmodat(dirfd, name, mode)`, `fchmodat2`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_chmodat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_chmodat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let change = Change::mode(call.argument::<2>());
    by_name(&ctx, call.argument::<0>() as i32, call.argument::<1>(), change);
    0
}

/// `fchmod(fd, mode)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_fchmod(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_fchmod => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    by_descriptor(&ctx, call.argument::<0>() as i32, file_flag::MODE_CHANGED);
    0
}

/// `chown(name, uid, gid)`, `lchown`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_chown(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_chown => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let change = Change::owner(call.argument::<1>(), call.argument::<2>());
    by_name(&ctx, AT_FDCWD, call.argument::<0>(), change);
    0
}

/// `fchownat(dirfd, name, uid, gid, flags)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_chownat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_chownat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let change = Change::owner(call.argument::<2>(), call.argument::<3>());
    by_name(&ctx, call.argument::<0>() as i32, call.argument::<1>(), change);
    0
}

/// `fchown(fd, uid, gid)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_fchown(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_fchown => EXIT_STAGES[0]);
    by_descriptor(&ctx, Call::new(&ctx).argument::<0>() as i32, file_flag::OWNER_CHANGED);
    0
}

/// `utime(name, …)`, `utimes`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_utime(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_utime => EXIT_STAGES[0]);
    let name = Call::new(&ctx).argument::<0>();
    by_name(&ctx, AT_FDCWD, name, Change::of(file_flag::TIMES_CHANGED));
    0
}

/// `utimensat(dirfd, name, …)`, `futimesat`; without a name the descriptor itself.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_utimeat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_utimeat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let (fd, name) = (call.argument::<0>() as i32, call.argument::<1>());
    if name == 0 {
        by_descriptor(&ctx, fd, file_flag::TIMES_CHANGED);
    } else {
        by_name(&ctx, fd, name, Change::of(file_flag::TIMES_CHANGED));
    }
    0
}

/// `setxattr(name, …)`, `lsetxattr`, `removexattr`, `lremovexattr`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_xattr(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_xattr => EXIT_STAGES[0]);
    let name = Call::new(&ctx).argument::<0>();
    by_name(&ctx, AT_FDCWD, name, Change::of(file_flag::XATTR_CHANGED));
    0
}

/// `setxattrat(dirfd, name, …)`, `removexattrat`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_xattrat(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_xattrat => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    let change = Change::of(file_flag::XATTR_CHANGED);
    by_name(&ctx, call.argument::<0>() as i32, call.argument::<1>(), change);
    0
}

/// `fsetxattr(fd, …)`, `fremovexattr`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_fxattr(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_fxattr => EXIT_STAGES[0]);
    by_descriptor(&ctx, Call::new(&ctx).argument::<0>() as i32, file_flag::XATTR_CHANGED);
    0
}

/// `truncate(name, length)`: a modification without a description.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_truncate(ctx: BtfTracePointContext) -> i32 {
    heard!(ctx, file_truncate => EXIT_STAGES[0]);
    let call = Call::new(&ctx);
    named(&ctx, Kind::FileModify, AT_FDCWD, call.argument::<0>(), Change::of(file_flag::TRUNCATED));
    0
}

#[inline(always)]
pub fn by_name(ctx: &impl Site, dirfd: i32, name: u64, change: Change) {
    named(ctx, Kind::FileAttributes, dirfd, name, change);
}

#[inline(always)]
fn named(ctx: &impl Site, kind: Kind, dirfd: i32, name: u64, change: Change) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, kind) {
            return;
        }
        let Some(scratch) = ctx.begin(kind, Capture::Syscall) else { return };
        let wire = file::wire(scratch);
        (*wire).flags |= change.flags;
        (*wire).mode = change.mode;
        (*wire).owner_uid = change.uid;
        (*wire).owner_gid = change.gid;
        (*wire).name = file::name_at(scratch, task, 0, dirfd, name);
        ctx.send(scratch);
    }
}

#[inline(always)]
pub fn by_descriptor(ctx: &impl Site, fd: i32, flags: u32) {
    let result: i64 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the current task is typed; the scratch buffer is a valid map value.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::FileAttributes) {
            return;
        }
        let description = file::description(task, fd);
        if description == 0 {
            return;
        }
        let Some(scratch) = ctx.claim() else {
            emit::lost(Kind::FileAttributes, Capture::Kernel);
            return;
        };
        let opened = file::look(scratch, description);
        if !file::has_place(opened) {
            ctx.release(scratch);
            return;
        }
        if !file::begin(scratch, Kind::FileAttributes, Capture::Kernel) {
            ctx.release(scratch);
            return;
        }
        file::describe(scratch, opened);
        (*file::wire(scratch)).flags |= flags;
        ctx.send(scratch);
    }
}
