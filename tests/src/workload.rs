//! Bounded loads whose every operation is known beforehand: ground truth for completeness, ballast for benches.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

/// The program that the exec load runs: it ends at once.
pub const SHORT_LIVED: &str = "/bin/true";

/// Bytes a client of the TCP load sends, by number of its connection. The server answers with as many and one more.
#[must_use]
pub const fn payload(connection: u32) -> usize {
    1 + (connection % 100) as usize
}

/// Runs a load in this process: `exec`, `tcp` or `file`, `count` times.
///
/// # Errors
/// What went wrong first.
pub fn run(what: &str, count: u32, tag: &str) -> io::Result<()> {
    match what {
        "exec" => exec(Path::new(SHORT_LIVED), count, tag),
        "tcp" => tcp(count),
        "file" => (0..count).try_for_each(|number| file(Path::new(tag), number)),
        other => Err(io::Error::other(format!("there is no load {other:?}: exec, tcp, file"))),
    }
}

/// Starts a program again and again with an argument nobody else uses, and waits for its end.
pub(crate) fn exec(program: &Path, count: u32, tag: &str) -> io::Result<()> {
    (0..count).try_for_each(|number| {
        Command::new(program).arg(format!("{tag}-{number}")).spawn()?.wait()?;
        Ok(())
    })
}

/// As [`exec`] with nothing but `fork`, `execve` and `wait4`, where the standard library's child makes more than a hundred
/// system calls to set its signals. The process must have one thread.
pub(crate) fn fork_exec(program: &Path, count: u32, tag: &str) -> io::Result<()> {
    let program = CString::new(program.as_os_str().as_bytes())?;
    let environment = [std::ptr::null()];
    for number in 0..count {
        let argument = CString::new(format!("{tag}-{number}"))?;
        let arguments = [program.as_ptr(), argument.as_ptr(), std::ptr::null()];
        // SAFETY: there is one thread, and the child calls nothing but the two system calls below.
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            // SAFETY: strings that end in NUL and arrays that end in a null pointer; what they point to lives on.
            0 => unsafe {
                libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
                libc::_exit(127);
            },
            child => {
                let mut status = 0;
                // SAFETY: a writable integer; the child is ours.
                if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
                    return Err(io::Error::last_os_error());
                }
                if status != 0 {
                    return Err(io::Error::other(format!("the program ended with status {status:#x}")));
                }
            }
        }
    }
    Ok(())
}

/// Connections to ourselves, over IPv4 and IPv6 in turns, with some bytes both ways.
fn tcp(count: u32) -> io::Result<()> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?;
    let mut buffer = [0; 128];
    for number in 0..count {
        let listener = if number % 2 == 0 { &v4 } else { &v6 };
        let to: SocketAddr = listener.local_addr()?;
        let mut client = TcpStream::connect(to)?;
        let (mut server, _) = listener.accept()?;
        let bytes = payload(number);
        client.write_all(&buffer[..bytes])?;
        server.read_exact(&mut buffer[..bytes])?;
        server.write_all(&buffer[..=bytes])?;
        client.read_exact(&mut buffer[..=bytes])?;
    }
    Ok(())
}

/// One life of a file in `dir`: created, written, renamed, deleted.
fn file(dir: &Path, number: u32) -> io::Result<()> {
    let (first, second) = (dir.join(format!("a{number}")), dir.join(format!("b{number}")));
    let mut file = File::create_new(&first)?;
    file.write_all(&vec![b'x'; payload(number)])?;
    drop(file);
    fs::rename(&first, &second)?;
    fs::remove_file(&second)
}
