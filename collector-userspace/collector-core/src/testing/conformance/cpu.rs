//! Processor time of the calling thread.

use std::time::Duration;

/// Processor time the calling thread has used; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn of_this_thread() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours that lives across the call, which writes nothing else.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (result == 0).then(|| Duration::new(seconds, nanos))
}

/// Processor time the calling thread has used; `None` where the system does not tell.
#[cfg(not(unix))]
pub(super) const fn of_this_thread() -> Option<Duration> {
    None
}
