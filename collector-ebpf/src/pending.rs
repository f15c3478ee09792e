//! What a thread is about to do to a name: noted where the kernel decides on it, taken up where the result is known.
//!
//! Between the two the kernel may do the same to other names on the thread's behalf: a file system on top of another one
//! does. Those have other dentries and are not asked about.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_kernel_str};
use collector_common::{FileWire, StrRef};

use crate::kernel::{follow, load, offset};
use crate::maps::{OLD_NAMES, PENDING};
use crate::scratch::{FileScratch, NAME_MAX, Slot};
use crate::{file, path, task};

/// An operation on a name.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Pending {
    /// The dentry it is about.
    pub dentry: u64,
    /// The mount it was found through.
    pub mnt: u64,
    /// Another dentry: the old directory of a rename, the target of a link. Or the text of a symbolic link.
    pub other: u64,
    /// What the name stands for, if it stood for something before.
    pub inode: u64,
    pub size: u64,
    pub device: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bits of `file_flag`.
    pub flags: u32,
    pub padding: u32,
}

/// The old name of a rename.
#[repr(C)]
pub struct OldName {
    pub text: [u8; NAME_MAX],
}

impl Pending {
    /// An operation on `dentry`, found through the mount of `path`.
    ///
    /// # Safety
    /// Both must be typed pointers.
    #[inline(always)]
    pub unsafe fn new(path: *const u8, dentry: *const u8, flags: u32) -> Self {
        Self {
            dentry: dentry as u64,
            // SAFETY: by the caller's promise.
            mnt: unsafe { load(path, offset!(path_mnt)) },
            other: 0,
            inode: 0,
            size: 0,
            device: 0,
            mode: 0,
            uid: u32::MAX,
            gid: u32::MAX,
            flags,
            padding: 0,
        }
    }

    /// An operation on what a path leads to.
    ///
    /// # Safety
    /// `path` must be a typed pointer.
    #[inline(always)]
    pub unsafe fn on(path: *const u8, flags: u32) -> Self {
        // SAFETY: by the caller's promise.
        unsafe { Self::new(path, follow(path, offset!(path_dentry)), flags) }
    }

    /// Adds what the name stands for; afterwards it may be gone.
    ///
    /// # Safety
    /// `dentry` must be a typed pointer.
    #[inline(always)]
    pub unsafe fn with_inode(mut self, dentry: *const u8) -> Self {
        // SAFETY: by the caller's promise; each step follows a typed pointer.
        unsafe {
            let inode = follow(dentry, offset!(dentry_inode));
            self.inode = load(inode, offset!(inode_ino));
            self.size = load(inode, offset!(inode_size));
            self.mode = u32::from(load::<u16>(inode, offset!(inode_mode)));
            self.uid = load(inode, offset!(inode_uid));
            self.gid = load(inode, offset!(inode_gid));
            self.device = load(follow(inode, offset!(inode_sb)), offset!(sb_dev));
            self
        }
    }

    /// Notes it for the running thread, unless that is one of the kernel's own.
    #[inline(always)]
    pub fn note(self) {
        // SAFETY: the current task is typed.
        if !unsafe { task::is_kernel_thread(task::current()) } {
            let _ = PENDING.insert(thread(), self, 0);
        }
    }

    /// Puts the inode noted before into the record.
    ///
    /// # Safety
    /// `wire` must be writable.
    #[inline(always)]
    pub unsafe fn describe(&self, wire: *mut FileWire) {
        // SAFETY: by the caller's promise.
        unsafe {
            (*wire).inode = self.inode;
            (*wire).size = self.size;
            (*wire).device = self.device;
            (*wire).mode = self.mode;
            (*wire).owner_uid = self.uid;
            (*wire).owner_gid = self.gid;
        }
    }

    /// The name, as a path to resolve.
    #[inline(always)]
    pub const fn place(&self) -> Slot {
        Slot { dentry: self.dentry, mnt: self.mnt }
    }
}

/// Takes up what the running thread was about to do to `dentry`.
#[inline(always)]
pub fn take(dentry: u64) -> Option<Pending> {
    let noted = PENDING.get_ptr(thread())?;
    // SAFETY: a valid map value of this thread, which is here; copied before it is removed.
    let noted = unsafe { *noted };
    if noted.dentry != dentry {
        return None;
    }
    let _ = PENDING.remove(thread());
    Some(noted)
}

/// Notes the old name of a rename.
///
/// # Safety
/// `dentry` must be a typed pointer.
#[inline(always)]
pub unsafe fn note_old_name(dentry: *const u8) {
    // SAFETY: by the caller's promise.
    unsafe {
        // There is no room for a name on the stack: an entry first, of what is in the kernel's copy of the name anyway.
        let name: u64 = load(dentry, offset!(dentry_name));
        let _ = OLD_NAMES.insert(thread(), &EMPTY_NAME, 0);
        if let Some(old) = OLD_NAMES.get_ptr_mut(thread()) {
            bpf_probe_read_kernel_str((&raw mut (*old).text).cast(), NAME_MAX as u32, name as *const _);
        }
    }
}

static EMPTY_NAME: OldName = OldName { text: [0; NAME_MAX] };

/// Appends the old name noted before to the record.
///
/// # Safety
/// `scratch` must be a valid map value.
#[inline(always)]
pub unsafe fn append_old_name(scratch: *mut FileScratch) -> StrRef {
    let Some(old) = OLD_NAMES.get_ptr(thread()) else { return StrRef { offset: 0, len: 0 } };
    // SAFETY: by the caller's promise; a map value that ends in a zero.
    let text = unsafe { path::append_kernel_str(scratch, (&raw const (*old).text) as u64) };
    let _ = OLD_NAMES.remove(thread());
    text
}

/// Fills in what a typed inode says.
///
/// # Safety
/// `scratch` must be a valid map value with a record begun, `inode` a typed pointer.
#[inline(always)]
pub unsafe fn describe_inode(scratch: *mut FileScratch, inode: *const u8) {
    // SAFETY: by the caller's promise.
    unsafe {
        let wire = file::wire(scratch);
        (*wire).inode = load(inode, offset!(inode_ino));
        (*wire).size = load(inode, offset!(inode_size));
        (*wire).mode = u32::from(load::<u16>(inode, offset!(inode_mode)));
        (*wire).owner_uid = load(inode, offset!(inode_uid));
        (*wire).owner_gid = load(inode, offset!(inode_gid));
        (*wire).device = load(follow(inode, offset!(inode_sb)), offset!(sb_dev));
    }
}

/// The running thread, as a key.
#[inline(always)]
pub fn thread() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_pid_tgid() }
}

const _: () = assert!(size_of::<Pending>() == 64);
