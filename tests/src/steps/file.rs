//! Steps of files.
//!
//! `open NAME FLAGS PATH` takes flags separated by commas: `r`, `w`, `rw`, `creat`, `trunc`, `append`, `excl`, `path`,
//! `dir`. The other steps are named after their system call and take its arguments in its order, with names for
//! descriptors and as few flags as words as tests need. `pipe READ WRITE` names the ends. Modes are octal. `copy FROM TO MODE` makes programs: had the test
//! itself written them, one of its threads could hold the file open through a fork, and no one could run it.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::ptr::null_mut;

use libc::{AT_FDCWD, c_int, off_t};

use super::{Stage, c_string, check, number};

const ATTRIBUTE: &str = "trusted.collector";

#[expect(clippy::too_many_lines, reason = "a table: one arm a system call")]
pub(super) fn step(stage: &mut Stage, words: &[&str]) -> Option<io::Result<()>> {
    // SAFETY: for every call below: strings live to the end of the statement, buffers have the length that is passed,
    // and descriptors are ours.
    let result = unsafe {
        match *words {
            ["open", name, flags, path] => {
                return Some(open(
                    stage,
                    name,
                    libc::open(path_of(path).as_ptr(), self::flags(flags), 0o644),
                ));
            }
            ["openat", name, dir, flags, path] => {
                let dir = stage.fd(dir);
                let fd = libc::openat(dir, path_of(path).as_ptr(), self::flags(flags), 0o644);
                return Some(open(stage, name, fd));
            }
            ["openat2", name, flags, path] => return Some(openat2(stage, name, self::flags(flags), path)),
            ["creat", name, path] => {
                return Some(open(stage, name, libc::creat(path_of(path).as_ptr(), 0o644)));
            }
            ["dup", from, name] => {
                let fd = libc::dup(stage.fd(from));
                return Some(open(stage, name, fd));
            }
            ["pipe", read, write] => {
                let mut ends = [0; 2];
                let made = check(libc::pipe(ends.as_mut_ptr()));
                stage.opened(read, ends[0]);
                stage.opened(write, ends[1]);
                return Some(made.map(drop));
            }
            ["close", name] => libc::close(stage.fd(name)).into(),
            ["dup2", from, to] => libc::dup2(stage.fd(from), stage.fd(to)).into(),
            ["close_range", first, last] => {
                libc::close_range(stage.fd(first).cast_unsigned(), stage.fd(last).cast_unsigned(), 0).into()
            }
            ["write", name, bytes] => {
                let data = data(bytes);
                exactly(data.len(), libc::write(stage.fd(name), data.as_ptr().cast(), data.len()))
            }
            ["pwrite", name, bytes, at] => {
                let data = data(bytes);
                let fd = stage.fd(name);
                exactly(data.len(), libc::pwrite(fd, data.as_ptr().cast(), data.len(), number::<off_t>(at)))
            }
            ["writev", name, first, second] => {
                let parts = [data(first), data(second)];
                let vectors = [0, 1].map(|part: usize| libc::iovec {
                    iov_base: parts[part].as_ptr().cast_mut().cast(),
                    iov_len: parts[part].len(),
                });
                exactly(parts.concat().len(), libc::writev(stage.fd(name), vectors.as_ptr(), 2))
            }
            ["sendfile", out, from, bytes] => {
                let count = number(bytes);
                exactly(count, libc::sendfile(stage.fd(out), stage.fd(from), null_mut(), count))
            }
            ["copy_file_range", from, out, bytes] => {
                let (from, out, count) = (stage.fd(from), stage.fd(out), number(bytes));
                exactly(count, libc::copy_file_range(from, null_mut(), out, null_mut(), count, 0))
            }
            ["copy", from, to, mode] => return Some(copy(from, to, octal(mode))),
            ["splice", out, bytes] => return Some(splice(stage.fd(out), number(bytes))),
            ["mmap", name, bytes] => return Some(mmap(stage.fd(name), number(bytes))),
            ["ftruncate", name, size] => libc::ftruncate(stage.fd(name), number(size)).into(),
            ["fallocate", name, size] => libc::fallocate(stage.fd(name), 0, 0, number(size)).into(),
            ["truncate", path, size] => libc::truncate(path_of(path).as_ptr(), number(size)).into(),
            ["mkdir", path] => libc::mkdir(path_of(path).as_ptr(), 0o755).into(),
            ["mkdirat", dir, path] => libc::mkdirat(stage.fd(dir), path_of(path).as_ptr(), 0o755).into(),
            ["mkfifo", path] => libc::mkfifo(path_of(path).as_ptr(), 0o644).into(),
            ["unlink", path] => libc::unlink(path_of(path).as_ptr()).into(),
            ["unlinkat", dir, path] => libc::unlinkat(stage.fd(dir), path_of(path).as_ptr(), 0).into(),
            ["rmdir", path] => libc::rmdir(path_of(path).as_ptr()).into(),
            ["rename", old, new] => libc::rename(path_of(old).as_ptr(), path_of(new).as_ptr()).into(),
            ["renameat", dir, old, new_dir, new] => {
                let (dir, new_dir) = (stage.fd(dir), stage.fd(new_dir));
                libc::renameat(dir, path_of(old).as_ptr(), new_dir, path_of(new).as_ptr()).into()
            }
            ["exchange", old, new] => {
                let (old, new) = (path_of(old), path_of(new));
                let flag = libc::RENAME_EXCHANGE;
                libc::renameat2(AT_FDCWD, old.as_ptr(), AT_FDCWD, new.as_ptr(), flag).into()
            }
            ["link", old, new] => libc::link(path_of(old).as_ptr(), path_of(new).as_ptr()).into(),
            ["symlink", target, new] => libc::symlink(path_of(target).as_ptr(), path_of(new).as_ptr()).into(),
            ["chmod", path, mode] => libc::chmod(path_of(path).as_ptr(), octal(mode)).into(),
            ["fchmod", name, mode] => libc::fchmod(stage.fd(name), octal(mode)).into(),
            ["fchmodat", dir, path, mode] => {
                libc::fchmodat(stage.fd(dir), path_of(path).as_ptr(), octal(mode), 0).into()
            }
            ["chown", path, user, group] => {
                libc::chown(path_of(path).as_ptr(), number(user), number(group)).into()
            }
            ["lchown", path, user, group] => {
                libc::lchown(path_of(path).as_ptr(), number(user), number(group)).into()
            }
            ["fchown", name, user, group] => libc::fchown(stage.fd(name), number(user), number(group)).into(),
            ["utimensat", path] => {
                libc::utimensat(AT_FDCWD, path_of(path).as_ptr(), EPOCH.as_ptr(), 0).into()
            }
            ["futimens", name] => libc::futimens(stage.fd(name), EPOCH.as_ptr()).into(),
            ["setxattr", path] => {
                let (path, name) = (path_of(path), c_string(ATTRIBUTE));
                libc::setxattr(path.as_ptr(), name.as_ptr(), c"x".as_ptr().cast(), 1, 0).into()
            }
            ["fsetxattr", file] => {
                let (fd, name) = (stage.fd(file), c_string(ATTRIBUTE));
                libc::fsetxattr(fd, name.as_ptr(), c"x".as_ptr().cast(), 1, 0).into()
            }
            ["removexattr", path] => {
                libc::removexattr(path_of(path).as_ptr(), c_string(ATTRIBUTE).as_ptr()).into()
            }
            _ => return None,
        }
    };
    Some(check(result).map(drop))
}

