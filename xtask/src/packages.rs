//! Programs that come from the distribution: looked for first, and only what is missing is installed.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{find_program, is_root, run, say};

/// A program that a build or a test starts, and the Debian packages that bring it.
#[derive(Debug)]
pub(crate) struct SystemTool {
    pub(crate) program: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Completes the sentence "it is needed because …".
    pub(crate) because: &'static str,
}

/// What every build needs. Add a line only for something that cannot be had from crates.io.
pub(crate) const FOR_BUILDS: &[SystemTool] = &[SystemTool {
    program: "cc",
    packages: &["gcc", "libc6-dev"],
    because: "SQLite is compiled from its C source and rustc links with it",
}];

/// What the fuzz targets need on top.
pub(crate) const FOR_FUZZING: &[SystemTool] = &[SystemTool {
    program: "c++",
    packages: &["g++"],
    because: "libFuzzer is compiled from its C++ source",
}];

/// Makes sure that every program is there: silently when it is, with apt-get as root, else with a sentence.
pub(crate) fn ensure(tools: &[SystemTool]) -> Result<()> {
    for tool in tools {
        let SystemTool { program, packages, because } = tool;
        if find_program(program).is_some() {
            continue;
        }
        let packages_text = packages.join(" ");
        if find_program("apt-get").is_none() {
            bail!(
                "`{program}` is missing and this machine has no apt-get; it is needed because {because}: \
                 install what Debian calls {packages_text}"
            );
        }
        if !is_root() {
            bail!(
                "`{program}` is missing; it is needed because {because}: run `sudo apt-get install {packages_text}`"
            );
        }
        say(&format!("installing {packages_text} with apt-get, because {because}"));
        install(packages).with_context(|| {
            format!("`{program}` is missing and installing it failed; `apt-get update` may be due")
        })?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        // A question would wait forever on a CI machine.
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").stdin(std::process::Stdio::null());
        apt
    };
    let install = || run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages));
    // Fresh container images come without package lists, machines in use with recent ones.
    install().or_else(|_| run(apt().arg("update")).and_then(|()| install()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_needs_nothing() {
        let tool = SystemTool { program: "sh", packages: &["no-such-package"], because: "of this test" };
        ensure(&[tool]).unwrap();
    }
}
