//! Sockets that began to listen.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, NetworkWire};

use crate::net::{self, Socket};
use crate::syscall::Call;
use crate::{emit, filter, task};

/// `listen(fd, backlog)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn net_listen(ctx: BtfTracePointContext) -> i32 {
    heard!(net_listen);
    let result: i64 = ctx.arg(1);
    let call = Call::new(&ctx);
    let task = task::current();
    // SAFETY: the current task is typed.
    unsafe {
        if result != 0 || !filter::wanted(task, Kind::NetworkListen) {
            return 0;
        }
        if let Some(sock) = net::of_descriptor(task, call.argument::<0>() as i32) {
            listens(task, sock);
        }
    }
    0
}

/// Reports a socket that listens from now on; `task` must be typed.
#[inline(always)]
pub fn listens(task: *const u8, sock: impl Socket) {
    if !net::is_tcp(sock) {
        return;
    }
    // SAFETY: by the caller's promise; all of the record is written.
    unsafe {
        emit::fixed(Kind::NetworkListen, Capture::Kernel, |record: *mut NetworkWire, header| {
            (*record).header = header;
            task::fill(task, &raw mut (*record).task);
            net::describe(sock, record);
            (*record).new_state = net::TCP_LISTEN;
            (*record).opened_ns = header.ktime_ns;
            (*record).backlog = net::backlog(sock);
        });
    }
}
