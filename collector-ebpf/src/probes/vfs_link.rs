//! Hard and symbolic links made.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::{Capture, Kind, file_flag};

use crate::hook::{argument, succeeded};
use crate::kernel::{follow, offset};
use crate::pending::{self, Pending};
use crate::scratch::Slot;
use crate::site::Site as _;
use crate::{file, filter, path, task};

// proto: 5.10-7.3: int security_path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)
#[fentry(function = "security_path_link")]
pub fn link_begins(ctx: FEntryContext) -> i32 {
    heard!(link_begins);
    // SAFETY: the arguments are typed pointers.
    let mut pending = unsafe { Pending::new(ctx.arg(1), ctx.arg(2), 0) };
    pending.other = ctx.arg(0);
    pending.note();
    0
}

// proto: 5.10-7.3: int security_path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)
#[fentry(function = "security_path_symlink")]
pub fn symlink_begins(ctx: FEntryContext) -> i32 {
    heard!(symlink_begins);
    // SAFETY: as above.
    let mut pending = unsafe { Pending::new(ctx.arg(0), ctx.arg(1), file_flag::SYMLINK) };
    // The kernel's copy of the text, which it keeps until the call ends.
    pending.other = ctx.arg(2);
    pending.note();
    0
}

// proto: 5.10: int vfs_link(struct dentry *old_dentry, struct inode *dir, struct dentry *new_dentry, struct inode **delegated_inode)
// proto: 6.1: int vfs_link(struct dentry *old_dentry, struct user_namespace *mnt_userns, struct inode *dir, struct dentry *new_dentry, struct inode **delegated_inode)
// proto: 6.12-6.18: int vfs_link(struct dentry *old_dentry, struct mnt_idmap *idmap, struct inode *dir, struct dentry *new_dentry, struct inode **delegated_inode)
// proto: 7.3: int vfs_link(struct dentry *old_dentry, struct mnt_idmap *idmap, struct inode *dir, struct dentry *new_dentry, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_link")]
pub fn link_done(ctx: FExitContext) -> i32 {
    heard!(link_done);
    linked(&ctx, argument(&ctx, offset!(link_new_dentry)), argument(&ctx, offset!(link_result)));
    0
}

// proto: 5.10: int vfs_symlink(struct inode *dir, struct dentry *dentry, const char *oldname)
// proto: 6.1: int vfs_symlink(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry, const char *oldname)
// proto: 6.12-6.18: int vfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *oldname)
// proto: 7.3: int vfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *oldname, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_symlink")]
pub fn symlink_done(ctx: FExitContext) -> i32 {
    heard!(symlink_done);
    linked(&ctx, argument(&ctx, offset!(symlink_dentry)), argument(&ctx, offset!(symlink_result)));
    0
}

#[inline(always)]
fn linked(ctx: &FExitContext, dentry: u64, result: u64) {
    let Some(pending) = pending::take(dentry) else { return };
    // SAFETY: the current task and the dentry are typed; the buffer is a valid map value.
    unsafe {
        if !succeeded(result) || !filter::wanted(task::current(), Kind::FileLink) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileLink, Capture::Kernel) else { return };
        let wire = file::wire(scratch);
        pending::describe_inode(scratch, follow(dentry as *const u8, offset!(dentry_inode)));
        (*wire).flags |= pending.flags;
        (*scratch).slots[0] = pending.place();
        if pending.flags & file_flag::SYMLINK != 0 {
            (*wire).old_name = path::append_kernel_str(scratch, pending.other);
        } else {
            // Both names are in one mount.
            (*scratch).slots[1] = Slot { dentry: pending.other, mnt: pending.mnt };
        }
        ctx.send(scratch);
    }
}
