//! TCP connects and closes, from the state changes of sockets.
//!
//! A state may change in any context, so the process is the one remembered when the connection was opened.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, NetworkWire, SocketOwner, Table, TaskWire, network_flag};

use crate::kernel::{known, offset, read_at};
use crate::maps::SOCKETS;
use crate::net::{self, Socket};
use crate::probes::net_connect;
use crate::{canary, emit, filter, table, task};

// proto: 5.10-7.3: void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn net_state(ctx: BtfTracePointContext) -> i32 {
    // A canary's socket only begins to listen and closes.
    canary::sings(canary::number!(net_state));
    let sock: *const u8 = ctx.arg(0);
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    let (old, new) = (old as u16, new as u16);
    // SAFETY: the tracepoint's first argument is a typed, trusted socket.
    let sock = unsafe { net::Typed::new(sock) };
    if new == net::TCP_SYN_SENT {
        connecting(sock);
    } else if new == net::TCP_ESTABLISHED {
        established(sock, old);
    } else if new == net::TCP_CLOSE && old != net::TCP_LISTEN {
        closed(sock, old);
    }
    0
}

/// A connect begins, in the context of the process that asked for it.
#[inline(always)]
fn connecting(sock: impl Socket) {
    let task = task::current();
    // SAFETY: the current task is typed.
    unsafe {
        if !net::is_tcp(sock) || task::is_kernel_thread(task) {
            return;
        }
        let connect = filter::wanted(task, Kind::NetworkConnect);
        if !connect && !filter::wanted(task, Kind::NetworkClose) {
            return;
        }
        let mut owner = SocketOwner { task: net::NOBODY, opened_ns: emit::now(), flags: 0, pending: 1 };
        task::fill(task, &raw mut owner.task);
        table::remember(Table::Sockets, &SOCKETS, sock.address(), &owner);
        net_connect::begins(sock, owner.opened_ns);
    }
}

/// A connection came about: ours, if we saw it begin.
#[inline(always)]
fn established(sock: impl Socket, old: u16) {
    let Some(owner) = SOCKETS.get_ptr_mut(sock.address()) else { return };
    // SAFETY: a valid map value.
    unsafe {
        if (*owner).pending == 0 {
            return;
        }
        (*owner).pending = 0;
        connected(sock, owner, old, net::TCP_ESTABLISHED, 0, 0);
    }
}

/// A connection, or the attempt at one, ended.
#[inline(always)]
pub fn closed(sock: impl Socket, old: u16) {
    let Some(owner) = SOCKETS.get_ptr(sock.address()) else { return };
    // SAFETY: a valid map value; it stays readable until the program ends even after removal, because freed
    // elements of a preallocated map are reused, not unmapped; it is copied before that.
    unsafe {
        let owner = *owner;
        // The accepting process and the closing context may both be here: one of them removes the entry.
        if !table::forget(Table::Sockets, &SOCKETS, sock.address()) {
            return;
        }
        if owner.pending != 0 {
            let error: u32 = sock.field(offset!(sk_err));
            if error == 0 && net_connect::ends(sock) {
                return;
            }
            if error != 0 {
                net_connect::failed_later(sock, owner.task.pid, error);
            }
            let flags = if error == 0 { network_flag::ABANDONED } else { 0 };
            connected(sock, &raw const owner, old, net::TCP_CLOSE, error, flags);
            return;
        }
        if !filter::switched_on(Kind::NetworkClose.bit()) {
            return;
        }
        emit::fixed(Kind::NetworkClose, Capture::Kernel, |record: *mut NetworkWire, header| {
            (*record).header = header;
            (*record).task = owner.task;
            net::describe(sock, record);
            (*record).old_state = old;
            (*record).new_state = net::TCP_CLOSE;
            (*record).flags = owner.flags;
            (*record).opened_ns = owner.opened_ns;
            let sent: u64 = read_at(sock.address(), offset!(tcp_bytes_sent));
            let again: u64 = if known(offset!(tcp_bytes_retrans)) {
                read_at(sock.address(), offset!(tcp_bytes_retrans))
            } else {
                0
            };
            (*record).bytes_sent = sent.wrapping_sub(again);
            // The kernel counts the peer's FIN as a byte.
            let flags: u64 = sock.field(offset!(sk_flags));
            let fin = flags >> (offset!(sock_done) & 63) & 1;
            (*record).bytes_received =
                read_at::<u64>(sock.address(), offset!(tcp_bytes_received)).saturating_sub(fin);
        });
    }
}

/// Reports the result of a connect.
///
/// # Safety
/// `owner` must be readable.
#[inline(always)]
unsafe fn connected(
    sock: impl Socket,
    owner: *const SocketOwner,
    old: u16,
    new: u16,
    error: u32,
    flags: u32,
) {
    if !filter::switched_on(Kind::NetworkConnect.bit()) {
        return;
    }
    // SAFETY: by the caller's promise.
    unsafe {
        let task: TaskWire = (*owner).task;
        let opened_ns = (*owner).opened_ns;
        emit::fixed(Kind::NetworkConnect, Capture::Kernel, |record: *mut NetworkWire, header| {
            (*record).header = header;
            (*record).task = task;
            net::describe(sock, record);
            (*record).old_state = old;
            (*record).new_state = new;
            (*record).flags = flags;
            (*record).opened_ns = opened_ns;
            (*record).result = error;
        });
    }
}
