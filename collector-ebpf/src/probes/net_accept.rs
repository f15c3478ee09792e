//! Connections accepted, read from the socket the call returned.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, NetworkWire, SocketOwner, Table, network_flag};

use crate::maps::SOCKETS;
use crate::net::{self, Socket};
use crate::probes::net_state;
use crate::{emit, filter, table, task};

/// `accept`, `accept4`.
#[btf_tracepoint(function = "sys_exit")]
pub fn net_accept(ctx: BtfTracePointContext) -> i32 {
    heard!(net_accept);
    let fd: i64 = ctx.arg(1);
    if fd < 0 {
        return 0;
    }
    let task = task::current();
    // SAFETY: the current task is typed.
    if let Some(sock) = unsafe { net::of_descriptor(task, fd as i32) } {
        accepted(task, sock);
    }
    0
}

/// Reports a connection that `task`, which must be typed, has accepted, and remembers whose it is.
#[inline(always)]
pub fn accepted(task: *const u8, sock: impl Socket) {
    // SAFETY: by the caller's promise.
    unsafe {
        if !net::is_tcp(sock) {
            return;
        }
        let opened_ns = emit::now();
        let mut owner =
            SocketOwner { task: net::NOBODY, opened_ns, flags: network_flag::INBOUND, pending: 0 };
        task::fill(task, &raw mut owner.task);
        if filter::wanted(task, Kind::NetworkAccept) {
            emit::fixed(Kind::NetworkAccept, Capture::Kernel, |record: *mut NetworkWire, header| {
                (*record).header = header;
                (*record).task = owner.task;
                net::describe(sock, record);
                (*record).new_state = net::state(sock);
                (*record).flags = network_flag::INBOUND;
                (*record).opened_ns = opened_ns;
            });
        }
        if !filter::wanted(task, Kind::NetworkClose) {
            return;
        }
        table::remember(Table::Sockets, &SOCKETS, sock.address(), &owner);
        // The peer may have reset the connection before it was known to us: then nobody else reports its end.
        if net::state(sock) == net::TCP_CLOSE {
            net_state::closed(sock, net::TCP_CLOSE);
        }
    }
}
