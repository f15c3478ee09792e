//! Socket fields.

use collector_common::{NetworkWire, TaskWire};

use crate::file;
use crate::kernel::{load, offset, read_at};

pub const TCP_ESTABLISHED: u16 = 1;
pub const TCP_SYN_SENT: u16 = 2;
pub const TCP_CLOSE: u16 = 7;
pub const TCP_LISTEN: u16 = 10;

pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
pub const IPPROTO_TCP: u16 = 6;
pub const IPPROTO_UDP: u16 = 17;
const S_IFSOCK: u16 = 0o140_000;

/// An empty task, to be filled.
pub const NOBODY: TaskWire = TaskWire {
    pid: 0,
    tid: 0,
    ppid: 0,
    uid: 0,
    gid: 0,
    flags: 0,
    start_ns: 0,
    image: 0,
    cgroup_id: 0,
    mnt_ns: 0,
    net_ns: 0,
    comm: [0; 16],
    start_stack: 0,
};

/// The `struct sock` behind a descriptor, if it is a socket.
///
/// # Safety
/// `task` must be a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn of_descriptor(task: *const u8, fd: i32) -> Option<Untyped> {
    // SAFETY: by the caller's promise.
    let description = unsafe { file::description(task, fd) };
    if description == 0 || file::mode_of(description) & file::S_IFMT != S_IFSOCK {
        return None;
    }
    let socket: u64 = read_at(description, offset!(file_private));
    let sock = read_at(socket, offset!(socket_sk));
    (sock != 0).then_some(Untyped(sock))
}

/// A socket to read from.
pub trait Socket: Copy {
    /// A field of `struct sock`.
    fn field<T: Copy + Default>(self, offset: usize) -> T;

    /// Its address.
    fn address(self) -> u64;
}

/// A socket the verifier has a type for: fields cost a memory access.
#[derive(Clone, Copy)]
pub struct Typed(*const u8);

impl Typed {
    /// # Safety
    /// `sock` must be a typed, trusted `struct sock` pointer.
    #[inline(always)]
    pub const unsafe fn new(sock: *const u8) -> Self {
        Self(sock)
    }
}

impl Socket for Typed {
    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: usize) -> T {
        // SAFETY: by the promise to `new`.
        unsafe { load(self.0, offset) }
    }

    #[inline(always)]
    fn address(self) -> u64 {
        self.0 as u64
    }
}

/// A socket that is only an address.
#[derive(Clone, Copy)]
pub struct Untyped(pub u64);

impl Socket for Untyped {
    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: usize) -> T {
        read_at(self.0, offset)
    }

    #[inline(always)]
    fn address(self) -> u64 {
        self.0
    }
}

/// Whether a socket is TCP over IPv4 or IPv6.
#[inline(always)]
pub fn is_tcp(sock: impl Socket) -> bool {
    let family: u16 = sock.field(offset!(sk_family));
    (family == AF_INET || family == AF_INET6) && sock.field::<u16>(offset!(sk_protocol)) == IPPROTO_TCP
}

/// TCP state.
#[inline(always)]
pub fn state(sock: impl Socket) -> u16 {
    u16::from(sock.field::<u8>(offset!(sk_state)))
}

/// Backlog of a listening socket.
#[inline(always)]
pub fn backlog(sock: impl Socket) -> u32 {
    sock.field(offset!(sk_max_ack_backlog))
}

/// Fills in addresses and clears everything else but header and task.
///
/// # Safety
/// `record` must be writable.
#[inline(always)]
pub unsafe fn describe(sock: impl Socket, record: *mut NetworkWire) {
    let family: u16 = sock.field(offset!(sk_family));
    let (local, remote): ([u64; 2], [u64; 2]) = if family == AF_INET6 {
        let (local, remote) = (offset!(sk_v6_rcv_saddr), offset!(sk_v6_daddr));
        ([sock.field(local), sock.field(local + 8)], [sock.field(remote), sock.field(remote + 8)])
    } else {
        let local: u32 = sock.field(offset!(sk_rcv_saddr));
        let remote: u32 = sock.field(offset!(sk_daddr));
        ([u64::from(local), 0], [u64::from(remote), 0])
    };
    // SAFETY: by the caller's promise; address fields are 16 bytes, 8-byte aligned.
    unsafe {
        (*record).family = family;
        (*record).protocol = IPPROTO_TCP;
        (*record).old_state = 0;
        (*record).new_state = 0;
        // The host-order number is zeroed when a socket is unhashed; this one stays. It lies beyond `struct sock`.
        (*record).local_port = u16::from_be(read_at(sock.address(), offset!(inet_sport)));
        (*record).remote_port = u16::from_be(sock.field(offset!(sk_dport)));
        (*record).flags = 0;
        (&raw mut (*record).local).cast::<[u64; 2]>().write(local);
        (&raw mut (*record).remote).cast::<[u64; 2]>().write(remote);
        (*record).bytes_sent = 0;
        (*record).bytes_received = 0;
        (*record).result = 0;
        (*record).backlog = 0;
    }
}
