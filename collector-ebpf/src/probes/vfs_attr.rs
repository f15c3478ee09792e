//! Mode and owner changed, and files cut.

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use collector_common::{Capture, Kind, file_flag};

use crate::hook::{argument, succeeded};
use crate::kernel::{follow, load, offset, read_at};
use crate::pending::{self, Pending};
use crate::probes::file_write::wrote_through;
use crate::site::Site as _;
use crate::{file, filter, task};

const ATTR_SIZE: u32 = 1 << 3;
const ATTR_FILE: u32 = 1 << 13;
const ATTR_OPEN: u32 = 1 << 15;

// proto: 5.10-7.3: int security_path_chmod(const struct path *path, umode_t mode)
#[fentry(function = "security_path_chmod")]
pub fn chmod_begins(ctx: FEntryContext) -> i32 {
    heard!(chmod_begins);
    begins(&ctx, file_flag::MODE_CHANGED);
    0
}

// proto: 5.10-7.3: int security_path_chown(const struct path *path, kuid_t uid, kgid_t gid)
#[fentry(function = "security_path_chown")]
pub fn chown_begins(ctx: FEntryContext) -> i32 {
    heard!(chown_begins);
    begins(&ctx, file_flag::OWNER_CHANGED);
    0
}

// proto: 5.10-7.3: int security_path_truncate(const struct path *path)
#[fentry(function = "security_path_truncate")]
pub fn trunc_begins(ctx: FEntryContext) -> i32 {
    heard!(trunc_begins);
    begins(&ctx, file_flag::TRUNCATED);
    0
}

#[inline(always)]
fn begins(ctx: &FEntryContext, flags: u32) {
    // SAFETY: the argument is a typed path.
    unsafe { Pending::on(ctx.arg(0), flags) }.note();
}

// proto: 5.10: int notify_change(struct dentry *dentry, struct iattr *attr, struct inode **delegated_inode)
// proto: 6.1: int notify_change(struct user_namespace *mnt_userns, struct dentry *dentry, struct iattr *attr, struct inode **delegated_inode)
// proto: 6.12-6.18: int notify_change(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr, struct inode **delegated_inode)
// proto: 7.3: int notify_change(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr, struct delegated_inode *delegated_inode)
#[fexit(function = "notify_change")]
pub fn change_done(ctx: FExitContext) -> i32 {
    heard!(change_done);
    let dentry = argument(&ctx, offset!(change_dentry));
    let attr = argument(&ctx, offset!(change_attr)) as *const u8;
    let result = argument(&ctx, offset!(change_result));
    let task = task::current();
    // SAFETY: the arguments and the current task are typed.
    unsafe {
        let valid: u32 = load(attr, offset!(iattr_valid));
        let pending = pending::take(dentry);
        if !succeeded(result) {
            return 0;
        }
        if valid & ATTR_SIZE != 0 && valid & ATTR_FILE != 0 {
            // Through a description: told at its close, or at its open if that emptied it.
            if valid & ATTR_OPEN == 0 && !task::is_kernel_thread(task) {
                wrote_through(task, load(attr, offset!(iattr_file)), 0, file_flag::TRUNCATED);
            }
            return 0;
        }
        let Some(pending) = pending else { return 0 };
        let kind =
            if pending.flags & file_flag::TRUNCATED != 0 { Kind::FileModify } else { Kind::FileAttributes };
        let inode = follow(dentry as *const u8, offset!(dentry_inode));
        if !filter::wanted(task, kind) || !is_in_a_file_system(inode, pending.mnt) {
            return 0;
        }
        let Some(scratch) = ctx.begin(kind, Capture::Kernel) else { return 0 };
        pending::describe_inode(scratch, inode);
        (*file::wire(scratch)).flags |= pending.flags;
        (*scratch).slots[0] = pending.place();
        ctx.send(scratch);
    }
    0
}

/// Not a pipe or a socket.
#[inline(always)]
unsafe fn is_in_a_file_system(inode: *const u8, mnt: u64) -> bool {
    // SAFETY: the inode is typed.
    file::is_storage(unsafe { load(inode, offset!(inode_mode)) })
        || read_at::<u32>(mnt, offset!(vfsmount_flags)) & file::MNT_INTERNAL == 0
}
