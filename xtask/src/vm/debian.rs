//! QEMU and the programs that tests start, out of Debian packages, with the libraries they need: what this machine has, and
//! how old it is, does not matter.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, PrivateApt};
use crate::command::{capture, say};
use crate::project::{Project, relative};

/// Stable, for a QEMU that is known to work: 7.2, of the suite before, corrupts the memory of machines that run for long.
const SUITE: &str = "trixie";
const PACKAGES: &[&str] = &["qemu-system-x86", "coreutils", "dash"];
const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A directory with unpacked packages.
#[derive(Debug)]
pub(super) struct Debian {
    root: PathBuf,
}

impl Debian {
    /// Fetches and unpacks, unless that was done before. The caller holds [`Project::lock`].
    pub(super) fn ensure(project: &Project) -> Result<Self> {
        let root = super::dir(project).join("debian");
        if root.is_dir() {
            return Ok(Self { root });
        }
        say(&format!(
            "fetching {} and what they need from Debian {SUITE}, because machines are emulated by a QEMU that is known to \
             work; cached in {} (40 MB; nothing is installed, /etc/apt stays as it is)",
            PACKAGES.join(", "),
            relative(&root, &project.root)
        ));
        let work = super::dir(project).join("apt").join(SUITE);
        let sources = apt::configured();
        let apt = PrivateApt::new(work.clone(), apt::mirror(&sources), SUITE)?;
        apt.update().with_context(|| format!("suite {SUITE}"))?;
        let staging = root.with_added_extension("partial");
        if staging.exists() {
            fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
        }
        for archive in apt.download_with_dependencies(PACKAGES)? {
            apt::unpack(&archive, &staging, &[])?;
        }
        fs::rename(&staging, &root).with_context(|| format!("cannot create {}", root.display()))?;
        // Lists and archives have served.
        let _ = fs::remove_dir_all(&work);
        Ok(Self { root })
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A program in it, to be run here, with its own loader and libraries.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path(LOADER));
        command.arg("--library-path").arg(self.path(LIBRARIES)).arg(self.path(program));
        command
    }

    /// The loader and the libraries that programs in it need, as names in it.
    pub(super) fn libraries_of(&self, programs: &[&str]) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::from([LOADER.to_owned()]);
        for program in programs {
            let mut loader = Command::new(self.path(LOADER));
            loader.arg("--library-path").arg(self.path(LIBRARIES)).arg("--list").arg(self.path(program));
            for path in parse_list(&capture(&mut loader)?) {
                let Ok(name) = Path::new(path).strip_prefix(&self.root) else {
                    bail!(
                        "{program} takes the library {path} from this machine, which the packages should have"
                    );
                };
                names.insert(name.display().to_string());
            }
        }
        Ok(names)
    }
}

/// The paths in lines of `name => path (address)`, without the loader's, whose name is a path itself.
fn parse_list(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| {
        let (name, path) = line.trim().split_once(" => ")?;
        (!name.starts_with('/')).then(|| path.rsplit_once(" (").map_or(path, |(path, _)| path))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::parse_list;

    #[test]
    fn libraries_are_what_the_loader_found() {
        let text = "\tlinux-vdso.so.1 (0x00007f0a1292d000)\n\tlibc.so.6 => /d/usr/lib/libc.so.6 (0x00007f0a1220c000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /d/usr/lib64/ld-linux-x86-64.so.2 (0x00007f0a12c2c000)\n";
        assert_eq!(parse_list(text), ["/d/usr/lib/libc.so.6"]);
    }
}
