//! The standard library for the kernel target: rustup ships none, so `core` is compiled from source into target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustc_build_sysroot::{BuildMode, SysrootBuilder, SysrootConfig};

use crate::command::say;
use crate::project::{Project, Rustc, cargo_program, relative};

/// What the kernel programs are compiled for: eBPF, little-endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Bitcode, because bpf-linker links that and not machine code; debug info, because the kernel's type information is
/// made of it; no unwinding, because the kernel has none.
const FLAGS: &[&str] = &["-Cpanic=abort", "-Cdebuginfo=2", "-Cembed-bitcode=yes"];

/// What to give to `rustc --sysroot`.
pub(crate) fn dir(project: &Project) -> PathBuf {
    project.bpf_dir().join("sysroot")
}

/// Whether the library was built by this very compiler with these very flags.
pub(crate) fn is_current(project: &Project, rustc: &Rustc) -> bool {
    fs::read_to_string(stamp_path(project)).is_ok_and(|text| text == stamp(rustc))
}

/// Builds the library from `source`, a `library/` directory of exactly this compiler's version.
pub(crate) fn build(project: &Project, rustc: &Rustc, source: &Path) -> Result<()> {
    let dir = dir(project);
    say(&format!(
        "building core for {TARGET} from {}, because no toolchain ships it; cached in {} (takes a minute, once)",
        relative(source, &project.root),
        relative(&dir, &project.root)
    ));
    let mut cargo = Command::new(cargo_program());
    // The library uses unstable features by nature; this variable lets a stable compiler accept them.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    SysrootBuilder::new(&dir, TARGET)
        .build_mode(BuildMode::Build)
        .sysroot_config(SysrootConfig::NoStd)
        .rustflags(FLAGS)
        // The object must not depend on where this library was found.
        .rustflag(format!("--remap-path-prefix={}=/rust/library", source.display()))
        .cargo(cargo)
        .build_from_source(source)
        .with_context(|| {
            format!("cannot build core for {TARGET} with rustc {} from {}", rustc.release, source.display())
        })?;
    let path = stamp_path(project);
    fs::write(&path, stamp(rustc)).with_context(|| format!("cannot write {}", path.display()))
}

fn stamp_path(project: &Project) -> PathBuf {
    dir(project).join("built-by")
}

fn stamp(rustc: &Rustc) -> String {
    let Rustc { release, commit, sysroot } = rustc;
    format!("{release} {commit} {} {}\n", sysroot.display(), FLAGS.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_commit_of_the_same_release_is_another_library() {
        let rustc = |commit: &str| Rustc {
            release: "1.95.0".into(),
            commit: commit.into(),
            sysroot: PathBuf::from("/opt/rust"),
        };
        assert_ne!(stamp(&rustc("aaaa")), stamp(&rustc("bbbb")));
    }
}
