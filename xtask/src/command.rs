//! Starting other programs so that a failure is one sentence that names the program and the remedy.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// Tells the user what happens and why; stdout stays free for data.
pub(crate) fn say(message: &str) {
    eprintln!("xtask: {message}");
}

/// Runs `command` with our stdin, stdout and stderr; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if !status.success() {
        bail!("`{}` failed ({status})", display(command));
    }
    Ok(())
}

/// Runs `command` and returns its stdout. On failure the last line it wrote to stderr becomes the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    match output(command)? {
        Ok(stdout) => Ok(stdout),
        Err(Failure { status, stderr }) => {
            let last = lines(&stderr).next_back().unwrap_or("no message");
            bail!("`{}` failed ({status}): {last}", display(command))
        }
    }
}

/// Like [`capture`], for a command line too long to show: the error is the first line it wrote to stderr.
pub(crate) fn capture_tersely(command: &mut Command) -> Result<String> {
    match output(command)? {
        Ok(stdout) => Ok(stdout),
        Err(Failure { status, stderr }) => {
            let program = command.get_program().display();
            bail!("{program}: {}", lines(&stderr).next().unwrap_or(&status.to_string()))
        }
    }
}

struct Failure {
    status: ExitStatus,
    stderr: String,
}

fn output(command: &mut Command) -> Result<std::result::Result<String, Failure>> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if !status.success() {
        return Ok(Err(Failure { status, stderr: String::from_utf8_lossy(&stderr).into_owned() }));
    }
    let stdout = String::from_utf8(stdout);
    Ok(Ok(stdout.with_context(|| format!("`{}` printed text that is not UTF-8", display(command)))?))
}

/// The lines that say something.
fn lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Finds a program in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

/// Whether we run as root. An answer we cannot get counts as no: the caller then says what it needs.
pub(crate) fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

/// The error for a program that could not be started at all.
pub(crate) fn cannot_start(command: &Command, error: &io::Error) -> anyhow::Error {
    let program = command.get_program().display();
    if error.kind() == io::ErrorKind::NotFound {
        anyhow!("cannot start `{program}`: it is not installed or not in PATH")
    } else {
        anyhow!("cannot start `{program}`: {error}")
    }
}

/// The command as a user could type it, without the environment we add.
fn display(command: &Command) -> String {
    let program = command.get_program();
    let program = if program.as_encoded_bytes().ends_with(b"/cargo") { OsStr::new("cargo") } else { program };
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot start `no-such-program-here`: it is not installed or not in PATH"
        );
    }

    #[test]
    fn a_failing_program_is_quoted_with_its_last_words() {
        let error =
            capture(Command::new("sh").args(["-c", "echo first >&2; echo last >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("(exit status: 3): last"), "{error}");
    }

    #[test]
    fn a_terse_error_starts_where_the_trouble_did() {
        let error = capture_tersely(Command::new("sh").args(["-c", "echo first >&2; echo last >&2; exit 3"]));
        assert_eq!(error.unwrap_err().to_string(), "sh: first");
        let error = capture_tersely(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: exit status: 3");
    }

    #[test]
    fn cargo_is_shown_by_name() {
        assert_eq!(
            display(Command::new("/opt/rust/bin/cargo").args(["fmt", "--check"])),
            "cargo fmt --check"
        );
    }
}
