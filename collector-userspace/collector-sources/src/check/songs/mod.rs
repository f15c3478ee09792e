//! What the canary does: every system call and operation that a program may be there for, as harmlessly as can be.
//!
//! A program that is told of a call whatever comes of it hears one that fails. What has to succeed is done to an anonymous
//! file, to sockets on the loopback device that nobody is told of, or in the canary's own directory.

mod props;

use std::ffi::CStr;

use libc::c_long;
use rustix::io::Errno;

use super::expected::{MAKE_FILE, REMOVE_DIR, SEND};
pub(super) use props::Props;
use props::{ADDRESS_LEN, HERE, NO_FD, NOTHING, call, fd, flags, just, loopback, name, opening};

/// One thing to do.
pub(super) struct Song {
    /// Its name, as in [`Expected`](super::expected::Expected).
    pub(super) call: &'static str,
    way: Way,
}

#[derive(Clone, Copy)]
enum Way {
    /// A call with the name of nothing as its first argument.
    OfNothing(c_long),
    /// The same behind a directory.
    AtNothing(c_long),
    /// A call with no descriptor as its first and third arguments.
    OfNoFile(c_long),
    /// Something that may succeed.
    Try(fn(&Props) -> Result<(), Errno>),
}

impl Song {
    /// Does it.
    ///
    /// # Errors
    /// When the call failed, be it on purpose.
    pub(super) fn sing(&self, props: &Props) -> Result<(), Errno> {
        match self.way {
            Way::OfNothing(number) => just(number, [name(NOTHING), 0, 0, 0, 0, 0]),
            Way::AtNothing(number) => just(number, [HERE, name(NOTHING), 0, 0, 0, 0]),
            Way::OfNoFile(number) => just(number, [NO_FD, 0, NO_FD, 0, 0, 0]),
            Way::Try(sing) => sing(props),
        }
    }
}

/// Things that are quick, in order.
pub(super) fn quick() -> impl Iterator<Item = &'static Song> {
    QUICK.iter().chain(QUICK_OF_ARCH)
}

/// Things done in a directory, in order: the first one makes it and the last one removes it.
pub(super) fn in_directory() -> impl Iterator<Item = &'static Song> {
    IN_DIRECTORY.iter()
}

#[cfg(test)]
pub(super) fn is_known(call: &str) -> bool {
    use super::expected::{EXEC, EXIT, FORK};
    quick().chain(in_directory()).any(|song| song.call == call) || [FORK, EXEC, EXIT].contains(&call)
}

const fn song(call: &'static str, way: Way) -> Song {
    Song { call, way }
}

const fn try_to(call: &'static str, sing: fn(&Props) -> Result<(), Errno>) -> Song {
    song(call, Way::Try(sing))
}

/// `fchmodat2`, the same on every architecture; libc does not have it for all of them.
const FCHMODAT2: c_long = 452;
// Younger than the C library's list; the same numbers everywhere.
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;

