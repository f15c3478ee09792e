//! Connects that failed before their socket changed its state: see `net_connect`. The address is the kernel's copy.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use collector_common::Capture;

use crate::kernel::{follow, offset};
use crate::net::Typed;
use crate::probes::net_connect::{failed, is_early, target, told};
use crate::task;

// proto: 5.10-6.18: int inet_stream_connect(struct socket *sock, struct sockaddr *uaddr, int addr_len, int flags)
// proto: 7.3: int inet_stream_connect(struct socket *sock, struct sockaddr_unsized *uaddr, int addr_len, int flags)
#[fexit(function = "inet_stream_connect")]
pub fn connect_done(ctx: FExitContext) -> i32 {
    heard!(connect_done);
    let result: i32 = ctx.arg(4);
    let (was_told, began_ns) = told();
    if !was_told && is_early(i64::from(result)) {
        report(&ctx, result, began_ns);
    }
    0
}

/// A security module said no: the call comes no further.
// proto: 5.10-7.3: int security_socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)
#[fexit(function = "security_socket_connect")]
pub fn connect_denied(ctx: FExitContext) -> i32 {
    heard!(connect_denied);
    let result: i32 = ctx.arg(3);
    if result != 0 {
        report(&ctx, result, 0);
    }
    0
}

#[inline(always)]
fn report(ctx: &FExitContext, result: i32, began_ns: u64) {
    let (socket, address): (*const u8, u64) = (ctx.arg(0), ctx.arg(1));
    let task = task::current();
    // SAFETY: the first argument and the current task are typed; the helper checks the address.
    unsafe {
        if task::is_kernel_thread(task) {
            return;
        }
        let Some(target) = target(|buffer, size| bpf_probe_read_kernel(buffer, size, address as *const _))
        else {
            return;
        };
        let sock = Typed::new(follow(socket, offset!(socket_sk)));
        failed(task, sock, target, i64::from(result), began_ns, Capture::Kernel);
    }
}
