//! Names removed.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::{Capture, Kind, file_flag};

use crate::hook::{argument, succeeded};
use crate::kernel::offset;
use crate::pending::{self, Pending};
use crate::site::Site as _;
use crate::{file, filter, task};

// proto: 5.10-7.3: int security_path_unlink(const struct path *dir, struct dentry *dentry)
#[fentry(function = "security_path_unlink")]
pub fn unlink_begins(ctx: FEntryContext) -> i32 {
    heard!(unlink_begins);
    begins(&ctx, 0);
    0
}

// proto: 5.10-7.3: int security_path_rmdir(const struct path *dir, struct dentry *dentry)
#[fentry(function = "security_path_rmdir")]
pub fn rmdir_begins(ctx: FEntryContext) -> i32 {
    heard!(rmdir_begins);
    begins(&ctx, file_flag::DIRECTORY);
    0
}

// proto: 5.10: int vfs_unlink(struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)
// proto: 6.1: int vfs_unlink(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)
// proto: 6.12-6.18: int vfs_unlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)
// proto: 7.3: int vfs_unlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_unlink")]
pub fn unlink_done(ctx: FExitContext) -> i32 {
    heard!(unlink_done);
    removed(&ctx, argument(&ctx, offset!(unlink_dentry)), argument(&ctx, offset!(unlink_result)));
    0
}

// proto: 5.10: int vfs_rmdir(struct inode *dir, struct dentry *dentry)
// proto: 6.1: int vfs_rmdir(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry)
// proto: 6.12-6.18: int vfs_rmdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry)
// proto: 7.3: int vfs_rmdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_rmdir")]
pub fn rmdir_done(ctx: FExitContext) -> i32 {
    heard!(rmdir_done);
    removed(&ctx, argument(&ctx, offset!(rmdir_dentry)), argument(&ctx, offset!(rmdir_result)));
    0
}

#[inline(always)]
fn begins(ctx: &FEntryContext, flags: u32) {
    let dentry: *const u8 = ctx.arg(1);
    // SAFETY: the arguments are typed pointers. The inode is read now: it may be gone with its name.
    unsafe { Pending::new(ctx.arg(0), dentry, flags).with_inode(dentry) }.note();
}

#[inline(always)]
fn removed(ctx: &FExitContext, dentry: u64, result: u64) {
    let Some(pending) = pending::take(dentry) else { return };
    // SAFETY: the current task is typed; the buffer is a valid map value.
    unsafe {
        if !succeeded(result) || !filter::wanted(task::current(), Kind::FileDelete) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileDelete, Capture::Kernel) else { return };
        let wire = file::wire(scratch);
        pending.describe(wire);
        (*wire).flags |= pending.flags;
        // The dentry keeps its name and its place; only lookups no longer find it.
        (*scratch).slots[0] = pending.place();
        ctx.send(scratch);
    }
}
