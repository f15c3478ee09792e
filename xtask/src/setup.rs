//! `cargo xtask setup`: everything a build or a test needs, pinned, under target/, and only what is missing.

use std::fs;

use anyhow::{Context, Result};

use crate::command::say;
use crate::project::{Project, Rustc, relative};
use crate::tools::{BPF_LINKER, Outcome};
use crate::{packages, rust_src, sysroot};

/// The verb: sets up and says so.
pub(crate) fn command(project: &Project) -> Result<()> {
    let _lock = project.lock()?;
    let rustc = ensure(project)?;
    say(&format!(
        "ready: rustc {}, {} {}, standard library for the kernel target in {}",
        rustc.release,
        BPF_LINKER.name,
        BPF_LINKER.version,
        relative(&sysroot::dir(project), &project.root)
    ));
    Ok(())
}

/// Brings what is missing; silent and quick when nothing is. The caller holds [`Project::lock`].
pub(crate) fn ensure(project: &Project) -> Result<Rustc> {
    let rustc = Rustc::query()?;
    packages::ensure(packages::FOR_BUILDS)?;
    let linker = BPF_LINKER.ensure(project)?;
    // The source matters only while the library is not built from it.
    let stale = if sysroot::is_current(project, &rustc) {
        false
    } else {
        let source = rust_src::locate(project, &rustc)?;
        sysroot::build(project, &rustc, &source)?;
        true
    };
    if stale || linker == Outcome::Installed {
        // cargo sees neither change and would reuse what was built with the old ones.
        let build = project.bpf_dir().join("build");
        if build.exists() {
            fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        }
    }
    Ok(rustc)
}
