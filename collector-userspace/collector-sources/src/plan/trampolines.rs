//! Rows of tier A: programs at functions of the kernel.
//!
//! Functions whose names begin with `security_` are called from one place each, at which the kernel decides on an
//! operation, whatever way led there. What came of it is known when the `vfs_` function behind the decision returns.
//! A few calls have no such pair; their own entry or return is taken, one function each, so that other calls pay nothing.

use collector_common::Kind;

use super::table::{ACCEPT, ACTS, BY_DESCRIPTOR, Names, OLDEST};
use super::{Attach, Hook, Place, Row, Tier};
use crate::offsets::{
    CHANGING, CLOSED_BY_EXEC, CREDS_FROM_FILE, DENTRY, DESCRIPTOR, FILE, Field, LINKING, LISTEN, MAKING,
    NAMES, OPENING, PATH, PATH_ARGUMENT, REMOVING, RENAMING, SOCKET, SOCKET_FILE, TASK,
};

const fn entry(at: Names, program: &'static str) -> Hook {
    Hook { program, place: Place::Entry, at, attach: Attach::Directly }
}

const fn exit(at: Names, program: &'static str) -> Hook {
    Hook { program, place: Place::Return, at, attach: Attach::Directly }
}

/// The return from a system call, if this kernel has it.
const fn call(at: Names, program: &'static str) -> Hook {
    Hook { program, place: Place::Return, at, attach: Attach::IfThere }
}

const fn row(
    name: &'static str,
    kinds: &'static [Kind],
    mandatory: bool,
    offsets: &'static [&'static [Field]],
    hooks: &'static [Hook],
    why: &'static str,
) -> Row {
    let tiers = &[Tier::A];
    Row {
        name,
        kinds,
        mandatory,
        tiers,
        instead_of: None,
        min_kernel: OLDEST,
        hooks,
        offsets,
        needs: ACTS,
        why,
    }
}

pub(super) const NETWORK: &[Row] = &[
    row(
        "inet_accept",
        &[Kind::NetworkAccept, Kind::NetworkClose],
        true,
        ACCEPT,
        &[exit(&["inet_accept"], "accept_done")],
        "connections accepted",
    ),
    row(
        "inet_listen",
        &[Kind::NetworkListen],
        true,
        &[TASK, SOCKET_FILE, SOCKET, LISTEN],
        &[exit(&["inet_listen"], "listen_done")],
        "sockets that begin to listen",
    ),
    row(
        "connect result",
        &[Kind::NetworkConnect],
        false,
        &[TASK, SOCKET_FILE, SOCKET],
        &[
            exit(&["inet_stream_connect"], "connect_done"),
            exit(&["security_socket_connect"], "connect_denied"),
        ],
        "connects that fail before anything is sent, or are not allowed",
    ),
];

