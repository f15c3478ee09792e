//! The test's side of an actor: starting it, letting it go on, and hearing what it says.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::DEADLINE;
use crate::steps::{PANIC, WAITING};

/// A process that does what it is told, step by step; see [`steps`](crate::steps) for what it can do.
///
/// It begins by waiting: whoever wants to watch it has all the time they need.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
    said: Vec<(String, String)>,
}

/// An actor that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    said: Vec<(String, String)>,
}

impl Actor {
    /// An actor that takes these steps, in the current directory.
    #[must_use]
    pub fn new<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self::start(Path::new("/"), steps, &[])
    }

    /// An actor that starts in `dir`.
    #[must_use]
    pub fn in_dir<S: AsRef<str>>(dir: &Path, steps: impl IntoIterator<Item = S>) -> Self {
        Self::start(dir, steps, &[])
    }

    /// An actor in `dir` with arguments, of any bytes, for its `exec-rest` step.
    #[must_use]
    pub fn start<S: AsRef<str>>(dir: &Path, steps: impl IntoIterator<Item = S>, rest: &[OsString]) -> Self {
        let mut command = Command::new(program());
        command.args(steps.into_iter().map(|step| OsString::from(step.as_ref())));
        if !rest.is_empty() {
            command.arg("--").args(rest);
        }
        command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What the actor's children find in their environment is the test's, not the machine's.
        command.env_clear().env("PATH", "/usr/bin:/bin");
        let mut child = command.spawn().expect("the actor starts");
        let lines = Lines::new(child.stdout.take().expect("its stdout is a pipe"));
        let stdin = child.stdin.take();
        let mut actor = Self { child, stdin, lines, said: Vec::new() };
        actor.until_it_waits();
        actor
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it take the steps up to its next `wait`, and returns when it is there.
    pub fn go_on(&mut self) {
        self.release();
        self.until_it_waits();
    }

    /// Lets it go on, without waiting for anything.
    pub fn release(&mut self) {
        let stdin = self.stdin.as_mut().expect("it was not left alone before");
        stdin.write_all(b"\n").expect("the actor reads");
    }

    /// Lets it go on to its end, past all waits, and returns when it has ended.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        // All waits, if any, end at once; it may also have ended already.
        self.stdin = None;
        self.wait_for_end();
        let status = self.child.wait().expect("it is our child");
        // Its children may hold its stdout open; what it said itself is in the pipe.
        while let Some(line) = self.lines.next_there() {
            self.hear(&line);
        }
        assert_ne!(status.code(), Some(PANIC), "the actor failed; what it says is on stderr");
        Finished { pid: self.child.id(), status, said: std::mem::take(&mut self.said) }
    }

    /// The value it said under this name, so far.
    #[must_use]
    pub fn said(&self, name: &str) -> &str {
        find(&self.said, name)
    }

    /// Everything it said under this name, so far.
    pub fn all_said<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        find_all(&self.said, name)
    }

    /// Returns when it is at its next `wait`.
    pub fn until_it_waits(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.next_within(deadline.saturating_duration_since(Instant::now())) {
                Some(line) if line == WAITING => return,
                Some(line) => self.hear(&line),
                None => {
                    assert!(!self.lines.have_ended(), "the actor ended before it came to a wait");
                    panic!("the actor did not come to a wait in {DEADLINE:?}");
                }
            }
        }
    }

    fn wait_for_end(&self) {
        let pid = Pid::from_child(&self.child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it was not waited for yet");
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = poll(&mut polled, Some(&timeout)).expect("a pidfd can be polled");
        assert!(ready == 1, "the actor did not end in {DEADLINE:?}");
    }

    fn hear(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once(' ') {
            self.said.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// The lines of a pipe. A thread takes what comes, so that the other side never has to wait for room; and whoever wants all
/// that is there takes it without that thread.
#[derive(Debug)]
struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pipe: ChildStdout,
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    /// What was read and not taken yet.
    bytes: VecDeque<u8>,
    /// Nobody has the other end any more.
    ended: bool,
}

impl Lines {
    fn new(pipe: ChildStdout) -> Self {
        fcntl_setfl(&pipe, OFlags::NONBLOCK).expect("a pipe can be read without waiting");
        let shared = Arc::new(Shared { pipe, said: Mutex::default(), more: Condvar::new() });
        let reader = Arc::clone(&shared);
        std::thread::spawn(move || {
            while !reader.read_all().ended {
                reader.more.notify_all();
                let mut polled = [PollFd::new(&reader.pipe, PollFlags::IN)];
                poll(&mut polled, None).expect("a pipe can be polled");
            }
            reader.more.notify_all();
        });
        Self(shared)
    }

    /// The next line, if all of it is there.
    fn next_there(&self) -> Option<String> {
        self.0.read_all().next_line()
    }

    /// The next line, if it comes within this time and before the end.
    fn next_within(&self, time: Duration) -> Option<String> {
        let incomplete = |said: &mut Said| !said.ended && !said.bytes.contains(&b'\n');
        let said = self.0.more.wait_timeout_while(self.0.read_all(), time, incomplete);
        said.expect("nobody panics while holding it").0.next_line()
    }

    fn have_ended(&self) -> bool {
        self.0.read_all().ended
    }
}

impl Shared {
    /// Takes all that is in the pipe.
    fn read_all(&self) -> MutexGuard<'_, Said> {
        let mut said = self.said.lock().expect("nobody panics while holding it");
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(&self.pipe, &mut chunk) {
                Ok(0) => {
                    said.ended = true;
                    return said;
                }
                Ok(read) => said.bytes.extend(&chunk[..read]),
                Err(Errno::AGAIN) => return said,
                Err(Errno::INTR) => {}
                Err(error) => panic!("the actor's stdout: {error}"),
            }
        }
    }
}

impl Said {
    fn next_line(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.bytes.drain(..=end).take(end).collect();
        Some(String::from_utf8(line).expect("an actor says text"))
    }
}

impl Drop for Actor {
    /// For tests that fail half-way: nothing of theirs stays behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// The value it said under this name.
    #[must_use]
    pub fn said(&self, name: &str) -> &str {
        find(&self.said, name)
    }

    /// A number it said under this name.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.said(name).parse().expect("it is a number")
    }

    /// Everything it said under this name.
    pub fn all_said<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        find_all(&self.said, name)
    }
}

fn find<'a>(said: &'a [(String, String)], name: &str) -> &'a str {
    let found = said.iter().find(|(known, _)| known == name);
    found.map_or_else(|| panic!("the actor said no {name:?}; it said {said:?}"), |(_, value)| value)
}

fn find_all<'a>(said: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    said.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
}

/// The actor's program: built by cargo beside the tests.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("COLLECTOR_TESTS_ACTOR") {
        return path.into();
    }
    let me = std::env::current_exe().expect("/proc is mounted");
    // target/debug/deps/kernel-… or, copied somewhere, side by side.
    let places = me.ancestors().skip(1).take(2).map(|dir| dir.join("actor"));
    places.into_iter().find(|path| path.is_file()).expect("`cargo test` builds the actor beside the tests")
}

/// The actor's program as an argument.
#[must_use]
pub fn actor_program() -> OsString {
    OsStr::new(&program()).to_owned()
}
