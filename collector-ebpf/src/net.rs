//! Socket fields.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use collector_common::{NetworkWire, TaskWire};

use crate::file;
use crate::kernel::{offset, read_at};

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

/// The `struct sock` behind a descriptor; 0 if it is not a socket.
///
/// # Safety
/// `task` must be a typed `task_struct` pointer.
#[inline(always)]
pub unsafe fn of_descriptor(task: *const u8, fd: i32) -> u64 {
    // SAFETY: by the caller's promise.
    let description = unsafe { file::description(task, fd) };
    if description == 0 || file::mode_of(description) & file::S_IFMT != S_IFSOCK {
        return 0;
    }
    let socket: u64 = read_at(description, offset!(file_private));
    read_at(socket, offset!(socket_sk))
}

/// Whether a socket is TCP over IPv4 or IPv6.
#[inline(always)]
pub fn is_tcp(sock: u64) -> bool {
    let family: u16 = read_at(sock, offset!(sk_family));
    (family == AF_INET || family == AF_INET6) && read_at::<u16>(sock, offset!(sk_protocol)) == IPPROTO_TCP
}

/// TCP state.
#[inline(always)]
pub fn state(sock: u64) -> u8 {
    read_at(sock, offset!(sk_state))
}

/// Backlog of a listening socket.
#[inline(always)]
pub fn backlog(sock: u64) -> u32 {
    read_at(sock, offset!(sk_max_ack_backlog))
}

/// Fills in addresses and clears everything else but header and task.
///
/// # Safety
/// `record` must be writable.
#[inline(always)]
pub unsafe fn describe(sock: u64, record: *mut NetworkWire) {
    // SAFETY: by the caller's promise; address fields are 16 bytes.
    unsafe {
        let family: u16 = read_at(sock, offset!(sk_family));
        (*record).family = family;
        (*record).protocol = IPPROTO_TCP;
        (*record).old_state = 0;
        (*record).new_state = 0;
        // The kernel-order number is zeroed when a socket is unhashed; this one stays.
        (*record).local_port = u16::from_be(read_at(sock, offset!(inet_sport)));
        (*record).remote_port = u16::from_be(read_at(sock, offset!(sk_dport)));
        (*record).flags = 0;
        (*record).local = [0; 16];
        (*record).remote = [0; 16];
        (*record).bytes_sent = 0;
        (*record).bytes_received = 0;
        (*record).result = 0;
        (*record).backlog = 0;
        let (local, remote, len) = if family == AF_INET6 {
            (offset!(sk_v6_rcv_saddr), offset!(sk_v6_daddr), 16)
        } else {
            (offset!(sk_rcv_saddr), offset!(sk_daddr), 4)
        };
        let target = (&raw mut (*record).local).cast();
        bpf_probe_read_kernel(target, len, (sock + local as u64) as *const _);
        let target = (&raw mut (*record).remote).cast();
        bpf_probe_read_kernel(target, len, (sock + remote as u64) as *const _);
    }
}