const QUICK: &[Song] = &[
    // Files opened.
    try_to("openat", |_| {
        let how = flags(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        opening(libc::SYS_openat, [HERE, name(c"/"), how, 0, 0, 0]).map(drop)
    }),
    song("openat2", Way::AtNothing(libc::SYS_openat2)),
    song("open_by_handle_at", Way::OfNoFile(libc::SYS_open_by_handle_at)),
    // Written.
    try_to("write", |it| just(libc::SYS_write, [fd(&it.file), name(c"canary"), 6, 0, 0, 0])),
    song("pwrite64", Way::OfNoFile(libc::SYS_pwrite64)),
    song("writev", Way::OfNoFile(libc::SYS_writev)),
    song("pwritev", Way::OfNoFile(libc::SYS_pwritev)),
    song("pwritev2", Way::OfNoFile(libc::SYS_pwritev2)),
    song("sendfile", Way::OfNoFile(libc::SYS_sendfile)),
    song("splice", Way::OfNoFile(libc::SYS_splice)),
    song("copy_file_range", Way::OfNoFile(libc::SYS_copy_file_range)),
    try_to("fallocate", |it| just(libc::SYS_fallocate, [fd(&it.file), 0, 0, 1, 0, 0])),
    song("ftruncate", Way::OfNoFile(libc::SYS_ftruncate)),
    try_to("truncate", |it| {
        let path = format!("/proc/self/fd/{}\0", fd(&it.file));
        just(libc::SYS_truncate, [path.as_ptr().addr(), 0, 0, 0, 0, 0])
    }),
    try_to("mmap", |_| {
        const PAGE: usize = 4096;
        let how = flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let address = call(libc::SYS_mmap, [0, PAGE, flags(libc::PROT_READ), how, NO_FD, 0])?;
        just(libc::SYS_munmap, [address, PAGE, 0, 0, 0, 0])
    }),
    // Closed.
    song("close", Way::OfNoFile(libc::SYS_close)),
    try_to("dup3", |it| just(libc::SYS_dup3, [fd(&it.file), fd(&it.spare), flags(libc::O_CLOEXEC), 0, 0, 0])),
    try_to("close_range", |_| {
        const HIGHEST: usize = u32::MAX as usize;
        just(libc::SYS_close_range, [HIGHEST, HIGHEST, 0, 0, 0, 0])
    }),
    // Changed.
    try_to("fchmod", |it| just(libc::SYS_fchmod, [fd(&it.file), 0o600, 0, 0, 0, 0])),
    song("fchmodat", Way::AtNothing(libc::SYS_fchmodat)),
    song("fchmodat2", Way::AtNothing(FCHMODAT2)),
    try_to("fchown", |it| just(libc::SYS_fchown, [fd(&it.file), NO_FD, NO_FD, 0, 0, 0])),
    song("fchownat", Way::AtNothing(libc::SYS_fchownat)),
    song("utimensat", Way::AtNothing(libc::SYS_utimensat)),
    song("setxattr", Way::OfNothing(libc::SYS_setxattr)),
    song("lsetxattr", Way::OfNothing(libc::SYS_lsetxattr)),
    song("fsetxattr", Way::OfNoFile(libc::SYS_fsetxattr)),
    song("setxattrat", Way::AtNothing(SETXATTRAT)),
    song("removexattr", Way::OfNothing(libc::SYS_removexattr)),
    song("lremovexattr", Way::OfNothing(libc::SYS_lremovexattr)),
    song("fremovexattr", Way::OfNoFile(libc::SYS_fremovexattr)),
    song("removexattrat", Way::AtNothing(REMOVEXATTRAT)),
    song("renameat", Way::AtNothing(libc::SYS_renameat)),
    // Sockets.
    try_to("listen", |it| just(libc::SYS_listen, [fd(&it.listener), 1, 0, 0, 0, 0])),
    try_to("accept", |it| nobody_came(just(libc::SYS_accept, [fd(&it.listener), 0, 0, 0, 0, 0]))),
    try_to("accept4", |it| nobody_came(just(libc::SYS_accept4, [fd(&it.listener), 0, 0, 0, 0, 0]))),
    try_to("connect", |it| {
        // An address of no family ends a connection, and there is none.
        let mut address = loopback(0);
        address.sin_family = libc::AF_UNSPEC as libc::sa_family_t;
        just(libc::SYS_connect, [fd(&it.client), (&raw const address).addr(), ADDRESS_LEN, 0, 0, 0])
    }),
    try_to(SEND, |it| {
        let address = loopback(it.port);
        let to = (&raw const address).addr();
        just(libc::SYS_sendto, [fd(&it.datagrams), name(c"canary"), 6, 0, to, ADDRESS_LEN])
    }),
];

/// An accept came as far as it can if nobody wants to be accepted.
fn nobody_came(result: Result<(), Errno>) -> Result<(), Errno> {
    if result == Err(Errno::AGAIN) { Ok(()) } else { result }
}

/// Calls that only old architectures have.
#[cfg(target_arch = "x86_64")]
const QUICK_OF_ARCH: &[Song] = &[
    try_to("dup2", |it| just(libc::SYS_dup2, [fd(&it.file), fd(&it.spare), 0, 0, 0, 0])),
    song("open", Way::OfNothing(libc::SYS_open)),
    song("creat", Way::OfNothing(libc::SYS_creat)),
    song("mkdir", Way::OfNothing(libc::SYS_mkdir)),
    song("mknod", Way::OfNothing(libc::SYS_mknod)),
    song("unlink", Way::OfNothing(libc::SYS_unlink)),
    song("rmdir", Way::OfNothing(libc::SYS_rmdir)),
    song("rename", Way::OfNothing(libc::SYS_rename)),
    song("link", Way::OfNothing(libc::SYS_link)),
    song("symlink", Way::OfNothing(libc::SYS_symlink)),
    song("chmod", Way::OfNothing(libc::SYS_chmod)),
    song("chown", Way::OfNothing(libc::SYS_chown)),
    song("lchown", Way::OfNothing(libc::SYS_lchown)),
    song("utime", Way::OfNothing(libc::SYS_utime)),
    song("utimes", Way::OfNothing(libc::SYS_utimes)),
    song("futimesat", Way::AtNothing(libc::SYS_futimesat)),
];

#[cfg(not(target_arch = "x86_64"))]
const QUICK_OF_ARCH: &[Song] = &[];

/// The canary's directory.
const DIRECTORY: &CStr = c"canary";
/// What it makes there. A killed one may have left it.
const MADE: [&CStr; 4] = [FILE, FIFO, LINK, MOVED];
const FILE: &CStr = c"canary/file";
const FIFO: &CStr = c"canary/fifo";
const LINK: &CStr = c"canary/link";
const MOVED: &CStr = c"canary/moved";

const IN_DIRECTORY: &[Song] = &[
    try_to("mkdirat", |it| {
        let make = || below(it, libc::SYS_mkdirat, [fd(&it.base), name(DIRECTORY), 0o700, 0, 0, 0]);
        match make() {
            Err(Errno::EXIST) => {
                for made in MADE {
                    let _ = remove(it, made, 0);
                }
                remove(it, DIRECTORY, libc::AT_REMOVEDIR)?;
                make()
            }
            result => result,
        }
    }),
    try_to("mknodat", |it| make_node(it, FIFO, libc::S_IFIFO)),
    try_to(MAKE_FILE, |it| make_node(it, FILE, libc::S_IFREG)),
    try_to("linkat", |it| {
        let base = fd(&it.base);
        below(it, libc::SYS_linkat, [base, name(FILE), base, name(LINK), 0, 0])
    }),
    try_to("renameat2", |it| {
        let base = fd(&it.base);
        below(it, libc::SYS_renameat2, [base, name(LINK), base, name(MOVED), 0, 0])
    }),
    try_to("symlinkat", |it| {
        below(it, libc::SYS_symlinkat, [name(c"file"), fd(&it.base), name(LINK), 0, 0, 0])
    }),
    try_to("unlinkat", |it| MADE.iter().try_for_each(|made| remove(it, made, 0))),
    try_to(REMOVE_DIR, |it| remove(it, DIRECTORY, libc::AT_REMOVEDIR)),
];

fn make_node(it: &Props, node: &CStr, kind: libc::mode_t) -> Result<(), Errno> {
    below(it, libc::SYS_mknodat, [fd(&it.base), name(node), (kind | 0o600) as usize, 0, 0, 0])
}

fn remove(it: &Props, what: &CStr, how: libc::c_int) -> Result<(), Errno> {
    below(it, libc::SYS_unlinkat, [fd(&it.base), name(what), flags(how), 0, 0, 0])
}

/// A call on something in the directory. It is made even if there is none, to be heard as a call.
fn below(it: &Props, number: c_long, arguments: [usize; 6]) -> Result<(), Errno> {
    let result = just(number, arguments);
    it.base.as_ref().map_err(|errno| *errno)?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_has_to_succeed_does_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        // What a killed one left.
        std::fs::create_dir(dir.path().join("canary")).unwrap();
        std::fs::write(dir.path().join("canary/file"), "").unwrap();
        let props = Props::new(Some(dir.path()));
        for song in quick().chain(in_directory()) {
            let result = song.sing(&props);
            if matches!(song.way, Way::Try(_)) {
                assert_eq!(result, Ok(()), "{}", song.call);
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_directory_the_reason_is_told() {
        let props = Props::new(None);
        for song in in_directory() {
            assert_eq!(song.sing(&props), Err(Errno::NOENT), "{}", song.call);
        }
    }
}
