//! Directories, nodes, FIFOs and sockets made.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::{Capture, Kind, file_flag};

use crate::hook::{argument, succeeded, succeeded_either_way};
use crate::kernel::{follow, offset};
use crate::pending::{self, Pending};
use crate::site::Site as _;
use crate::{file, filter, task};

// proto: 5.10-7.3: int security_path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)
#[fentry(function = "security_path_mkdir")]
pub fn mkdir_begins(ctx: FEntryContext) -> i32 {
    heard!(mkdir_begins);
    // SAFETY: the arguments are typed pointers.
    unsafe { Pending::new(ctx.arg(0), ctx.arg(1), file_flag::DIRECTORY) }.note();
    0
}

// proto: 5.10-7.3: int security_path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)
#[fentry(function = "security_path_mknod")]
pub fn mknod_begins(ctx: FEntryContext) -> i32 {
    heard!(mknod_begins);
    // SAFETY: as above.
    unsafe { Pending::new(ctx.arg(0), ctx.arg(1), 0) }.note();
    0
}

/// The dentry that recent kernels return may be another one than they were given.
// proto: 5.10: int vfs_mkdir(struct inode *dir, struct dentry *dentry, umode_t mode)
// proto: 6.1: int vfs_mkdir(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry, umode_t mode)
// proto: 6.12: int vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
// proto: 6.18: struct dentry *vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
// proto: 7.3: struct dentry *vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_mkdir")]
pub fn mkdir_done(ctx: FExitContext) -> i32 {
    heard!(mkdir_done);
    let result = argument(&ctx, offset!(mkdir_result));
    made(&ctx, argument(&ctx, offset!(mkdir_dentry)), succeeded_either_way(result));
    0
}

// proto: 5.10: int vfs_mknod(struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)
// proto: 6.1: int vfs_mknod(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)
// proto: 6.12-6.18: int vfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev)
// proto: 7.3: int vfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev, struct delegated_inode *delegated_inode)
#[fexit(function = "vfs_mknod")]
pub fn mknod_done(ctx: FExitContext) -> i32 {
    heard!(mknod_done);
    let result = argument(&ctx, offset!(mknod_result));
    made(&ctx, argument(&ctx, offset!(mknod_dentry)), succeeded(result));
    0
}

/// A regular file made by `mknod`; opens that create do not come this way.
// proto: 5.10: int vfs_create(struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)
// proto: 6.1: int vfs_create(struct user_namespace *mnt_userns, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)
// proto: 6.12-6.18: int vfs_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl)
// proto: 7.3: int vfs_create(struct mnt_idmap *idmap, struct dentry *dentry, umode_t mode, struct delegated_inode *di)
#[fexit(function = "vfs_create")]
pub fn create_done(ctx: FExitContext) -> i32 {
    heard!(create_done);
    let result = argument(&ctx, offset!(create_result));
    made(&ctx, argument(&ctx, offset!(create_dentry)), succeeded(result));
    0
}

#[inline(always)]
fn made(ctx: &FExitContext, dentry: u64, succeeded: bool) {
    let Some(pending) = pending::take(dentry) else { return };
    // SAFETY: the current task and the dentry are typed; the buffer is a valid map value.
    unsafe {
        if !succeeded || !filter::wanted(task::current(), Kind::FileCreate) {
            return;
        }
        let Some(scratch) = ctx.begin(Kind::FileCreate, Capture::Kernel) else { return };
        pending::describe_inode(scratch, follow(dentry as *const u8, offset!(dentry_inode)));
        (*file::wire(scratch)).flags |= pending.flags;
        (*scratch).slots[0] = pending.place();
        ctx.send(scratch);
    }
}
