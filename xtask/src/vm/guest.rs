//! What is in a machine besides its kernel: our programs, linked statically, and the few that tests start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cpio::Archive;
use super::debian::Debian;
use crate::command::{capture, run, say};
use crate::project::Project;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What tests start.
const PROGRAMS: [&str; 5] =
    ["usr/bin/dash", "usr/bin/env", "usr/bin/false", "usr/bin/sha256sum", "usr/bin/true"];

const DIRECTORIES: [&str; 12] = [
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "tests",
    "tmp",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
];

/// As in Debian.
const SYMLINKS: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("usr/bin/sh", "dash")];

/// Builds the programs and the archive that has them, and returns its path.
pub(super) fn build(project: &Project, debian: &Debian) -> Result<PathBuf> {
    say("building the agent and the kernel tests, linked statically");
    let programs = build_programs(project)?;
    let mut archive = Archive::default();
    for path in DIRECTORIES {
        archive.directory(path);
    }
    for (path, target) in SYMLINKS {
        archive.symlink(path, target);
    }
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
    let libraries = debian.libraries_of(&PROGRAMS)?;
    for name in PROGRAMS.into_iter().chain(libraries.iter().map(String::as_str)) {
        archive.file(name, &read(&debian.path(name))?);
    }
    for (name, path) in programs {
        archive.file(name, &read(&path)?);
    }
    let path = super::dir(project).join("guest.cpio");
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The programs, by their names in the machine.
fn build_programs(project: &Project) -> Result<Vec<(&'static str, PathBuf)>> {
    let built = super::dir(project).join("build");
    let release = built.join(TARGET).join("release");
    run(cargo(project, "build").args([
        "--bins",
        "--package",
        "collector-tests",
        "--package",
        "collector-agent",
    ]))
    .context("the programs for the machines do not build")?;
    let mut tests = cargo(project, "test");
    tests.args(["--no-run", "--package", "collector-tests", "--test", "kernel", "--message-format", "json"]);
    let messages = capture(&mut tests).context("the tests for the machines do not build")?;
    let Some(kernel) = executable(&messages, "kernel") else {
        bail!("cargo does not say where it built the kernel tests");
    };
    Ok(vec![
        ("init", release.join("vm-init")),
        ("usr/bin/collector", release.join("collector")),
        ("tests/actor", release.join("actor")),
        ("tests/overhead", release.join("overhead")),
        ("tests/kernel", kernel),
    ])
}

/// cargo for static programs, that are small and quickly built: they are all that is in the machine's memory.
fn cargo(project: &Project, verb: &str) -> Command {
    let mut cargo = project.cargo();
    cargo.args([verb, "--quiet", "--release", "--target", TARGET]);
    cargo.env("CARGO_TARGET_DIR", super::dir(project).join("build"));
    cargo.env("COLLECTOR_BPF_OBJECT", project.bpf_object());
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    for (setting, value) in
        [("LTO", "off"), ("CODEGEN_UNITS", "16"), ("OPT_LEVEL", "2"), ("STRIP", "symbols")]
    {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    cargo
}

/// Where cargo says that it built a target.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = messages.filter(|message| message["target"]["name"] == target);
    ours.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_of_a_target_is_found() {
        let messages = "noise\n{\"target\":{\"name\":\"other\"},\"executable\":\"/o\"}\n\
                        {\"target\":{\"name\":\"kernel\"},\"executable\":null}\n\
                        {\"target\":{\"name\":\"kernel\"},\"executable\":\"/t/kernel-1\"}\n";
        assert_eq!(executable(messages, "kernel"), Some(PathBuf::from("/t/kernel-1")));
        assert_eq!(executable(messages, "absent"), None);
    }
}
