//! Remembers which open descriptions were written through, where the kernel writes.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::file_flag;

use crate::kernel::{follow, known, offset};
use crate::probes::file_write::{wrote, wrote_through};
use crate::syscall::Call;
use crate::task;

const PROT_WRITE: u64 = 2;
const MAP_SHARED: u64 = 1;
const MAY_WRITE: i32 = 2;

// proto: 5.10-7.3: ssize_t vfs_write(struct file *file, const char *buf, size_t count, loff_t *pos)
#[fexit(function = "vfs_write")]
pub fn write_done(ctx: FExitContext) -> i32 {
    heard!(write_done);
    let bytes: i64 = ctx.arg(4);
    if bytes > 0 {
        wrote_to(ctx.arg(0), bytes as u64, 0);
    }
    0
}

/// A shared writable mapping may change the file without further calls. The mapping can still fail, for want of memory.
// proto: 5.10-7.3: int security_mmap_file(struct file *file, unsigned long prot, unsigned long flags)
#[fentry(function = "security_mmap_file")]
pub fn map_begins(ctx: FEntryContext) -> i32 {
    heard!(map_begins);
    let (file, prot, flags): (u64, u64, u64) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    if file != 0 && prot & PROT_WRITE != 0 && flags & MAP_SHARED != 0 {
        wrote_to(file, 0, file_flag::MAPPED);
    }
    0
}

// proto: 5.10-7.3: int vfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
#[fexit(function = "vfs_fallocate")]
pub fn allocate_done(ctx: FExitContext) -> i32 {
    heard!(allocate_done);
    let result: i32 = ctx.arg(4);
    if result == 0 {
        wrote_to(ctx.arg(0), 0, file_flag::TRUNCATED);
    }
    0
}

/// What no other program here sees: writes asked for through io_uring, and those of 32-bit programs by other calls than
/// `write`. How many bytes they write is not known here, nor whether they succeed.
// proto: 5.10-7.3: int security_file_permission(struct file *file, int mask)
#[fentry(function = "security_file_permission")]
pub fn write_begins(ctx: FEntryContext) -> i32 {
    heard!(write_begins);
    let mask: i32 = ctx.arg(1);
    if mask & MAY_WRITE == 0 {
        return 0;
    }
    let task = task::current();
    // SAFETY: the current task is typed.
    unsafe {
        let rings = known(offset!(task_io_uring)) && !follow(task, offset!(task_io_uring)).is_null();
        if rings || task::is_ring_worker(task) || task::in_compat_call(task) {
            wrote_to(ctx.arg(0), 0, file_flag::UNCOUNTED);
        }
    }
    0
}

#[inline(always)]
fn wrote_to(file: u64, bytes: u64, flags: u32) {
    let task = task::current();
    // SAFETY: the current task is typed.
    if !unsafe { task::is_kernel_thread(task) } {
        wrote_through(task, file, bytes, flags);
    }
}

/// A call that returns how many bytes it wrote, through the descriptor in argument `TARGET`.
#[inline(always)]
fn called<const TARGET: usize>(ctx: &FExitContext) {
    let bytes: i64 = ctx.arg(1);
    if bytes > 0 {
        wrote(Call::new(ctx).argument::<TARGET>() as i32, bytes as u64, 0);
    }
}

macro_rules! calls {
    ($($program:ident = $function:literal, $target:literal;)*) => {$(
        #[fexit(function = $function)]
        pub fn $program(ctx: FExitContext) -> i32 {
            heard!($program);
            called::<$target>(&ctx);
            0
        }
    )*};
}

calls! {
    // proto: 5.10-7.3: long __x64_sys_writev(const struct pt_regs *regs)
    call_writev = "__x64_sys_writev", 0;
    // proto: 5.10-7.3: long __x64_sys_pwritev(const struct pt_regs *regs)
    call_pwritev = "__x64_sys_pwritev", 0;
    // proto: 5.10-7.3: long __x64_sys_pwritev2(const struct pt_regs *regs)
    call_pwritev2 = "__x64_sys_pwritev2", 0;
    // proto: 5.10-7.3: long __x64_sys_sendfile64(const struct pt_regs *regs)
    call_sendfile = "__x64_sys_sendfile64", 0;
    // proto: 5.10-7.3: long __x64_sys_splice(const struct pt_regs *regs)
    call_splice = "__x64_sys_splice", 2;
    // proto: 5.10-7.3: long __x64_sys_copy_file_range(const struct pt_regs *regs)
    call_copy_range = "__x64_sys_copy_file_range", 2;
}
