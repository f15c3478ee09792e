//! Descriptions about to be closed whose file was written.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;

use crate::maps::WRITTEN;
use crate::site::Site;
use crate::syscall::Call;
use crate::{file, task, written};

/// Every way of closing but the call of that name, which leaves it out from 6.6 on: duplicating onto a descriptor, closing a
/// range, io_uring.
// proto: 5.10-7.3: int filp_close(struct file *filp, fl_owner_t id)
#[fentry(function = "filp_close")]
pub fn close_begins(ctx: FEntryContext) -> i32 {
    heard!(close_begins);
    closes(&ctx, ctx.arg(0));
    0
}

// proto: 5.10-7.3: long __x64_sys_close(const struct pt_regs *regs)
#[fentry(function = "__x64_sys_close")]
pub fn call_close(ctx: FEntryContext) -> i32 {
    heard!(call_close);
    let fd = Call::new(&ctx).argument::<0>() as i32;
    // SAFETY: the current task is typed.
    let description = unsafe { file::description(task::current(), fd) };
    if description != 0 {
        closes(&ctx, description);
    }
    0
}

#[inline(always)]
fn closes(ctx: &FEntryContext, description: u64) {
    let Some(entry) = WRITTEN.get_ptr(description) else { return };
    let task = task::current();
    // SAFETY: the current task is typed; map values are valid until the program ends.
    unsafe {
        if (*entry).pid != task::tgid(task) {
            return;
        }
        let Some(scratch) = Site::claim(ctx) else {
            written::unseen(description);
            return;
        };
        written::alone(scratch);
        if written::begin(scratch, task, description, 0) {
            ctx.send(scratch);
        } else {
            ctx.release(scratch);
        }
    }
}
