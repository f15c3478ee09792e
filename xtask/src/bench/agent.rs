//! An agent under measurement: starting it, its costs from /proc, ending it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use crate::command::{cannot_start, run};

/// How long the agent may take to start, to catch up, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Without output for so long it has caught up. Longer than its store waits to fill a batch.
const QUIET: Duration = Duration::from_millis(500);

pub(super) struct Agent {
    child: Child,
    output: PathBuf,
}

impl Agent {
    /// An agent that writes JSON to a file and to a database, ready to see.
    pub(super) fn to_file(bench: &Bench) -> Result<Self> {
        let output = bench.dir.join("events.json");
        remove(&output)?;
        let mut command = command(bench)?;
        let child = start(command.arg("--output").arg(&output).stdout(Stdio::null()))?;
        let agent = Self { child, output };
        agent.wait("start", || {
            bench.run("exec", 1, "ready")?;
            Ok(fs::read_to_string(&agent.output).is_ok_and(|text| text.contains("ready-0")))
        })?;
        agent.wait_until_quiet()?;
        Ok(agent)
    }

    /// An agent that writes JSON to a pipe and to a database.
    pub(super) fn to_pipe(bench: &Bench) -> Result<(Self, ChildStdout)> {
        let mut child = start(command(bench)?.stdout(Stdio::piped()))?;
        let pipe = child.stdout.take().context("its stdout is a pipe")?;
        Ok((Self { child, output: PathBuf::new() }, pipe))
    }

    /// Processor time of all its threads so far, in nanoseconds where the kernel says so.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let dir = format!("/proc/{}/task", self.child.id());
        let mut total = 0;
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {dir}: has the agent ended?"))? {
            let path = entry?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            total += first_number(&text).with_context(|| format!("{} has no number", path.display()))?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory now, and the most so far, in bytes.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(first_number).map(|kilobytes| kilobytes * 1024)
        };
        field("VmRSS:").zip(field("VmHWM:")).with_context(|| format!("{path} does not tell memory"))
    }

    pub(super) fn output_len(&self) -> Result<u64> {
        Ok(fs::metadata(&self.output).with_context(|| self.output.display().to_string())?.len())
    }

    pub(super) fn output_from(&self, begin: u64) -> Result<String> {
        let text = fs::read_to_string(&self.output).with_context(|| self.output.display().to_string())?;
        Ok(text.get(begin as usize..).unwrap_or_default().to_owned())
    }

    pub(super) fn wait_until_quiet(&self) -> Result<()> {
        let (mut len, mut since) = (0, Instant::now());
        self.wait("catch up", || {
            let now = self.output_len()?;
            if now != len {
                (len, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= QUIET)
        })
    }

    /// Ends it as a service manager would.
    pub(super) fn stop(mut self) -> Result<()> {
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the agent ended with {status}");
                }
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("the agent did not end in {} s", PATIENCE.as_secs())
    }

    fn wait(&self, what: &str, is_done: impl FnMut() -> Result<bool>) -> Result<()> {
        wait(what, is_done)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Looks again and again until it is done.
pub(super) fn wait(what: &str, mut is_done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_done()? {
        if Instant::now() > deadline {
            bail!("the agent did not {what} in {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// An agent with everything on, that watches this process and its descendants alone.
fn command(bench: &Bench) -> Result<Command> {
    let (database, runtime) = (bench.dir.join("events.db"), bench.dir.join("runtime"));
    for suffix in ["", "-wal", "-shm"] {
        remove(&bench.dir.join(format!("events.db{suffix}")))?;
    }
    let mut command = Command::new(&bench.agent);
    command.args(["run", "--format", "json", "--pid", &std::process::id().to_string(), "--db"]);
    command.arg(database).arg("--runtime-dir").arg(runtime).stdin(Stdio::null());
    Ok(command)
}

fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| cannot_start(command, &error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
