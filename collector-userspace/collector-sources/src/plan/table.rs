//! The table of hooks. Order matters: programs are attached in it.

use collector_common::{Kind, name};

use super::{Attach, Hook, Need, Place, Row, Tier, trampolines};
use crate::features::KernelVersion;
use crate::offsets::{
    CLOSED_BY_EXEC, CREDENTIALS, DESCRIPTOR, EXEC, EXIT, FILE, Field, LEFT_OPEN, LISTEN, NAMES, OPEN_SET,
    PACKET, PATH, SOCKET, SOCKET_FILE, TASK, TCP,
};

/// Every row of the table.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [PROCESS, trampolines::NETWORK, NETWORK, trampolines::FILES, FILES].into_iter().flatten()
}

/// Every kernel function the table uses, likewise.
pub fn functions() -> impl Iterator<Item = &'static str> {
    let hooks = rows().flat_map(|row| row.hooks).filter(|hook| hook.place != Place::Tracepoint);
    hooks.flat_map(|hook| hook.at).copied()
}

pub(super) type Names = &'static [&'static str];

const EXEC_POINT: Names = &["sched_process_exec"];
const SHUT_POINT: Names = &["sched_prepare_exec"];
const FORK_POINT: Names = &["sched_process_fork"];
const QUIT_POINT: Names = &["sched_process_exit"];
const STATE_POINT: Names = &["inet_sock_set_state"];
const QUEUE_POINT: Names = &["net_dev_queue"];
const ENTER_POINT: Names = &["sys_enter"];
const EXIT_POINT: Names = &["sys_exit"];

/// Kernels before this were never tried.
pub(super) const OLDEST: KernelVersion = KernelVersion::new(5, 10);

const fn at(tracepoint: Names, program: &'static str) -> Hook {
    Hook { program, place: Place::Tracepoint, at: tracepoint, attach: Attach::Directly }
}

const fn stage(tracepoint: Names, map: &'static str, slot: u32, program: &'static str) -> Hook {
    Hook { program, place: Place::Tracepoint, at: tracepoint, attach: Attach::Stage { map, slot } }
}

const fn on_exit(program: &'static str, calls: Names) -> Hook {
    Hook { program, place: Place::Tracepoint, at: EXIT_POINT, attach: Attach::ExitCall(calls) }
}

const fn on_enter(program: &'static str, calls: Names) -> Hook {
    Hook { program, place: Place::Tracepoint, at: ENTER_POINT, attach: Attach::EnterCall(calls) }
}

/// Resolves paths of file records begun at the exit of a system call.
const FINISH: Hook = stage(EXIT_POINT, name::EXIT_STAGES, 0, "file_finish");
/// The same for those begun on the way into one.
const FINISH_ENTER: Hook = stage(ENTER_POINT, name::ENTER_STAGES, 0, "file_finish_ent");

/// Every program numbers its records with a fetching addition.
pub(super) const EMITS: &[Need] = &[Need::FetchAtomics];
/// Programs whose tracepoint has no task among its arguments ask for the running one.
pub(super) const ACTS: &[Need] = &[Need::FetchAtomics, Need::CurrentTask];

/// A row of tier B.
const fn row(
    name: &'static str,
    kinds: &'static [Kind],
    mandatory: bool,
    needs: &'static [Need],
    offsets: &'static [&'static [Field]],
    hooks: &'static [Hook],
    why: &'static str,
) -> Row {
    let tiers = &[Tier::B];
    Row { name, kinds, mandatory, tiers, instead_of: None, min_kernel: OLDEST, hooks, offsets, needs, why }
}

/// A row of both tiers: no place in the kernel would tell more than its tracepoint does.
const fn in_both(row: Row) -> Row {
    Row { tiers: &[Tier::A, Tier::B], ..row }
}

