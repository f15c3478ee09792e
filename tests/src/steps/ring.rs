//! Steps of files, asked for through io_uring in place of system calls. `none` is said where this kernel has no ring.
//!
//! | step | does |
//! |---|---|
//! | `ring mkdir DIR`, `ring unlink FILE`, `ring rename OLD NEW` | what the call of that name does |
//! | `ring write FILE N` | creates the file, writes N bytes, and closes it |

use std::ffi::CString;
use std::io;

use io_uring::{IoUring, opcode, squeue, types};

use super::{c_string, number, say};

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

pub(super) fn step(words: &[&str]) -> Option<io::Result<()>> {
    let ["ring", what @ ..] = words else { return None };
    let Ok(mut ring) = IoUring::new(4) else {
        say("ring", "none");
        return Some(Ok(()));
    };
    let done = match *what {
        ["mkdir", dir] => {
            let dir = c_string(dir);
            submit(&mut ring, &opcode::MkDirAt::new(HERE, dir.as_ptr()).mode(0o755).build()).map(drop)
        }
        ["unlink", file] => {
            let file = c_string(file);
            submit(&mut ring, &opcode::UnlinkAt::new(HERE, file.as_ptr()).build()).map(drop)
        }
        ["rename", old, new] => {
            let (old, new) = (c_string(old), c_string(new));
            submit(&mut ring, &opcode::RenameAt::new(HERE, old.as_ptr(), HERE, new.as_ptr()).build())
                .map(drop)
        }
        ["write", file, bytes] => write(&mut ring, &c_string(file), &vec![b'x'; number(bytes)]),
        _ => return None,
    };
    // Rings came before some of what they can do (5.15).
    let unknown = done.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL));
    say("ring", if unknown { "none" } else { "there" });
    Some(if unknown { Ok(()) } else { done })
}

fn write(ring: &mut IoUring, file: &CString, data: &[u8]) -> io::Result<()> {
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let fd = submit(ring, &opcode::OpenAt::new(HERE, file.as_ptr()).flags(flags).mode(0o644).build())?;
    let length = u32::try_from(data.len()).expect("a test writes little");
    let wrote = submit(ring, &opcode::Write::new(types::Fd(fd), data.as_ptr(), length).build())?;
    assert_eq!(wrote.unsigned_abs() as usize, data.len());
    submit(ring, &opcode::Close::new(types::Fd(fd)).build()).map(drop)
}

/// Does one operation and returns its result.
fn submit(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<i32> {
    // SAFETY: what the entry points to lives until the operation has ended, which is waited for here.
    unsafe { ring.submission().push(entry) }.expect("there is room for one");
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().expect("it has ended").result();
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}