pub(super) const FILES: &[Row] = &[
    row(
        "file open",
        &[Kind::FileCreate, Kind::FileOpen, Kind::FileModify],
        true,
        &[TASK, FILE, PATH, OPENING],
        &[exit(&["do_filp_open", "do_file_open"], "open_done")],
        "files opened, read from the description the kernel made",
    ),
    row(
        "open by handle",
        &[Kind::FileCreate, Kind::FileOpen, Kind::FileModify],
        false,
        BY_DESCRIPTOR,
        &[call(&["__x64_sys_open_by_handle_at", "__arm64_sys_open_by_handle_at"], "open_handle")],
        "files opened by a handle in place of a name",
    ),
    row(
        "file make",
        &[Kind::FileCreate],
        false,
        &[TASK, PATH, PATH_ARGUMENT, DENTRY, MAKING],
        &[
            entry(&["security_path_mkdir"], "mkdir_begins"),
            exit(&["vfs_mkdir"], "mkdir_done"),
            entry(&["security_path_mknod"], "mknod_begins"),
            exit(&["vfs_mknod"], "mknod_done"),
            exit(&["vfs_create"], "create_done"),
        ],
        "directories, nodes, FIFOs and sockets made",
    ),
    row(
        "file write",
        &[Kind::FileModify],
        true,
        BY_DESCRIPTOR,
        &[
            exit(&["vfs_write"], "write_done"),
            entry(&["security_mmap_file"], "map_begins"),
            exit(&["vfs_fallocate"], "allocate_done"),
            entry(&["filp_close"], "close_begins"),
            entry(&["__x64_sys_close", "__arm64_sys_close"], "call_close"),
        ],
        "descriptions written through, reported when they are closed",
    ),
    row(
        "file write by vector",
        &[Kind::FileModify],
        false,
        BY_DESCRIPTOR,
        &[
            call(&["__x64_sys_writev", "__arm64_sys_writev"], "call_writev"),
            call(&["__x64_sys_pwritev", "__arm64_sys_pwritev"], "call_pwritev"),
            call(&["__x64_sys_pwritev2", "__arm64_sys_pwritev2"], "call_pwritev2"),
            call(&["__x64_sys_sendfile64", "__arm64_sys_sendfile64"], "call_sendfile"),
            call(&["__x64_sys_splice", "__arm64_sys_splice"], "call_splice"),
            call(&["__x64_sys_copy_file_range", "__arm64_sys_copy_file_range"], "call_copy_range"),
        ],
        "files written from several buffers or from another file at once",
    ),
    row(
        "file write by other ways",
        &[Kind::FileModify],
        false,
        BY_DESCRIPTOR,
        &[entry(&["security_file_permission"], "write_begins")],
        "files written by io_uring and by 32-bit programs",
    ),
    Row {
        instead_of: Some("files closed by exec"),
        ..row(
            "files closed by exec, before 6.10",
            &[Kind::FileModify],
            false,
            &[TASK, DESCRIPTOR, CLOSED_BY_EXEC, CREDS_FROM_FILE, FILE, PATH],
            &[entry(&["security_bprm_creds_from_file"], "creds_begins")],
            "written files that an exec closes",
        )
    },
    row(
        "file delete",
        &[Kind::FileDelete],
        true,
        &[TASK, PATH, PATH_ARGUMENT, DENTRY, REMOVING],
        &[
            entry(&["security_path_unlink"], "unlink_begins"),
            exit(&["vfs_unlink"], "unlink_done"),
            entry(&["security_path_rmdir"], "rmdir_begins"),
            exit(&["vfs_rmdir"], "rmdir_done"),
        ],
        "names removed",
    ),
    row(
        "file rename",
        &[Kind::FileRename],
        true,
        &[TASK, PATH, PATH_ARGUMENT, DENTRY, RENAMING],
        &[entry(&["security_path_rename"], "rename_begins"), exit(&["vfs_rename"], "rename_done")],
        "names changed",
    ),
    row(
        "file link",
        &[Kind::FileLink],
        true,
        &[TASK, PATH, PATH_ARGUMENT, DENTRY, LINKING],
        &[
            entry(&["security_path_link"], "link_begins"),
            exit(&["vfs_link"], "link_done"),
            entry(&["security_path_symlink"], "symlink_begins"),
            exit(&["vfs_symlink"], "symlink_done"),
        ],
        "hard and symbolic links made",
    ),
    row(
        "file attributes",
        &[Kind::FileAttributes, Kind::FileModify],
        true,
        &[TASK, PATH, PATH_ARGUMENT, DENTRY, CHANGING, FILE],
        &[
            entry(&["security_path_chmod"], "chmod_begins"),
            entry(&["security_path_chown"], "chown_begins"),
            entry(&["security_path_truncate"], "trunc_begins"),
            exit(&["notify_change"], "change_done"),
        ],
        "mode and owner changed, files cut",
    ),
    row(
        "file times and extended attributes",
        &[Kind::FileAttributes],
        false,
        &[TASK, DESCRIPTOR, FILE, NAMES, PATH],
        &[
            call(&["__x64_sys_utime", "__arm64_sys_utime"], "call_utime"),
            call(&["__x64_sys_utimes", "__arm64_sys_utimes"], "call_utimes"),
            call(&["__x64_sys_futimesat", "__arm64_sys_futimesat"], "call_futimesat"),
            call(&["__x64_sys_utimensat", "__arm64_sys_utimensat"], "call_utimensat"),
            call(&["__x64_sys_setxattr", "__arm64_sys_setxattr"], "call_setxattr"),
            call(&["__x64_sys_lsetxattr", "__arm64_sys_lsetxattr"], "call_lsetxattr"),
            call(&["__x64_sys_fsetxattr", "__arm64_sys_fsetxattr"], "call_fsetxattr"),
            call(&["__x64_sys_removexattr", "__arm64_sys_removexattr"], "call_rmxattr"),
            call(&["__x64_sys_lremovexattr", "__arm64_sys_lremovexattr"], "call_lrmxattr"),
            call(&["__x64_sys_fremovexattr", "__arm64_sys_fremovexattr"], "call_frmxattr"),
            call(&["__x64_sys_setxattrat", "__arm64_sys_setxattrat"], "call_setxattrat"),
            call(&["__x64_sys_removexattrat", "__arm64_sys_removexattrat"], "call_rmxattrat"),
        ],
        "times and extended attributes changed",
    ),
];
