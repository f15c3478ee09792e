//! The load generator of `cargo xtask bench`.
//!
//! ```text
//! load exec|spawn|tcp|file|calls COUNT TAG
//! ```
//! runs a [`workload`](crate::workload) and prints what it cost, itself and its children, as one line of JSON: `wall_ns` and
//! `cpu_ns`. For exec and spawn the children are a static program that does nothing, so that the measurement is of starting and
//! ending processes and not of a dynamic loader: exec is `fork`, `execve` and `wait4` alone, spawn what programs usually call,
//! `posix_spawn`, with some 130 system calls that set signals. An operation of `calls` is a hundred system calls that do nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::Mode;

use crate::workload;

/// System calls in an operation of the load `calls`: one is too short to be told.
const CALLS: u64 = 100;

/// The program `load`.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count, tag] = &arguments[..] else {
        eprintln!("usage: load exec|spawn|tcp|file|calls COUNT TAG");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("{count} is not a count");
        return ExitCode::from(2);
    };
    match run(what, count, tag) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &str, count: u32, tag: &str) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("nothing");
    let files = dir.path().join("files");
    fs::create_dir(&files)?;
    make_nothing(&program)?;
    let (begin, before) = (Instant::now(), cpu()?);
    match what {
        "exec" => workload::fork_exec(&program, count, tag)?,
        "calls" => (0..u64::from(count) * CALLS).for_each(|_| {
            let _parent = rustix::process::getppid();
        }),
        "spawn" => workload::exec(&program, count, tag)?,
        "file" => workload::run("file", count, files.to_str().unwrap_or(tag))?,
        other => workload::run(other, count, tag)?,
    }
    let (wall, cpu) = (begin.elapsed(), cpu()?.saturating_sub(before));
    println!("{}", serde_json::json!({"wall_ns": nanos(wall), "cpu_ns": nanos(cpu)}));
    Ok(())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time of this process and its ended children.
fn cpu() -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: a structure of integers, for which zeros are values.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a writable structure of the right type.
        if unsafe { libc::getrusage(who, &raw mut usage) } != 0 {
            return Err(io::Error::last_os_error());
        }
        for time in [usage.ru_utime, usage.ru_stime] {
            let micros = time.tv_sec * 1_000_000 + time.tv_usec;
            total += Duration::from_micros(micros.cast_unsigned());
        }
    }
    Ok(total)
}

/// Writes an executable that ends at once, without libraries: an ELF header, one segment, one system call.
fn make_nothing(path: &Path) -> io::Result<()> {
    /// Where the segment is mapped.
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    #[cfg(target_arch = "x86_64")]
    // mov eax, 60 (exit); xor edi, edi; syscall
    const CODE: (u16, &[u8]) = (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    #[cfg(target_arch = "aarch64")]
    // mov x8, #93 (exit); mov x0, #0; svc #0
    const CODE: (u16, &[u8]) = (183, &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 0x01, 0, 0, 0xd4]);

    let (machine, code) = CODE;
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    // Type (executable), machine, version; entry, program headers, section headers; flags.
    half(&mut elf, 2);
    half(&mut elf, machine);
    word(&mut elf, 1);
    for value in [BASE + HEADERS, 64, 0] {
        long(&mut elf, value);
    }
    word(&mut elf, 0);
    // Sizes and counts of headers: this one, program headers, section headers.
    for value in [64, 56, 1, 64, 0, 0] {
        half(&mut elf, value);
    }
    // The segment: load, readable and executable; offset, addresses, sizes, alignment.
    word(&mut elf, 1);
    word(&mut elf, 5);
    for value in [0, BASE, BASE, size, size, 0x1000] {
        long(&mut elf, value);
    }
    elf.extend(code);
    fs::write(path, elf)?;
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_program_that_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nothing");
        make_nothing(&path).unwrap();
        assert!(std::process::Command::new(path).status().unwrap().success());
    }

    #[test]
    fn a_load_costs_something() {
        let before = cpu().unwrap();
        workload::run("exec", 3, "tag").unwrap();
        assert!(cpu().unwrap() > before);
        assert!(workload::run("nonsense", 1, "tag").is_err());
    }
}