const PROCESS: &[Row] = &[
    in_both(row(
        "exec",
        &[Kind::ProcessExec],
        true,
        EMITS,
        &[TASK, CREDENTIALS, EXEC, PATH],
        &[at(EXEC_POINT, "proc_exec"), stage(EXEC_POINT, name::EXEC_STAGES, 0, "proc_exec_path")],
        "images as the kernel put them in place, with the arguments it copied",
    )),
    in_both(row(
        "fork",
        &[Kind::ProcessFork],
        true,
        EMITS,
        &[TASK, CREDENTIALS],
        &[at(FORK_POINT, "proc_fork")],
        "new processes, with parent and credentials; keeps the descendants of a pid filter",
    )),
    // Before the end of the process, so that its last file events precede it.
    in_both(row(
        "files left open",
        &[Kind::FileModify],
        false,
        EMITS,
        &[TASK, DESCRIPTOR, OPEN_SET, LEFT_OPEN, FILE, PATH],
        &[
            at(QUIT_POINT, "exit_files"),
            stage(QUIT_POINT, name::QUIT_STAGES, 0, "file_quit"),
            stage(QUIT_POINT, name::QUIT_STAGES, 1, "file_finish_end"),
        ],
        "written files that a process leaves for the kernel to close",
    )),
    in_both(row(
        "files closed by exec",
        &[Kind::FileModify],
        false,
        EMITS,
        &[TASK, DESCRIPTOR, CLOSED_BY_EXEC, FILE, PATH],
        &[
            at(SHUT_POINT, "exec_files"),
            stage(SHUT_POINT, name::SHUT_STAGES, 0, "file_shut"),
            stage(SHUT_POINT, name::SHUT_STAGES, 1, "file_finish_sht"),
        ],
        "written files that an exec closes",
    )),
    in_both(row(
        "exit",
        &[Kind::ProcessExit],
        true,
        EMITS,
        &[TASK, EXIT],
        &[at(QUIT_POINT, "proc_exit")],
        "ends of processes, with status",
    )),
];

const NETWORK: &[Row] = &[
    in_both(row(
        "tcp state",
        &[Kind::NetworkConnect, Kind::NetworkClose],
        true,
        ACTS,
        &[TASK, SOCKET, TCP],
        &[at(STATE_POINT, "net_state")],
        "every change of a TCP socket's state, however it was brought about",
    )),
    in_both(row(
        "udp send",
        &[Kind::NetworkSend],
        true,
        ACTS,
        &[TASK, PACKET],
        &[at(QUEUE_POINT, "net_send")],
        "packets on their way out, in the context of their sender",
    )),
    row(
        "failed connect",
        &[Kind::NetworkConnect],
        false,
        ACTS,
        ACCEPT,
        &[on_exit("net_connect", &["connect"])],
        "connects that fail before anything is sent",
    ),
    row("accept", &[Kind::NetworkAccept], true, ACTS, ACCEPT, &[ON_ACCEPT], "connections accepted"),
    row(
        "close of accepted",
        &[Kind::NetworkClose],
        false,
        ACTS,
        ACCEPT,
        &[ON_ACCEPT],
        "ends of accepted connections",
    ),
    row(
        "listen",
        &[Kind::NetworkListen],
        true,
        ACTS,
        &[TASK, DESCRIPTOR, SOCKET_FILE, SOCKET, LISTEN],
        &[on_exit("net_listen", &["listen"])],
        "sockets that begin to listen",
    ),
];

pub(super) const ACCEPT: &[&[Field]] = &[TASK, DESCRIPTOR, SOCKET_FILE, SOCKET, TCP];
const ON_ACCEPT: Hook = on_exit("net_accept", &["accept", "accept4"]);

/// What records of files take that name them by descriptor, and by name.
pub(super) const BY_DESCRIPTOR: &[&[Field]] = &[TASK, DESCRIPTOR, FILE, PATH];
pub(super) const BY_NAME: &[&[Field]] = &[TASK, DESCRIPTOR, NAMES, PATH];

