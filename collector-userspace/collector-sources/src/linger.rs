//! Letting go of many programs takes old kernels seconds, and a process that still has them does not end before.

use std::ffi::c_uint;
use std::os::fd::RawFd;

/// Fewer attachments than this are let go of by the process itself.
const FEW: usize = 16;

/// Hands this process's attachments of kernel programs to a child that does nothing but end, so that this process can end
/// at once: for the very end of a program, when nothing is to be captured any more.
///
/// The child waits until this process has ended, and keeps nothing else open, no terminal and no lock. Where it cannot be
/// made, the process ends slowly.
pub fn hand_over_attachments() {
    let mut kept = attachments();
    if kept.len() < FEW {
        return;
    }
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return;
    }
    // The other end stays open to the end of this process: that is what the child waits for.
    let [ended, _] = pipe;
    kept.push(ended);
    kept.sort_unstable();
    // SAFETY: the child calls nothing but system calls, on descriptors and numbers collected before: other threads may have
    // held any lock of the library when they ceased to exist in it.
    unsafe {
        if libc::fork() == 0 {
            let _ = libc::setsid();
            let mut next: c_uint = 0;
            for &fd in &kept {
                let fd = fd.cast_unsigned();
                if fd > next {
                    let _ = libc::syscall(libc::SYS_close_range, next, fd - 1, 0);
                }
                next = fd + 1;
            }
            let _ = libc::syscall(libc::SYS_close_range, next, c_uint::MAX, 0);
            let mut byte = 0_u8;
            while libc::read(ended, (&raw mut byte).cast(), 1) < 0 {}
            libc::_exit(0);
        }
    }
}

/// Descriptors of this process that are attachments of programs.
fn attachments() -> Vec<RawFd> {
    let Ok(listed) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let is_link = |entry: &std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        matches!(
            target.to_str(),
            Some("anon_inode:bpf_link" | "anon_inode:bpf-link" | "anon_inode:[bpf_link]")
        )
    };
    listed
        .filter_map(Result::ok)
        .filter(is_link)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
