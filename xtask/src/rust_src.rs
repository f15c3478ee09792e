//! Finding the source of the standard library that matches the compiler exactly.
//!
//! A neighbouring version does not do: the library and the compiler share unstable names that change every release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{find_program, run, say};
use crate::project::{Project, Rustc, relative};

mod debian;

/// Returns a `library/` directory of the compiler's version: as named by the user, of the toolchain, from our cache,
/// else fetched from Debian or with rustup.
pub(crate) fn locate(project: &Project, rustc: &Rustc) -> Result<PathBuf> {
    if let Some(dir) = &project.rust_src {
        return explicit(dir, rustc);
    }
    let in_sysroot = rustc.sysroot.join("lib/rustlib/src/rust/library");
    let cache = project.bpf_dir().join("rust-src").join(&rustc.release);
    for dir in [&in_sysroot, &cache.join("library")] {
        if is_library(dir) {
            return Ok(dir.clone());
        }
    }
    let mut tried = vec![format!("the toolchain does not have it ({} is absent)", in_sysroot.display())];
    match from_debian(project, rustc, &cache) {
        Ok(dir) => return Ok(dir),
        Err(error) => {
            // Said at once, because what comes next changes the user's toolchain.
            say(&format!("no rust-src from Debian: {error:#}"));
            tried.push(format!("Debian: {error:#}"));
        }
    }
    match from_rustup(rustc, &in_sysroot) {
        Ok(dir) => return Ok(dir),
        Err(error) => tried.push(format!("rustup: {error:#}")),
    }
    bail!(
        "no source of the standard library of rustc {} was found, and the kernel programs need it:\n  - {}\n\
         Install the component rust-src of this compiler, or name a directory that holds its source with \
         `--rust-src DIR` or COLLECTOR_RUST_SRC.",
        rustc.release,
        tried.join("\n  - ")
    )
}

/// Checks the directory the user named; `library/` itself or a directory that has it.
fn explicit(dir: &Path, rustc: &Rustc) -> Result<PathBuf> {
    let library = if is_library(dir) { dir.to_owned() } else { dir.join("library") };
    if !is_library(&library) {
        bail!(
            "{} is not a source of the standard library: neither core/Cargo.toml nor library/core/Cargo.toml is in it",
            dir.display()
        );
    }
    // A full source tree says its version; a bare library/ does not, and the compiler will object if it is another.
    let version = library.parent().map(|tree| tree.join("src/version"));
    if let Some(version) = version.and_then(|path| fs::read_to_string(path).ok()) {
        let version = version.trim();
        if version != rustc.release {
            bail!("{} is the source of Rust {version}, but the compiler is {}", dir.display(), rustc.release);
        }
    }
    std::path::absolute(&library).with_context(|| format!("{} is not a usable path", library.display()))
}

fn is_library(dir: &Path) -> bool {
    // `std` is what rustc-build-sysroot looks for, `core` is what we need.
    dir.join("core/Cargo.toml").is_file() && dir.join("std/Cargo.toml").is_file()
}

fn from_debian(project: &Project, rustc: &Rustc, cache: &Path) -> Result<PathBuf> {
    let work = project.bpf_dir().join("apt");
    say(&format!(
        "fetching the Debian package rust-src {}, because the kernel target's core is built from it; cached in {} \
         (/etc/apt stays as it is)",
        rustc.release,
        relative(cache, &project.root)
    ));
    debian::fetch(&rustc.release, &work, cache)?;
    // Package lists and archive have served; without them the next suite starts afresh.
    let _ = fs::remove_dir_all(&work);
    let library = cache.join("library");
    if !is_library(&library) {
        bail!("the package was unpacked, but {} is not a source of the standard library", library.display());
    }
    Ok(library)
}

fn from_rustup(rustc: &Rustc, in_sysroot: &Path) -> Result<PathBuf> {
    let toolchain = toolchain_name(&rustc.sysroot).context("this compiler does not come from rustup")?;
    if find_program("rustup").is_none() {
        bail!("this compiler comes from rustup, but rustup is not in PATH");
    }
    say(&format!(
        "running `rustup component add rust-src --toolchain {toolchain}`, because the kernel target's core is built \
         from it; this adds to your toolchain in {}",
        rustc.sysroot.display()
    ));
    let mut rustup = Command::new("rustup");
    // Its backtrace would bury its message.
    rustup.env_remove("RUST_BACKTRACE");
    run(rustup.args(["component", "add", "rust-src", "--toolchain", toolchain]))?;
    if !is_library(in_sysroot) {
        bail!("the component was added, but {} is absent", in_sysroot.display());
    }
    Ok(in_sysroot.to_owned())
}

/// rustup keeps each toolchain in `toolchains/<name>`; other installations do not.
fn toolchain_name(sysroot: &Path) -> Option<&str> {
    (sysroot.parent()?.file_name()? == "toolchains").then(|| sysroot.file_name()?.to_str()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rustup_keeps_toolchains_by_name() {
        let rustup = Path::new("/home/user/.rustup/toolchains/1.95.0-x86_64-unknown-linux-gnu");
        assert_eq!(toolchain_name(rustup), Some("1.95.0-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain_name(Path::new("/usr")), None);
    }

    #[test]
    fn a_directory_without_the_library_is_refused_with_its_name() {
        let rustc =
            Rustc { release: "1.95.0".into(), commit: "unknown".into(), sysroot: PathBuf::from("/usr") };
        let error = explicit(Path::new("/nowhere"), &rustc).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere is not a source"), "{error}");
    }
}
