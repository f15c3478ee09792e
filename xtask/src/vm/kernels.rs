//! The kernels to test in, and where they come from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::apt::{self, PrivateApt};
use crate::command::{cannot_start, say};
use crate::project::{Project, relative};

/// Whatever kernel a suite has for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel of a distribution.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What users call it.
    pub(super) name: &'static str,
    /// The suite of Debian it is in.
    suite: &'static str,
    /// What users of such a kernel should know besides what `collector doctor` says, in sentences of a line each.
    pub(super) note: Option<&'static str>,
}

/// Old to new.
pub(super) const KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suite: "bullseye", note: None },
    Kernel { name: "6.1", suite: "bookworm", note: None },
    Kernel { name: "6.12", suite: "trixie", note: None },
    Kernel {
        name: "7.x",
        suite: "trixie-backports",
        note: Some(
            "This kernel may interrupt a kernel program for another task.\n\
             Until it goes on, the program does not run for tasks on the same processor, and what they do meanwhile is missed.\n\
             The agent counts that as losses with the reason `program_busy`.",
        ),
    },
];

impl Kernel {
    /// The kernel's image, fetched unless that was done before. The caller holds [`Project::lock`].
    pub(super) fn ensure(&self, project: &Project) -> Result<PathBuf> {
        let dir = super::dir(project).join("kernels");
        let image = dir.join(self.name);
        if image.is_file() {
            return Ok(image);
        }
        let Self { suite, .. } = self;
        say(&format!(
            "fetching the kernel of Debian {suite}; cached in {} (remove it to have it fetched anew)",
            relative(&image, &project.root)
        ));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let work = super::dir(project).join("apt").join(suite);
        let sources = apt::configured();
        let apt = PrivateApt::new(work.clone(), apt::mirror(&sources), suite)?;
        let archive = fetch(&apt).with_context(|| format!("suite {suite}"))?;
        let staging = image.with_added_extension("partial");
        unpack(&archive, &staging)?;
        fs::rename(&staging, &image).with_context(|| format!("cannot create {}", image.display()))?;
        let _ = fs::remove_dir_all(&work);
        Ok(image)
    }
}

/// Follows the dependencies from the package that is always there to the one that has the image.
fn fetch(apt: &PrivateApt) -> Result<PathBuf> {
    apt.update()?;
    let mut package = PACKAGE.to_owned();
    // Before 6.19 linux-image-V has it, since then linux-binary-V, which linux-image-V needs.
    let leads_on = |name: &&String| name.starts_with("linux-image-") || name.starts_with("linux-binary-");
    while let Some(next) = apt.dependencies(&package)?.iter().find(leads_on) {
        package.clone_from(next);
    }
    if package == PACKAGE {
        bail!("{PACKAGE} needs no kernel");
    }
    say(&format!("  {package}"));
    apt.download(&package, None)
}

/// Takes nothing but the image out of a package.
fn unpack(archive: &Path, to: &Path) -> Result<()> {
    let image = File::create(to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped());
    let mut reader = dpkg.spawn().map_err(|error| cannot_start(&dpkg, &error))?;
    let tarball = reader.stdout.take().context("dpkg-deb has no stdout")?;
    let mut tar = Command::new("tar");
    // boot/vmlinuz-V, or usr/lib/modules/V/vmlinuz
    tar.args(["-xO", "--wildcards", "--no-anchored", "vmlinuz*"]).stdin(tarball).stdout(image);
    let unpacked = tar.status().map_err(|error| cannot_start(&tar, &error))?;
    let read = reader.wait().context("dpkg-deb got lost")?;
    if !read.success() || !unpacked.success() {
        bail!("{} has no kernel (dpkg-deb: {read}, tar: {unpacked})", archive.display());
    }
    Ok(())
}
