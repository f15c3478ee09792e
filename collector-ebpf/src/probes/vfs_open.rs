//! Files created or opened for writing, as the kernel's own function for opening returns them.
//!
//! Not `security_file_open`: a file system on top of another one opens there a second time, and what the file system
//! refuses afterwards would be reported as opened.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use crate::kernel::{load, offset};
use crate::probes::file_open::{INTERESTING, report};
use crate::{file, hook, task};

// proto: 5.10-6.18: struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op)
// proto: 7.3: struct file *do_file_open(int dfd, struct filename *pathname, const struct open_flags *op)
#[fexit(function = "do_filp_open")]
pub fn open_done(ctx: FExitContext) -> i32 {
    heard!(open_done);
    let op: *const u8 = ctx.arg(2);
    let description: u64 = ctx.arg(3);
    // SAFETY: the argument is typed, and so is the current task.
    unsafe {
        let asked: u32 = load(op, offset!(open_flags));
        if u64::from(asked) & INTERESTING == 0
            || !hook::succeeded(description)
            || task::is_kernel_thread(task::current())
        {
            return 0;
        }
        report(&ctx, description, asked);
    }
    0
}

// proto: 5.10-7.3: long __x64_sys_open_by_handle_at(const struct pt_regs *regs)
#[fexit(function = "__x64_sys_open_by_handle_at")]
pub fn open_handle(ctx: FExitContext) -> i32 {
    heard!(open_handle);
    let fd: i64 = ctx.arg(1);
    let flags: u64 = crate::syscall::Call::new(&ctx).argument::<2>();
    if fd >= 0 && flags & INTERESTING != 0 {
        // SAFETY: the current task is typed.
        let description = unsafe { file::description(task::current(), fd as i32) };
        report(&ctx, description, flags as u32);
    }
    0
}
