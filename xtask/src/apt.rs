//! Fetching Debian packages through a private source list: /etc/apt and the machine's package lists stay as they are,
//! signatures are checked with Debian's own keyring, and root is not needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{cannot_start, capture_tersely, find_program};

mod sources;

pub(crate) use sources::{Source, configured};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Used where the machine's own sources name no Debian mirror.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// The mirror to use on a machine with these sources.
pub(crate) fn mirror(sources: &[Source]) -> &str {
    sources.first().map_or(DEFAULT_MIRROR, |source| source.mirror.as_str())
}

/// One suite of one mirror, with state of its own.
#[derive(Debug)]
pub(crate) struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    /// Keeps lists and archives in `dir`.
    pub(crate) fn new(dir: PathBuf, mirror: &str, suite: &str) -> Result<Self> {
        if find_program("apt-get").is_none() || find_program("dpkg-deb").is_none() {
            bail!("this machine has no apt-get and dpkg-deb");
        }
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is absent, so a package's origin could not be checked");
        }
        for sub in ["lists/partial", "cache/archives/partial"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let list = dir.join("sources.list");
        fs::write(&list, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
            .with_context(|| format!("cannot write {}", list.display()))?;
        Ok(Self { dir })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |name: &str| self.dir.join(name).display().to_string();
        let options = [
            format!("Dir::Etc::SourceList={}", path("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            // apt would drop to its own user, which cannot write here.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            // A list that cannot be fetched is a failure, not a warning about using the old one.
            "APT::Update::Error-Mode=any".to_owned(),
        ];
        for option in options {
            command.arg("-o").arg(option);
        }
        command.current_dir(&self.dir).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Fetches the list of packages.
    pub(crate) fn update(&self) -> Result<()> {
        capture_tersely(self.command("apt-get").args(["-qq", "update"])).map(drop)
    }

    /// The versions of a package that the suite has.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let offered = capture_tersely(self.command("apt-cache").args(["madison", package]))?;
        Ok(parse_madison(&offered, package).into_iter().map(str::to_owned).collect())
    }

    /// The names of the packages that the newest version of a package needs; of alternatives the first.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        let about = capture_tersely(command.args(["show", "--no-all-versions", package]))?;
        Ok(parse_depends(&about).into_iter().map(str::to_owned).collect())
    }

    /// Fetches a package, of this version or the newest, and returns where it is.
    pub(crate) fn download(&self, package: &str, version: Option<&str>) -> Result<PathBuf> {
        let wanted = version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        capture_tersely(self.command("apt-get").args(["-qq", "download"]).arg(wanted))?;
        let prefix = format!("{package}_");
        let mut archives = archives(&self.dir)?.into_iter();
        archives
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
            .with_context(|| format!("`apt-get download` left no {prefix}*.deb in {}", self.dir.display()))
    }

    /// Fetches packages and all they need to run, as for a machine that has nothing.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let nothing = self.dir.join("status");
        fs::write(&nothing, "").with_context(|| format!("cannot write {}", nothing.display()))?;
        let mut command = self.command("apt-get");
        command.arg("-o").arg(format!("Dir::State::status={}", nothing.display()));
        // The lock would be that of the machine's own packages.
        command.args(["-o", "Debug::NoLocking=1", "-qq", "--yes", "--no-install-recommends"]);
        capture_tersely(command.args(["--download-only", "install"]).args(packages))?;
        archives(&self.dir.join("cache/archives"))
    }
}

fn archives(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}

/// Unpacks into `dir` what these arguments of `tar` select, or all.
pub(crate) fn unpack(archive: &Path, dir: &Path, selection: &[&str]) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped());
    let mut reader = dpkg.spawn().map_err(|error| cannot_start(&dpkg, &error))?;
    let tarball = reader.stdout.take().context("dpkg-deb has no stdout")?;
    let mut tar = Command::new("tar");
    // Whose files they are in a package does not matter here, and root alone could keep it.
    tar.arg("-C").arg(dir).args(["-x", "--no-same-owner"]).args(selection);
    let unpacked = tar.stdin(tarball).status().map_err(|error| cannot_start(&tar, &error))?;
    let read = reader.wait().context("dpkg-deb got lost")?;
    if !read.success() || !unpacked.success() {
        bail!("unpacking {} failed (dpkg-deb: {read}, tar: {unpacked})", archive.display());
    }
    Ok(())
}

/// The versions in `apt-cache madison`: lines of `package | version | where`.
fn parse_madison<'a>(text: &'a str, wanted: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| {
        let (package, rest) = line.split_once('|')?;
        let (version, _) = rest.split_once('|')?;
        (package.trim() == wanted).then(|| version.trim())
    });
    lines.collect()
}

/// The names in `Depends: one (= 1), two | three`.
fn parse_depends(text: &str) -> Vec<&str> {
    let depends = text.lines().find_map(|line| line.strip_prefix("Depends:")).unwrap_or_default();
    let names = depends.split(',').filter_map(|alternatives| alternatives.split_whitespace().next());
    names.map(|name| name.split(':').next().unwrap_or(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn madison_lists_versions_of_the_package_only() {
        let text = "  rust-src | 1.96.1+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n  \
                      rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n\
                      rust-src-web | 1.95.0 | elsewhere\n\nN: a note\n";
        assert_eq!(parse_madison(text, "rust-src"), ["1.96.1+dfsg1-1~bpo13+1", "1.95.0+dfsg1-2~bpo13+1"]);
        assert!(parse_madison("", "rust-src").is_empty());
    }

    #[test]
    fn dependencies_are_names() {
        let text = "Package: a\nPre-Depends: z\nDepends: one (= 1.0-1), two:any (>> 3) | three, four\nSuggests: five\n";
        assert_eq!(parse_depends(text), ["one", "two", "four"]);
        assert!(parse_depends("Package: a\n").is_empty());
    }
}
