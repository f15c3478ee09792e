//! The binary as people and scripts meet it: exit codes, what goes where, what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod config;
mod packaging;
mod performance;
mod privileges;
mod query;
mod recording;
mod replay;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A place of its own for one test.
struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap() };
        // Whatever is configured on this machine has no say.
        fixture.file("empty.toml", "");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The binary, in an environment without settings.
    fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COLLECTOR_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .env("COLLECTOR_CONFIG", self.path("empty.toml"))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .current_dir(&self.directory);
        command
    }

    fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Ends with `code`, says `words` on standard error and nothing on standard output.
    #[track_caller]
    fn fails(self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(words), "expected {words:?}: {self:?}");
        assert_eq!(self.out, "", "{self:?}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn wrong_usage_ends_with_two() {
    let fixture = Fixture::new();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["run", "--format", "xml"],
        &["run", "--sources", "process,printer"],
        &["run", "--pid", "0"],
        &["run", "--duration", "soon"],
        &["run", "--db", "x.db", "--no-store"],
        &["query"],
        &["stats", "--color", "sometimes"],
        &["--log-level", "a=b=c", "run"],
        &["run", "--cgroup", "/no/such/group"],
        &["run", "--cgroup", "/"],
        &["run", "--run-as", "no-such-user"],
    ] {
        let ran = fixture.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn misspelt_words_get_suggestions() {
    let fixture = Fixture::new();
    fixture.run(&["quary", "SELECT 1"]).fails(2, "'query'");
    fixture.run(&["run", "--sources", "proces"]).fails(2, "'process'");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let fixture = Fixture::new();
    let help = fixture.run(&["--help"]).succeeds();
    for word in ["run", "doctor", "stats", "query", "record", "replay", "config", "completions", "Exit codes"]
    {
        assert!(help.out.contains(word), "{word} is missing: {}", help.out);
    }
    let version = fixture.run(&["--version"]).succeeds();
    assert_eq!(version.out, format!("collector {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_for_every_shell() {
    let fixture = Fixture::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = fixture.run(&["completions", shell]).succeeds();
        assert!(ran.out.contains("print-defaults"), "{shell}");
    }
}

#[test]
fn reader_that_goes_is_no_error() {
    let fixture = Fixture::new();
    let mut child = fixture
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed before anything was read.
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap()).succeeds();
    assert_eq!(ran.err, "");
}

#[test]
fn stats_without_an_agent_says_what_to_do() {
    let fixture = Fixture::new();
    let runtime_dir = fixture.path("run");
    fixture.run(&["stats", "--runtime-dir", text(&runtime_dir)]).fails(1, "start one with `collector run`");
}

#[test]
fn second_agent_is_refused_before_anything_happens() {
    let fixture = Fixture::new();
    let lock = std::fs::File::create(fixture.path("collector.lock")).unwrap();
    std::fs::write(fixture.path("collector.lock"), "4711\n").unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let runtime_dir = fixture.directory.path();
    fixture
        .run(&["run", "--no-store", "--duration", "1s", "--runtime-dir", text(runtime_dir)])
        .fails(1, "another collector runs already (pid 4711)");
}
