//! Where things are: the repository, its target directory, and the compiler it is built with.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{capture, say};

/// The repository and the places under its target directory that the verbs share.
#[derive(Debug)]
pub(crate) struct Project {
    /// The directory of the workspace manifest.
    pub(crate) root: PathBuf,
    /// cargo's target directory, `target/` unless `CARGO_TARGET_DIR` says otherwise.
    pub(crate) target: PathBuf,
    /// The source of the standard library that the user named, if any.
    pub(crate) rust_src: Option<PathBuf>,
}

impl Project {
    pub(crate) fn find(rust_src: Option<PathBuf>) -> Result<Self> {
        // cargo sets the variable for `cargo xtask`; the compiled-in value serves who starts the binary directly.
        let here = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.parent().with_context(|| format!("{} has no parent", here.display()))?.to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir).context("CARGO_TARGET_DIR is not a usable path")?,
            None => root.join("target"),
        };
        Ok(Self { root, target, rust_src })
    }

    /// What belongs to the kernel programs: their toolchain, their cargo target directory, the object.
    pub(crate) fn bpf_dir(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// Where pinned cargo tools are installed (`bin/` below it).
    pub(crate) fn tools_dir(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Where the compiled kernel programs for an architecture are.
    pub(crate) fn bpf_objects(&self, arch: &str) -> PathBuf {
        if arch == env::consts::ARCH { self.bpf_dir() } else { self.bpf_dir().join(arch) }
    }

    /// The compiled kernel programs, as the agent embeds them; those for old kernels lie beside.
    pub(crate) fn bpf_object(&self) -> PathBuf {
        self.bpf_objects(env::consts::ARCH).join("collector.bpf.o")
    }

    /// The manifest of the kernel programs; outside the workspace because it builds for another target.
    pub(crate) fn ebpf_manifest(&self) -> PathBuf {
        self.root.join("collector-ebpf/Cargo.toml")
    }

    /// The manifest of the fuzz targets; outside the workspace because of the compiler flags they need.
    pub(crate) fn fuzz_manifest(&self) -> PathBuf {
        self.root.join("tests/fuzz/Cargo.toml")
    }

    /// The manifest of the program that lists a public API; outside the workspace because that is the only one to need
    /// what it is made of.
    pub(crate) fn lister_manifest(&self) -> PathBuf {
        self.root.join("xtask/public-api/Cargo.toml")
    }

    /// cargo, as called for this project's own crates.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(cargo_program());
        cargo.current_dir(&self.root);
        if self.target != self.root.join("target") {
            // The agent's build script looks into target/ by itself; elsewhere it has to be told.
            cargo.env("COLLECTOR_BPF_OBJECT", self.bpf_object());
        }
        cargo
    }

    /// Waits until no other `cargo xtask` changes what is under target/bpf and target/tools; released when dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.target)
            .with_context(|| format!("cannot create {}", self.target.display()))?;
        let path = self.target.join("xtask.lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say(&format!("waiting for another `cargo xtask` to release {}", path.display()));
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(file)
    }
}

/// The cargo that runs us, so that toolchain overrides on the command line reach the children.
pub(crate) fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The compiler in use. Everything for the kernel target has to match it exactly.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rustc {
    /// The release, such as `1.95.0` or `1.96.0-nightly`.
    pub(crate) release: String,
    /// The commit it was built from, where known.
    pub(crate) commit: String,
    /// Its directory of libraries.
    pub(crate) sysroot: PathBuf,
}

impl Rustc {
    pub(crate) fn query() -> Result<Self> {
        let rustc = || Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let verbose = capture(rustc().arg("-vV"))?;
        let sysroot = capture(rustc().args(["--print", "sysroot"]))?;
        let (release, commit) = parse_version(&verbose)
            .with_context(|| format!("`rustc -vV` does not name its release; it says: {verbose}"))?;
        Ok(Self { release, commit, sysroot: PathBuf::from(sysroot.trim_end()) })
    }
}

/// Takes release and commit out of `rustc -vV`. A distribution's compiler may say `commit-hash: unknown`.
fn parse_version(verbose: &str) -> Option<(String, String)> {
    let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let release = field("release:").filter(|release| !release.is_empty())?;
    Some((release.to_owned(), field("commit-hash:").unwrap_or("unknown").to_owned()))
}

/// `path` as a user would type it from the root of the repository.
pub(crate) fn relative<'a>(path: &'a Path, root: &Path) -> std::path::Display<'a> {
    path.strip_prefix(root).unwrap_or(path).display()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn release_and_commit_are_read_from_rustc() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\ncommit-hash: 59807616e1fa\nrelease: 1.95.0\n";
        assert_eq!(parse_version(text), Some(("1.95.0".into(), "59807616e1fa".into())));
    }

    #[test]
    fn a_distribution_compiler_has_no_commit() {
        let text = "rustc 1.95.0 (built from a source tarball)\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(parse_version(text), Some(("1.95.0".into(), "unknown".into())));
    }

    #[test]
    fn other_output_is_not_a_version() {
        assert_eq!(parse_version("rustc 1.95.0"), None);
    }
}
