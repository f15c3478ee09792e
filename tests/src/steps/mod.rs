//! What actors can do: one system call a step, told in words.
//!
//! ```text
//! actor STEP... [-- ARGUMENT...]
//! ```
//! The actor waits for a byte on its stdin, then takes the steps in order. It says what a test may want to know on its
//! stdout, a line `NAME VALUE` each. A step that fails ends the actor with a panic, unless `fails` expects it.
//!
//! | step | does |
//! |---|---|
//! | `wait` | says so, and waits for a byte on stdin |
//! | `fails STEP` | takes a step that must fail, and says `errno` |
//! | `fork STEP... end` | takes the steps in a child; says `child`, and waits for it |
//! | `thread STEP... end` | takes the steps in another thread, and waits for it |
//! | `repeat N STEP... end` | takes the steps again and again |
//! | `work WHAT N TAG` | runs a [workload](crate::workload) |
//!
//! The other steps are in the submodules, by domain. Open files and sockets have names; they are closed by a step or by the
//! kernel, never by the way.

mod file;
mod network;
mod process;
mod ring;

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::io::{self, Write as _};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use crate::workload;

/// What an actor says when it waits to be let go on.
pub const WAITING: &str = "waiting";

/// First argument of an actor that does not wait to be let go.
const AT_ONCE: &str = "at-once";

/// How Rust programs end when they panic.
pub(crate) const PANIC: i32 = 101;

/// The program `actor`.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let steps: Vec<String> = arguments
        .by_ref()
        .take_while(|argument| argument != "--")
        .map(|step| step.into_string().expect("steps are text"))
        .collect();
    let mut stage = Stage { open: HashMap::new(), rest: arguments.collect() };
    process::adopt();
    match &steps[..] {
        [first, steps @ ..] if first == AT_ONCE => stage.run(steps),
        steps => {
            wait();
            stage.run(steps);
        }
    }
    process::reap();
    ExitCode::SUCCESS
}

/// What steps share.
struct Stage {
    /// Open files and sockets by name. Plain numbers: nothing closes them by the way.
    open: HashMap<String, RawFd>,
    /// Arguments after `--`.
    rest: Vec<OsString>,
}

impl Stage {
    fn run(&mut self, steps: &[String]) {
        let mut next = 0;
        while let Some(step) = steps.get(next) {
            let words: Vec<&str> = step.split_whitespace().collect();
            next += 1;
            if !matches!(words[..], ["fork" | "thread"] | ["repeat", _]) {
                if let Err(error) = self.step(&words) {
                    panic!("step {step:?}: {error}");
                }
                continue;
            }
            let block = &steps[next..];
            let block = &block[..length(block)];
            next += block.len() + 1;
            match words[..] {
                ["fork"] => process::fork(|| self.run(block)),
                ["thread"] => std::thread::scope(|scope| {
                    scope.spawn(|| self.run(block));
                }),
                [_, times] => {
                    for _ in 0..number::<u32>(times) {
                        self.run(block);
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, words: &[&str]) -> io::Result<()> {
        match words {
            ["wait"] => wait(),
            ["fails", step @ ..] => {
                let error = self.step(step).expect_err("this step was to fail");
                say("errno", error.raw_os_error().unwrap_or(0));
            }
            ["work", what, count, tag] => workload::run(what, number(count), tag)?,
            _ => {
                return process::step(self, words)
                    .or_else(|| network::step(self, words))
                    .or_else(|| file::step(self, words))
                    .or_else(|| ring::step(words))
                    .unwrap_or_else(|| panic!("there is no step {words:?}"));
            }
        }
        Ok(())
    }

    fn fd(&self, name: &str) -> RawFd {
        *self.open.get(name).unwrap_or_else(|| panic!("nothing is open under the name {name}"))
    }

    fn opened(&mut self, name: &str, fd: RawFd) {
        self.open.insert(name.to_owned(), fd);
    }
}

/// Steps up to the `end` of the block they are in.
fn length(steps: &[String]) -> usize {
    let mut depth = 0;
    let end = steps.iter().position(|step| {
        match step.split_whitespace().next() {
            Some("fork" | "thread" | "repeat") => depth += 1,
            Some("end") => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    end.expect("every block has an end")
}

fn wait() {
    println!("{WAITING}");
    let mut byte = 0_u8;
    // SAFETY: one writable byte. Not through std, which would read ahead what a later wait is to read.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
}

fn say(name: &str, value: impl std::fmt::Display) {
    let mut stdout = io::stdout().lock();
    // One write a line, so that lines of several processes do not mix.
    let _ = stdout.write_all(format!("{name} {value}\n").as_bytes());
    let _ = stdout.flush();
}

fn number<N: std::str::FromStr>(word: &str) -> N {
    word.parse().unwrap_or_else(|_| panic!("{word} is not a number"))
}

fn c_string(word: impl AsRef<std::ffi::OsStr>) -> CString {
    CString::new(word.as_ref().as_bytes()).expect("no NUL in an argument")
}

/// The result of a call that says -1 and errno when it fails.
fn check(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}
