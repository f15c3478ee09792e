//! What the canary does things with, and system calls without the C library's opinions.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use libc::c_long;
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::io::Errno;

/// What is there for the canary while it sings. What could not be had says why.
pub(in crate::check) struct Props {
    /// An anonymous file.
    pub(super) file: Result<OwnedFd, Errno>,
    /// The same, to be replaced by duplicating onto it.
    pub(super) spare: Result<OwnedFd, Errno>,
    /// A TCP socket, bound to the loopback device.
    pub(super) listener: Result<OwnedFd, Errno>,
    /// Another one, not bound.
    pub(super) client: Result<OwnedFd, Errno>,
    /// A UDP socket, bound to the loopback device.
    pub(super) datagrams: Result<OwnedFd, Errno>,
    /// Its port; 0 if it has none.
    pub(in crate::check) port: u16,
    /// Where the canary makes its directory.
    pub(super) base: Result<OwnedFd, Errno>,
}

impl Props {
    /// `directory` is where the canary may make a directory of its own.
    pub(in crate::check) fn new(directory: Option<&Path>) -> Self {
        let file = memfd_create(c"collector", MemfdFlags::CLOEXEC);
        let spare = file.as_ref().map_err(|errno| *errno).and_then(rustix::io::dup);
        let datagrams = socket(libc::SOCK_DGRAM).and_then(on_loopback);
        let port = datagrams.as_ref().ok().and_then(port_of).unwrap_or(0);
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &Path| rustix::fs::open(path, flags, Mode::empty());
        Self {
            file,
            spare,
            listener: socket(libc::SOCK_STREAM).and_then(on_loopback),
            client: socket(libc::SOCK_STREAM),
            datagrams,
            port,
            base: directory.map_or(Err(Errno::NOENT), open),
        }
    }
}

/// A system call.
pub(super) fn call(number: c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: who calls this passes numbers, and addresses of what lives until the call returns.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| last_error())
}

/// A system call whose result is nobody's.
pub(super) fn just(number: c_long, arguments: [usize; 6]) -> Result<(), Errno> {
    call(number, arguments).map(drop)
}

/// A system call that returns a descriptor.
pub(super) fn opening(number: c_long, arguments: [usize; 6]) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(call(number, arguments)?).map_err(|_| Errno::BADF)?;
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// No descriptor, as an argument.
pub(super) const NO_FD: usize = usize::MAX;
/// The working directory, as an argument.
pub(super) const HERE: usize = libc::AT_FDCWD as usize;
/// A name that nothing has: the kernel refuses it before it looks for it.
pub(super) const NOTHING: &CStr = c"";

/// A descriptor as an argument; none if it is not there.
pub(super) fn fd(of: &Result<OwnedFd, Errno>) -> usize {
    of.as_ref().map_or(NO_FD, |fd| usize::try_from(fd.as_raw_fd()).unwrap_or(NO_FD))
}

/// A name as an argument.
pub(super) fn name(of: &CStr) -> usize {
    of.as_ptr().addr()
}

/// Bits of flags as an argument.
pub(super) fn flags(bits: libc::c_int) -> usize {
    usize::try_from(bits).unwrap_or(0)
}

/// Length of [`loopback`] as an argument.
pub(super) const ADDRESS_LEN: usize = size_of::<libc::sockaddr_in>();

/// 127.0.0.1 and this port.
pub(super) fn loopback(port: u16) -> libc::sockaddr_in {
    let address = libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) };
    let sin_family = libc::AF_INET as libc::sa_family_t;
    libc::sockaddr_in { sin_family, sin_port: port.to_be(), sin_addr: address, sin_zero: [0; 8] }
}

fn socket(kind: libc::c_int) -> Result<OwnedFd, Errno> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    opening(libc::SYS_socket, [flags(libc::AF_INET), flags(kind), 0, 0, 0, 0])
}

fn on_loopback(socket: OwnedFd) -> Result<OwnedFd, Errno> {
    let address = loopback(0);
    let socket = Ok(socket);
    just(libc::SYS_bind, [fd(&socket), (&raw const address).addr(), ADDRESS_LEN, 0, 0, 0])?;
    socket
}

fn port_of(socket: &OwnedFd) -> Option<u16> {
    let mut address = loopback(0);
    let mut len = ADDRESS_LEN as libc::socklen_t;
    let of = usize::try_from(socket.as_raw_fd()).ok()?;
    just(libc::SYS_getsockname, [of, (&raw mut address).addr(), (&raw mut len).addr(), 0, 0, 0]).ok()?;
    Some(u16::from_be(address.sin_port))
}