const EPOCH: [libc::timespec; 2] = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];

fn path_of(word: &str) -> CString {
    c_string(word)
}

fn octal(mode: &str) -> libc::mode_t {
    libc::mode_t::from_str_radix(mode, 8).expect("an octal mode")
}

fn data(bytes: &str) -> Vec<u8> {
    vec![b'x'; number(bytes)]
}

fn flags(words: &str) -> c_int {
    words.split(',').fold(0, |flags, word| {
        flags
            | match word {
                "r" => libc::O_RDONLY,
                "w" => libc::O_WRONLY,
                "rw" => libc::O_RDWR,
                "creat" => libc::O_CREAT,
                "trunc" => libc::O_TRUNC,
                "append" => libc::O_APPEND,
                "excl" => libc::O_EXCL,
                "path" => libc::O_PATH,
                "dir" => libc::O_DIRECTORY,
                "cloexec" => libc::O_CLOEXEC,
                other => panic!("no flag {other}"),
            }
    })
}

fn open(stage: &mut Stage, name: &str, fd: c_int) -> io::Result<()> {
    stage.opened(name, check(fd)? as RawFd);
    Ok(())
}

fn openat2(stage: &mut Stage, name: &str, flags: c_int, path: &str) -> io::Result<()> {
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { 0o644 };
    let how: [u64; 3] = [flags.cast_unsigned().into(), mode, 0];
    let path = c_string(path);
    // SAFETY: `struct open_how` is these three numbers.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat2, AT_FDCWD, path.as_ptr(), how.as_ptr(), size_of_val(&how)) };
    open(stage, name, fd as c_int)
}

fn copy(from: &str, to: &str, mode: libc::mode_t) -> io::Result<()> {
    std::fs::copy(from, to)?;
    // SAFETY: a string that lives to the end of the call.
    check(unsafe { libc::chmod(c_string(to).as_ptr(), mode) }).map(drop)
}

/// A count that must be all that was asked for.
fn exactly(asked: usize, count: isize) -> i64 {
    assert!(count < 0 || count.cast_unsigned() == asked, "{count} of {asked} bytes");
    count as i64
}

fn splice(out: RawFd, count: usize) -> io::Result<()> {
    let mut pipe = [0; 2];
    // SAFETY: an array of two.
    check(unsafe { libc::pipe(pipe.as_mut_ptr()) })?;
    let data = vec![b'x'; count];
    // SAFETY: as many bytes as said.
    check(exactly(count, unsafe { libc::write(pipe[1], data.as_ptr().cast(), count) }))?;
    // SAFETY: no offsets.
    check(exactly(count, unsafe { libc::splice(pipe[0], null_mut(), out, null_mut(), count, 0) })).map(drop)
}

/// Writes to a file through memory alone.
fn mmap(fd: RawFd, len: usize) -> io::Result<()> {
    // SAFETY: a new mapping, wherever the kernel likes.
    let memory =
        unsafe { libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0) };
    check(memory as i64)?;
    // SAFETY: the file is that long, and so is the mapping.
    unsafe { memory.cast::<u8>().write_bytes(b'm', len) };
    // SAFETY: nobody uses it any more.
    check(unsafe { libc::munmap(memory, len) }).map(drop)
}
