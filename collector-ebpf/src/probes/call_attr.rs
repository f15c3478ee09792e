//! Times and extended attributes changed, at the return from each call that does so: the kernel's functions behind them
//! know no mount, so no path.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use collector_common::file_flag;

use crate::file::AT_FDCWD;
use crate::probes::file_attr::{Change, by_descriptor, by_name};
use crate::syscall::Call;

macro_rules! calls {
    ($($program:ident = $function:literal, $what:path;)*) => {$(
        #[fexit(function = $function)]
        pub fn $program(ctx: FExitContext) -> i32 {
            heard!($program);
            $what(&ctx);
            0
        }
    )*};
}

calls! {
    // proto: 5.10-7.3: long __x64_sys_utime(const struct pt_regs *regs)
    call_utime = "__x64_sys_utime", times;
    // proto: 5.10-7.3: long __x64_sys_utimes(const struct pt_regs *regs)
    call_utimes = "__x64_sys_utimes", times;
    // proto: 5.10-7.3: long __x64_sys_futimesat(const struct pt_regs *regs)
    call_futimesat = "__x64_sys_futimesat", times_at;
    // proto: 5.10-7.3: long __x64_sys_utimensat(const struct pt_regs *regs)
    call_utimensat = "__x64_sys_utimensat", times_at;
    // proto: 5.10-7.3: long __x64_sys_setxattr(const struct pt_regs *regs)
    call_setxattr = "__x64_sys_setxattr", xattr;
    // proto: 5.10-7.3: long __x64_sys_lsetxattr(const struct pt_regs *regs)
    call_lsetxattr = "__x64_sys_lsetxattr", xattr;
    // proto: 5.10-7.3: long __x64_sys_fsetxattr(const struct pt_regs *regs)
    call_fsetxattr = "__x64_sys_fsetxattr", xattr_of;
    // proto: 5.10-7.3: long __x64_sys_removexattr(const struct pt_regs *regs)
    call_rmxattr = "__x64_sys_removexattr", xattr;
    // proto: 5.10-7.3: long __x64_sys_lremovexattr(const struct pt_regs *regs)
    call_lrmxattr = "__x64_sys_lremovexattr", xattr;
    // proto: 5.10-7.3: long __x64_sys_fremovexattr(const struct pt_regs *regs)
    call_frmxattr = "__x64_sys_fremovexattr", xattr_of;
    // proto: 6.18-7.3: long __x64_sys_setxattrat(const struct pt_regs *regs)
    call_setxattrat = "__x64_sys_setxattrat", xattr_at;
    // proto: 6.18-7.3: long __x64_sys_removexattrat(const struct pt_regs *regs)
    call_rmxattrat = "__x64_sys_removexattrat", xattr_at;
}

#[inline(always)]
fn times(ctx: &FExitContext) {
    by_name(ctx, AT_FDCWD, Call::new(ctx).argument::<0>(), Change::of(file_flag::TIMES_CHANGED));
}

#[inline(always)]
fn times_at(ctx: &FExitContext) {
    let call = Call::new(ctx);
    let (fd, name) = (call.argument::<0>() as i32, call.argument::<1>());
    if name == 0 {
        by_descriptor(ctx, fd, file_flag::TIMES_CHANGED);
    } else {
        by_name(ctx, fd, name, Change::of(file_flag::TIMES_CHANGED));
    }
}

#[inline(always)]
fn xattr(ctx: &FExitContext) {
    by_name(ctx, AT_FDCWD, Call::new(ctx).argument::<0>(), Change::of(file_flag::XATTR_CHANGED));
}

#[inline(always)]
fn xattr_at(ctx: &FExitContext) {
    let call = Call::new(ctx);
    let change = Change::of(file_flag::XATTR_CHANGED);
    by_name(ctx, call.argument::<0>() as i32, call.argument::<1>(), change);
}

#[inline(always)]
fn xattr_of(ctx: &FExitContext) {
    by_descriptor(ctx, Call::new(ctx).argument::<0>() as i32, file_flag::XATTR_CHANGED);
}