const FILES: &[Row] = &[
    // Also for modifications: an open may truncate, and clears what is remembered of the description's
    // predecessor at the same address.
    row(
        "open",
        &[Kind::FileCreate, Kind::FileOpen, Kind::FileModify],
        true,
        ACTS,
        BY_DESCRIPTOR,
        &[
            on_exit("file_open", &["open"]),
            on_exit("file_openat", &["openat", "open_by_handle_at"]),
            on_exit("file_creat", &["creat", "openat2"]),
            FINISH,
        ],
        "files opened, read from the description the kernel made",
    ),
    row(
        "make",
        &[Kind::FileCreate],
        false,
        ACTS,
        BY_NAME,
        &[
            on_exit("file_mkdir", &["mkdir"]),
            on_exit("file_mkdirat", &["mkdirat"]),
            on_exit("file_mknod", &["mknod"]),
            on_exit("file_mknodat", &["mknodat"]),
            FINISH,
        ],
        "directories, nodes and FIFOs made",
    ),
    row(
        "write",
        &[Kind::FileModify],
        true,
        ACTS,
        BY_DESCRIPTOR,
        &[
            on_exit("file_write", &["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"]),
            on_exit("file_copy", &["splice", "copy_file_range"]),
            on_exit("file_resize", &["ftruncate", "fallocate"]),
            on_exit("file_mmap", &["mmap"]),
            on_enter("file_close", &["close"]),
            on_enter("file_dup", &["dup2", "dup3"]),
            FINISH_ENTER,
        ],
        "descriptions written through, reported when they are closed",
    ),
    row(
        "close_range",
        &[Kind::FileModify],
        false,
        ACTS,
        &[TASK, DESCRIPTOR, OPEN_SET, FILE, PATH],
        &[
            on_enter("file_closerange", &["close_range"]),
            FINISH_ENTER,
            stage(ENTER_POINT, name::ENTER_STAGES, 1, "file_close_rest"),
        ],
        "written files closed many at once",
    ),
    row(
        "truncate",
        &[Kind::FileModify],
        false,
        ACTS,
        BY_NAME,
        &[on_exit("file_truncate", &["truncate"]), FINISH],
        "files truncated by name",
    ),
    row(
        "delete",
        &[Kind::FileDelete],
        true,
        ACTS,
        BY_NAME,
        &[
            on_exit("file_unlink", &["unlink"]),
            on_exit("file_rmdir", &["rmdir"]),
            on_exit("file_unlinkat", &["unlinkat"]),
            FINISH,
        ],
        "names removed",
    ),
    row(
        "rename",
        &[Kind::FileRename],
        true,
        ACTS,
        BY_NAME,
        &[
            on_exit("file_rename", &["rename"]),
            on_exit("file_renameat", &["renameat"]),
            on_exit("file_renameat2", &["renameat2"]),
            FINISH,
        ],
        "names changed",
    ),
    row(
        "link",
        &[Kind::FileLink],
        true,
        ACTS,
        BY_NAME,
        &[
            on_exit("file_link", &["link"]),
            on_exit("file_linkat", &["linkat"]),
            on_exit("file_symlink", &["symlink"]),
            on_exit("file_symlinkat", &["symlinkat"]),
            FINISH,
        ],
        "hard and symbolic links made",
    ),
    row(
        "attributes by name",
        &[Kind::FileAttributes],
        true,
        ACTS,
        BY_NAME,
        &[
            on_exit("file_chmod", &["chmod"]),
            on_exit("file_chmodat", &["fchmodat", "fchmodat2"]),
            on_exit("file_chown", &["chown", "lchown"]),
            on_exit("file_chownat", &["fchownat"]),
            on_exit("file_utime", &["utime", "utimes"]),
            on_exit("file_xattr", &["setxattr", "lsetxattr", "removexattr", "lremovexattr"]),
            on_exit("file_xattrat", &["setxattrat", "removexattrat"]),
            FINISH,
        ],
        "mode, owner, times and extended attributes changed by name",
    ),
    row(
        "attributes by descriptor",
        &[Kind::FileAttributes],
        true,
        ACTS,
        &[TASK, DESCRIPTOR, FILE, NAMES, PATH],
        &[
            on_exit("file_fchmod", &["fchmod"]),
            on_exit("file_fchown", &["fchown"]),
            on_exit("file_utimeat", &["utimensat", "futimesat"]),
            on_exit("file_fxattr", &["fsetxattr", "fremovexattr"]),
            FINISH,
        ],
        "mode, owner, times and extended attributes changed by descriptor",
    ),
];
