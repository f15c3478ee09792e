//! Names changed.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::{Capture, Kind, file_flag};

use crate::hook::{argument, succeeded};
use crate::kernel::{load, offset};
use crate::pending::{self, Pending};
use crate::scratch::Slot;
use crate::site::Site as _;
use crate::{file, filter, task};

const RENAME_EXCHANGE: u64 = 2;

// proto: 5.10-7.3: int security_path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry, unsigned int flags)
#[fentry(function = "security_path_rename")]
pub fn rename_begins(ctx: FEntryContext) -> i32 {
    heard!(rename_begins);
    let (old_dir, old): (*const u8, *const u8) = (ctx.arg(0), ctx.arg(1));
    let flags: u64 = ctx.arg(4);
    let exchanged = if flags & RENAME_EXCHANGE != 0 { file_flag::EXCHANGED } else { 0 };
    // SAFETY: the arguments are typed pointers.
    unsafe {
        let mut pending = Pending::new(ctx.arg(2), old, exchanged).with_inode(old);
        pending.other = load(old_dir, offset!(path_dentry));
        pending.note();
        pending::note_old_name(old);
    }
    0
}

// proto: 5.10-7.3: int vfs_rename(struct renamedata *rd)
#[fexit(function = "vfs_rename")]
pub fn rename_done(ctx: FExitContext) -> i32 {
    heard!(rename_done);
    let rename: *const u8 = ctx.arg(0);
    // SAFETY: the argument and the current task are typed; the buffer is a valid map value.
    unsafe {
        let Some(pending) = pending::take(load(rename, offset!(rename_old_dentry))) else { return 0 };
        let result = argument(&ctx, offset!(rename_result));
        if !succeeded(result) || !filter::wanted(task::current(), Kind::FileRename) {
            return 0;
        }
        let Some(scratch) = ctx.begin(Kind::FileRename, Capture::Kernel) else { return 0 };
        let wire = file::wire(scratch);
        pending.describe(wire);
        (*wire).flags |= pending.flags;
        // The dentry has moved to its new name.
        (*scratch).slots[0] = pending.place();
        (*scratch).slots[1] = Slot { dentry: pending.other, mnt: pending.mnt };
        (*wire).old_name = pending::append_old_name(scratch);
        ctx.send(scratch);
    }
    0
}
