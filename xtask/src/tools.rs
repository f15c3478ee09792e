//! Tools from crates.io, pinned and installed below target/ where they disturb nobody.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{capture, run, say};
use crate::project::{Project, cargo_program, relative};

/// A program that `cargo install` builds.
#[derive(Debug)]
pub(crate) struct CargoTool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Completes the sentence "… because …".
    pub(crate) because: &'static str,
}

/// Links the kernel programs. Older versions write type information for `aya_ebpf::Global` that kernels refuse;
/// newer ones want an LLVM of the system's instead of using rustc's.
pub(crate) const BPF_LINKER: CargoTool = CargoTool {
    name: "bpf-linker",
    version: "0.10.3",
    because: "kernel programs are linked from LLVM bitcode, which ld cannot do",
};

/// Drives libFuzzer.
pub(crate) const CARGO_FUZZ: CargoTool =
    CargoTool { name: "cargo-fuzz", version: "0.13.2", because: "it builds and runs the fuzz targets" };

/// Whether [`ensure`] had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Present,
    Installed,
}

impl CargoTool {
    pub(crate) fn path(&self, project: &Project) -> PathBuf {
        project.tools_dir().join("bin").join(self.name)
    }

    /// Installs the tool unless the pinned version is there and starts.
    pub(crate) fn ensure(&self, project: &Project) -> Result<Outcome> {
        let Self { name, version, because } = self;
        let found = capture(Command::new(self.path(project)).arg("--version"));
        if found.as_ref().is_ok_and(|text| parse_tool_version(text) == Some(version)) {
            return Ok(Outcome::Present);
        }
        let root = project.tools_dir();
        // Its own build directory: the workspace's would be locked, and this one can go afterwards.
        let build = root.join("build").join(name);
        say(&format!(
            "building {name} {version} from crates.io, because {because}; cached in {} (takes minutes, once)",
            relative(&root, &project.root)
        ));
        let mut cargo = Command::new(cargo_program());
        cargo.args(["install", "--quiet", "--locked", "--force"]).arg(format!("{name}@{version}"));
        cargo.arg("--root").arg(&root).arg("--target-dir").arg(&build);
        // Flags meant for our own crates are no business of a tool's.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        // `cargo install` warns that its bin/ is not in PATH, which is as it should be.
        cargo.current_dir(&project.root);
        run(&mut cargo).with_context(|| {
            format!("cannot install {name} {version} from crates.io; check the network and try `cargo xtask setup` again")
        })?;
        // Hundreds of megabytes nobody needs again; if they stay, that is all that happens.
        let _ = fs::remove_dir_all(&build);
        let text = capture(Command::new(self.path(project)).arg("--version"))?;
        if parse_tool_version(&text) != Some(version) {
            bail!("{name} {version} was installed, but calls itself {text:?}");
        }
        Ok(Outcome::Installed)
    }
}

/// The version in what `tool --version` prints: the first word of the first line that starts with a digit.
fn parse_tool_version(text: &str) -> Option<&str> {
    text.lines().next()?.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::parse_tool_version;

    #[test]
    fn the_version_follows_the_name() {
        assert_eq!(parse_tool_version("bpf-linker 0.10.3\n"), Some("0.10.3"));
        assert_eq!(parse_tool_version("cargo-fuzz 0.13.2 (abcdef 2026-01-01)"), Some("0.13.2"));
    }

    #[test]
    fn silence_is_no_version() {
        assert_eq!(parse_tool_version(""), None);
        assert_eq!(parse_tool_version("usage: tool"), None);
    }
}
