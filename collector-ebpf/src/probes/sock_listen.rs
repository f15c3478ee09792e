//! Sockets that began to listen, whatever call asked for it.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use collector_common::Kind;

use crate::kernel::{follow, offset};
use crate::net::Typed;
use crate::probes::net_listen::listens;
use crate::{filter, task};

// proto: 5.10-7.3: int inet_listen(struct socket *sock, int backlog)
#[fexit(function = "inet_listen")]
pub fn listen_done(ctx: FExitContext) -> i32 {
    heard!(listen_done);
    let (socket, result): (*const u8, i32) = (ctx.arg(0), ctx.arg(2));
    let task = task::current();
    // SAFETY: the argument and the current task are typed.
    unsafe {
        if result == 0 && !task::is_kernel_thread(task) && filter::wanted(task, Kind::NetworkListen) {
            listens(task, Typed::new(follow(socket, offset!(socket_sk))));
        }
    }
    0
}
