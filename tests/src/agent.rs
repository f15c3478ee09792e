//! The whole agent, as a user runs it, on a test's own processes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::DEADLINE;
use crate::user::User;

/// A running agent, with all it writes in one directory.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    dir: PathBuf,
}

/// An agent that has ended.
#[derive(Debug)]
pub struct EndedAgent {
    /// How it ended.
    pub status: ExitStatus,
    /// From the signal to its end.
    pub took: Duration,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Its output, line by line.
    pub lines: Vec<Value>,
}

impl Agent {
    /// Runs it in `dir`, following these processes, with further arguments and a configuration file; returns when it sees.
    #[must_use]
    pub fn run(dir: &Path, pids: &[u32], config: &str) -> Self {
        let mut command = Command::new(program());
        command.args(arguments(dir, pids, config));
        Self::start(dir, command)
    }

    /// The same, with further arguments.
    #[must_use]
    pub fn run_with(dir: &Path, pids: &[u32], config: &str, further: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments(dir, pids, config)).args(further);
        Self::start(dir, command)
    }

    /// The same, started by this user, to whom `dir` then belongs.
    #[must_use]
    pub fn run_by(user: User, dir: &Path, pids: &[u32], config: &str) -> Self {
        let mut command = Command::new(program());
        command.args(arguments(dir, pids, config));
        chown(dir, Some(user.id), Some(user.id)).expect("tests of users are run as root");
        user.starts(&mut command);
        Self::start(dir, command)
    }

    /// The same, where the agent's database is on a full disk: an actor mounts a file system of its own there.
    #[must_use]
    pub fn run_on_full_disk(dir: &Path, pids: &[u32], config: &str) -> Self {
        let store = dir.join("store");
        fs::create_dir(&store).expect("the directory is new");
        let steps = ["unshare mnt".to_owned(), format!("tmpfs {} 256k", store.display())];
        Self::run_after(&steps, dir, pids, config)
    }

    /// The same, in what an actor made of its process by these steps.
    #[must_use]
    pub fn run_after(steps: &[String], dir: &Path, pids: &[u32], config: &str) -> Self {
        Self::start(dir, after(steps, &arguments(dir, pids, config)))
    }

    fn start(dir: &Path, mut command: Command) -> Self {
        let stderr = File::create(dir.join("stderr")).expect("the directory can be written to");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).current_dir(dir);
        if let Some(tier) = crate::capture::forced_tier() {
            command.env("COLLECTOR_CAPTURE_TIER", format!("{tier:?}"));
        }
        let child = command.spawn().expect("the agent starts");
        let mut agent = Self { child, dir: dir.to_owned() };
        // The processes that are there are told once the programs are at work.
        agent.wait_for_output("process.snapshot");
        agent
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }

    /// Waits until its output has this text in it.
    pub fn wait_for_output(&mut self, text: &str) {
        let path = self.dir.join("events.json");
        let deadline = Instant::now() + DEADLINE;
        while !fs::read_to_string(&path).is_ok_and(|output| output.contains(text)) {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the agent ended: {ended:?}: {}", self.stderr());
            assert!(Instant::now() < deadline, "no {text} in the output in {DEADLINE:?}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(20)); // deadline: a file tells nobody that it grew
        }
    }

    /// Ends it by a signal, and returns what it wrote.
    #[must_use]
    pub fn end(mut self, signal: Signal) -> EndedAgent {
        let begin = Instant::now();
        self.signal(signal);
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None => {
                    assert!(begin.elapsed() < DEADLINE, "the agent did not end in {DEADLINE:?}");
                    std::thread::sleep(Duration::from_millis(5)); // deadline: how long it takes is measured
                }
            }
        };
        let took = begin.elapsed();
        EndedAgent { status, took, stderr: self.stderr(), lines: lines(&self.dir.join("events.json")) }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
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

impl EndedAgent {
    /// The lines of one kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["kind"] == kind)
    }
}

fn arguments(dir: &Path, pids: &[u32], config: &str) -> Vec<String> {
    let path = |name: &str| dir.join(name).to_str().expect("a path of text").to_owned();
    fs::write(path("collector.toml"), config).expect("the directory can be written to");
    let mut arguments: Vec<String> =
        ["run", "--format", "json", "--config"].into_iter().map(str::to_owned).collect();
    arguments.extend([path("collector.toml"), "--output".into(), path("events.json")]);
    arguments.extend(["--db".into(), path("store/events.db"), "--runtime-dir".into(), path("runtime")]);
    arguments.extend(pids.iter().flat_map(|pid| ["--pid".to_owned(), pid.to_string()]));
    arguments
}

/// The agent with these arguments, after an actor has taken these steps in the same process.
fn after<S: AsRef<str>>(steps: &[String], arguments: &[S]) -> Command {
    let words = ["exec", program()].into_iter().chain(arguments.iter().map(AsRef::as_ref));
    let exec = words.collect::<Vec<_>>().join(" ");
    let mut command = Command::new(crate::actor_program());
    command.arg("at-once").args(steps).arg(exec);
    command
}

/// [`run_agent`], in what an actor made of its process by these steps.
#[must_use]
pub fn run_agent_after(steps: &[String], arguments: &[&str]) -> (ExitStatus, String, String) {
    finish(&mut after(steps, arguments))
}

/// Runs a command of the agent to its end, and returns how it ended, its stdout and its stderr.
#[must_use]
pub fn run_agent(arguments: &[&str]) -> (ExitStatus, String, String) {
    finish(Command::new(program()).args(arguments))
}

/// The same, started by this user.
#[must_use]
pub fn run_agent_by(user: User, arguments: &[&str]) -> (ExitStatus, String, String) {
    let mut command = Command::new(program());
    user.starts(command.args(arguments));
    finish(&mut command)
}

fn finish(command: &mut Command) -> (ExitStatus, String, String) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("the agent writes text");
    (output.status, text(output.stdout), text(output.stderr))
}

fn lines(path: &Path) -> Vec<Value> {
    let file = BufReader::new(File::open(path).expect("the agent writes its output"));
    file.lines()
        .map(|line| serde_json::from_str(&line.expect("text")).expect("every line is whole and JSON"))
        .collect()
}

/// The agent's program. Built anew unless the environment names one: `cargo test` builds the programs of the package under
/// test only, and an old one would prove nothing.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Ok(path) = std::env::var("COLLECTOR_TESTS_AGENT") {
            return path;
        }
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", "collector-agent", "--message-format", "json"]);
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
        assert!(output.status.success(), "the agent builds: {}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).expect("cargo writes JSON");
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut programs = messages.filter(|it| it["target"]["name"] == "collector");
        let path = programs.find_map(|it| it["executable"].as_str().map(str::to_owned));
        path.expect("cargo says where the program is")
    })
}
