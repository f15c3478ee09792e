//! Connects that failed before anything was sent: no route, no free port, not allowed. Their sockets change no state, or
//! only for a moment and without a reason, so the call's own result tells.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use collector_common::{Capture, Kind, NetworkWire, filter_flag};

use crate::kernel::setting;
use crate::maps::CONNECTING;
use crate::net::{self, Socket};
use crate::syscall::Call;
use crate::{emit, filter, task};

/// What is known of a thread's connect while the call runs.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Attempt {
    /// The socket; 0 once the attempt has ended without a reason.
    pub sock: u64,
    /// When the attempt began; of one that failed later, see `failure`.
    pub opened_ns: u64,
}

/// Errors that a connect may return before it has sent anything, or set off without a word to the socket.
const EARLY: [i64; 6] = [EPERM, EACCES, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, ENOBUFS];
const EPERM: i64 = -1;
const EACCES: i64 = -13;
const EADDRNOTAVAIL: i64 = -99;
const ENETUNREACH: i64 = -101;
const ENOBUFS: i64 = -105;
const EHOSTUNREACH: i64 = -113;

/// The running thread, as a key.
#[inline(always)]
fn thread() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_pid_tgid() }
}

/// A connect of the running thread begins.
#[inline(always)]
pub fn begins(sock: impl Socket, opened_ns: u64) {
    if setting!(filters) & filter_flag::CONNECT_RESULT != 0 {
        let _ = CONNECTING.insert(thread(), Attempt { sock: sock.address(), opened_ns }, 0);
    }
}

/// An attempt ended without a reason. True if that happened in the call that made it: its result will tell.
#[inline(always)]
pub fn ends(sock: impl Socket) -> bool {
    if setting!(filters) & filter_flag::CONNECT_RESULT == 0 {
        return false;
    }
    let Some(attempt) = CONNECTING.get_ptr_mut(thread()) else { return false };
    // SAFETY: a valid map value of this thread, which is here.
    unsafe {
        let is_its = (*attempt).sock == sock.address();
        if is_its {
            (*attempt).sock = 0;
        }
        is_its
    }
}

/// An attempt of process `pid` failed and was reported after its call had returned: the next call on the socket returns the
/// same error.
#[inline(always)]
pub fn failed_later(sock: impl Socket, pid: u32, error: u32) {
    if setting!(filters) & filter_flag::CONNECT_RESULT != 0 {
        // A socket's address is no thread's number.
        let attempt = Attempt { sock: sock.address(), opened_ns: failure(pid, error) };
        let _ = CONNECTING.insert(sock.address(), attempt, 0);
    }
}

/// Who has not asked yet for the result of which failure. The socket may end without being asked, and another one take its
/// address.
#[inline(always)]
const fn failure(pid: u32, error: u32) -> u64 {
    (pid as u64) << 32 | error as u64
}

/// Whether this result of a connect has been reported already.
#[inline(always)]
fn was_reported(sock: impl Socket, pid: u32, error: u32) -> bool {
    let Some(noted) = CONNECTING.get_ptr(sock.address()) else { return false };
    // SAFETY: a valid map value.
    let is_same = unsafe { (*noted).opened_ns } == failure(pid, error);
    let _ = CONNECTING.remove(sock.address());
    is_same
}

/// `connect(fd, address, length)`.
#[btf_tracepoint(function = "sys_exit")]
pub fn net_connect(ctx: BtfTracePointContext) -> i32 {
    heard!(net_connect);
    let result: i64 = ctx.arg(1);
    let (was_told, began_ns) = told();
    if was_told || !EARLY.contains(&result) {
        return 0; // Its result was or will be told by the socket.
    }
    let call = Call::new(&ctx);
    let task = task::current();
    // SAFETY: the current task is typed.
    unsafe {
        let Some(sock) = net::of_descriptor(task, call.argument::<0>() as i32) else { return 0 };
        let target =
            target(|buffer, size| bpf_probe_read_user(buffer, size, call.argument::<1>() as *const _));
        if let Some(target) = target {
            failed(task, sock, target, result, began_ns, Capture::Syscall);
        }
    }
    0
}

/// Whether the socket has told or will tell the result of the running thread's connect, which has ended; and when it began, 0
/// if that is not known. (Of an `Option` the compiler would store what is in it before it knows, which verifiers refuse.)
#[inline(always)]
pub fn told() -> (bool, u64) {
    // SAFETY: a valid map value of this thread.
    let attempt = CONNECTING.get_ptr(thread()).map(|attempt| unsafe { *attempt });
    if attempt.is_some() {
        let _ = CONNECTING.remove(thread());
    }
    attempt.map_or((false, 0), |attempt| (attempt.sock != 0, attempt.opened_ns))
}

/// Whether a connect that returns this has not come as far as the socket.
#[inline(always)]
pub fn is_early(result: i64) -> bool {
    EARLY.contains(&result)
}

/// Where a connect was to lead.
pub type Target = (u16, u16, [u64; 2]);

/// Reports a connect that failed before its socket knew of it.
///
/// # Safety
/// `task` must be typed.
#[inline(always)]
pub unsafe fn failed(
    task: *const u8,
    sock: impl Socket,
    (family, port, address): Target,
    result: i64,
    began_ns: u64,
    capture: Capture,
) {
    // SAFETY: by the caller's promise.
    unsafe {
        if !net::is_tcp(sock)
            || was_reported(sock, task::tgid(task), result.unsigned_abs() as u32)
            || !filter::wanted(task, Kind::NetworkConnect)
        {
            return;
        }
        emit::fixed(Kind::NetworkConnect, capture, |record: *mut NetworkWire, header| {
            (*record).header = header;
            task::fill(task, &raw mut (*record).task);
            net::describe(sock, record);
            (*record).family = family;
            (*record).remote_port = port;
            (&raw mut (*record).remote).cast::<[u64; 2]>().write(address);
            (*record).new_state = net::TCP_CLOSE;
            (*record).opened_ns = if began_ns == 0 { header.ktime_ns } else { began_ns };
            (*record).result = result.unsigned_abs() as u32;
        });
    }
}

/// Family, port and address of a `sockaddr`; `read` is given a buffer and a size.
#[inline(always)]
pub fn target(read: impl Fn(*mut core::ffi::c_void, u32) -> i64) -> Option<Target> {
    // `struct sockaddr_in6`; `struct sockaddr_in` is its first half, with the address where the flow is.
    let mut words = [0_u32; 7];
    for size in [size_of_val(&words), 16] {
        if read((&raw mut words).cast(), size as u32) == 0 {
            let (family, port) = (words[0] as u16, u16::from_be((words[0] >> 16) as u16));
            let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            return match family {
                net::AF_INET => Some((family, port, [u64::from(words[1]), 0])),
                net::AF_INET6 => Some((family, port, [pair(words[2], words[3]), pair(words[4], words[5])])),
                _ => None,
            };
        }
    }
    None
}
