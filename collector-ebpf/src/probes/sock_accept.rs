//! Connections accepted, whatever call asked for it.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use crate::kernel::{follow, offset};
use crate::net::Typed;
use crate::probes::net_accept::accepted;
use crate::task;

// proto: 5.10-6.1: int inet_accept(struct socket *sock, struct socket *newsock, int flags, bool kern)
// proto: 6.12-7.3: int inet_accept(struct socket *sock, struct socket *newsock, struct proto_accept_arg *arg)
#[fexit(function = "inet_accept")]
pub fn accept_done(ctx: FExitContext) -> i32 {
    heard!(accept_done);
    let socket: *const u8 = ctx.arg(1);
    let task = task::current();
    // SAFETY: the argument and the current task are typed.
    unsafe {
        // Without a connection the new socket is as empty as it was: that saves asking for the result.
        let sock = follow(socket, offset!(socket_sk));
        if !sock.is_null() && !task::is_kernel_thread(task) {
            accepted(task, Typed::new(sock));
        }
    }
    0
}
