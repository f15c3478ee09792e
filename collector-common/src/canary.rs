//! How userspace sees that a kernel program runs: it does something that must run it, a canary, and asks who heard it.
//!
//! Every program looks at [`Canary`] first of all. For the canary's own doings it leaves a mark under its number, calls the
//! stages it would call, and does nothing else: a canary is neither reported nor counted.

/// Programs that leave a mark: all but the dispatchers of system calls, which are heard through those they call. The place in
/// this list is the program's number; nothing keeps it, so the list may change.
pub const PROGRAMS: [&str; 104] = [
    "accept_done",
    "allocate_done",
    "call_close",
    "call_copy_range",
    "call_frmxattr",
    "call_fsetxattr",
    "call_futimesat",
    "call_lrmxattr",
    "call_lsetxattr",
    "call_pwritev",
    "call_pwritev2",
    "call_rmxattr",
    "call_rmxattrat",
    "call_sendfile",
    "call_setxattr",
    "call_setxattrat",
    "call_splice",
    "call_utime",
    "call_utimensat",
    "call_utimes",
    "call_writev",
    "change_done",
    "chmod_begins",
    "chown_begins",
    "close_begins",
    "connect_denied",
    "connect_done",
    "create_done",
    "creds_begins",
    "exec_files",
    "exit_files",
    "file_chmod",
    "file_chmodat",
    "file_chown",
    "file_chownat",
    "file_close",
    "file_close_rest",
    "file_closerange",
    "file_copy",
    "file_creat",
    "file_dup",
    "file_fchmod",
    "file_fchown",
    "file_finish",
    "file_finish_end",
    "file_finish_ent",
    "file_finish_sht",
    "file_fxattr",
    "file_link",
    "file_linkat",
    "file_mkdir",
    "file_mkdirat",
    "file_mknod",
    "file_mknodat",
    "file_mmap",
    "file_open",
    "file_openat",
    "file_quit",
    "file_rename",
    "file_renameat",
    "file_renameat2",
    "file_resize",
    "file_rmdir",
    "file_shut",
    "file_symlink",
    "file_symlinkat",
    "file_truncate",
    "file_unlink",
    "file_unlinkat",
    "file_utime",
    "file_utimeat",
    "file_write",
    "file_xattr",
    "file_xattrat",
    "link_begins",
    "link_done",
    "listen_done",
    "map_begins",
    "mkdir_begins",
    "mkdir_done",
    "mknod_begins",
    "mknod_done",
    "net_accept",
    "net_connect",
    "net_listen",
    "net_send",
    "net_state",
    "open_done",
    "open_handle",
    "proc_exec",
    "proc_exec_path",
    "proc_exit",
    "proc_fork",
    "rename_begins",
    "rename_done",
    "rmdir_begins",
    "rmdir_done",
    "symlink_begins",
    "symlink_done",
    "trunc_begins",
    "unlink_begins",
    "unlink_done",
    "write_begins",
    "write_done",
];

/// Words of [`Canary::muted`].
pub const MUTED_WORDS: usize = PROGRAMS.len().div_ceil(32);

/// What programs are told about the canary: one entry of a map, written by userspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Canary {
    /// Thread whose doings are a canary; 0 while there is none.
    pub thread: u32,
    /// Process whose doings are, too: a child that is born and ends for that. [`NO_PROCESS`] while there is none.
    pub process: u32,
    /// The mark to leave: another one for each thing done.
    pub round: u32,
    /// Port to which a datagram of the canary is sent.
    pub port: u32,
    /// A bit per program, by number, that is attached and shall report nothing: while it is tried, or about to be detached.
    pub muted: [u32; MUTED_WORDS],
}

/// No process: 0 is the number of each processor's idle task.
pub const NO_PROCESS: u32 = u32::MAX;

impl Canary {
    /// No canary, and nobody is muted.
    pub const NONE: Self =
        Self { thread: 0, process: NO_PROCESS, round: 0, port: 0, muted: [0; MUTED_WORDS] };
}

/// Number of a program. Known when the program is compiled, so a name that is not in the list does not compile.
#[must_use]
pub const fn program_number(name: &str) -> Option<u32> {
    let mut number = 0;
    while number < PROGRAMS.len() {
        if equal(PROGRAMS[number].as_bytes(), name.as_bytes()) {
            return Some(number as u32);
        }
        number += 1;
    }
    None
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    a.len() == b.len()
}
