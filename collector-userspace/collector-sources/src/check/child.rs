//! A child that is born, becomes another program and ends, for the canary.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::null;

use collector_common::Canary;
use rustix::io::Errno;
use zerocopy::IntoBytes as _;

/// Programs that do nothing; the first that there is.
const PROGRAMS: [&CStr; 3] = [c"/bin/true", c"/usr/bin/true", c"/bin/busybox"];

/// What the child says when it could not become another program.
const NO_EXEC: c_int = 127;

/// What it takes the child to call a function of ours, and the C library's beneath it.
const STACK: usize = 64 << 10;

/// How the child fared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// It was born and has ended.
    pub(super) lived: Result<(), Errno>,
    /// It became another program in between.
    pub(super) changed: Result<(), Errno>,
    /// Processor time it took, in nanoseconds.
    pub(super) cpu_ns: u64,
}

/// Argument of the system call `bpf`, as far as changing a map takes it.
#[repr(C)]
struct Update {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// What the child needs. It shares this process's memory until it becomes another program or ends.
struct Luggage<'a> {
    map: BorrowedFd<'a>,
    canary: Canary,
    program: &'static CStr,
}

/// Lets a child live. It enters itself into `map` first, as the canary's process, so that nothing of it is reported.
pub(super) fn live(map: BorrowedFd<'_>, canary: Canary) -> Life {
    let Some(program) = PROGRAMS.into_iter().find(|path| is_program(path)) else {
        return Life { lived: Err(Errno::NOENT), changed: Err(Errno::NOENT), cpu_ns: 0 };
    };
    let mut luggage = Luggage { map, canary, program };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let pid = with_signals_blocked(|| {
        // SAFETY: the stack is aligned, grows down from its end, and outlives the child's use of it, as the luggage does: with
        // CLONE_VFORK this thread goes on only when the child has ended or become another program. The child runs `childhood`
        // alone, which makes system calls and nothing else, and no signal handler, all signals being blocked.
        unsafe {
            let top = stack.as_mut_ptr_range().end.cast::<c_void>();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(childhood, top, flags, (&raw mut luggage).cast())
        }
    });
    if pid < 0 {
        let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
        return Life { lived: Err(errno), changed: Err(errno), cpu_ns: 0 };
    }
    end_of(pid)
}

fn is_program(path: &CStr) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn with_signals_blocked<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the calls that they are passed to; a thread may always change its own mask.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = run();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

/// The child, until it is another program.
extern "C" fn childhood(luggage: *mut c_void) -> c_int {
    const MAP_UPDATE_ELEM: c_int = 2;
    let key = 0_u32;
    // SAFETY: the parent passes its luggage, and waits meanwhile. The calls get addresses of what lives longer than they run.
    unsafe {
        let luggage = &mut *luggage.cast::<Luggage<'_>>();
        luggage.canary.process = libc::syscall(libc::SYS_getpid) as u32;
        let update = Update {
            map: luggage.map.as_raw_fd().unsigned_abs(),
            padding: 0,
            key: (&raw const key).addr() as u64,
            value: luggage.canary.as_bytes().as_ptr().addr() as u64,
            flags: 0,
        };
        if libc::syscall(libc::SYS_bpf, MAP_UPDATE_ELEM, &raw const update, size_of::<Update>()) != 0 {
            // It would be reported: let it at least be short.
            return NO_EXEC;
        }
        let arguments: [*const c_char; 2] = [c"true".as_ptr(), null()];
        let environment: [*const c_char; 1] = [null()];
        libc::syscall(libc::SYS_execve, luggage.program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
    NO_EXEC
}

/// Waits for the child's end.
fn end_of(pid: libc::pid_t) -> Life {
    let mut status = 0;
    // SAFETY: made of integers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both addresses are of what lives until the call returns.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } < 0 {
        let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
        if errno != Errno::INTR {
            // Somebody else in this process took its end, and nobody knows when that was.
            return Life { lived: Err(errno), changed: Err(errno), cpu_ns: 0 };
        }
    }
    let nanos = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_usec).unwrap_or(0) * 1_000
    };
    let became = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != NO_EXEC;
    Life {
        lived: Ok(()),
        changed: if became { Ok(()) } else { Err(Errno::NOEXEC) },
        cpu_ns: nanos(usage.ru_utime) + nanos(usage.ru_stime),
    }
}
