//! The source of the standard library as Debian packages it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::apt::{self, PrivateApt, Source};
use crate::command::say;

const PACKAGE: &str = "rust-src";

/// Puts `library/` of Rust `release` into the new directory `destination`. `work` is for lists and archive.
pub(super) fn fetch(release: &str, work: &Path, destination: &Path) -> Result<()> {
    let sources = apt::configured();
    let mirror = apt::mirror(&sources);
    let mut misses = Vec::new();
    for suite in suites(&sources, mirror) {
        let apt = PrivateApt::new(work.join(&suite), mirror, &suite)?;
        match find(&apt, release) {
            Ok(version) => {
                say(&format!("  {PACKAGE} {version} from {mirror} {suite}"));
                let archive = apt.download(PACKAGE, Some(&version))?;
                return unpack(&archive, release, destination);
            }
            Err(error) => misses.push(format!("suite {suite}: {error:#}")),
        }
    }
    bail!("no suite of {mirror} offers {PACKAGE} {release}: {}", misses.join("; "))
}

/// The full Debian version of the package that carries `release`.
fn find(apt: &PrivateApt, release: &str) -> Result<String> {
    apt.update()?;
    let versions = apt.versions(PACKAGE)?;
    match versions.iter().find(|version| upstream(version) == release) {
        Some(version) => Ok(version.clone()),
        None if versions.is_empty() => bail!("it has none"),
        None => bail!("it has {}", versions.join(", ")),
    }
}

/// Unpacks only `library/` and moves it into place at the end, so that an interrupted run leaves nothing half done.
fn unpack(archive: &Path, release: &str, destination: &Path) -> Result<()> {
    let staging = destination.with_added_extension("partial");
    for dir in [staging.as_path(), destination] {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    // ./usr/src/rustc-1.95.0/library/… becomes library/…
    let library = format!("./usr/src/rustc-{release}/library");
    apt::unpack(archive, &staging, &["--strip-components=4", &library])?;
    fs::rename(&staging, destination).with_context(|| format!("cannot create {}", destination.display()))
}

/// Backports first, since a stable Debian gets recent compilers there; then what the machine uses anyway.
fn suites(sources: &[Source], mirror: &str) -> Vec<String> {
    let configured =
        sources.iter().filter(|source| source.mirror == mirror).map(|source| source.suite.as_str());
    let mut suites: Vec<String> = Vec::new();
    for suite in ["trixie-backports"].into_iter().chain(configured).chain(["trixie", "sid"]) {
        if !suites.iter().any(|known| known == suite) {
            suites.push(suite.to_owned());
        }
    }
    suites
}

/// The upstream part of a Debian version: `1.95.0` of `1.95.0+dfsg1-2~bpo13+1`.
fn upstream(version: &str) -> &str {
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(mirror: &str, suite: &str) -> Source {
        Source { mirror: mirror.into(), suite: suite.into() }
    }

    #[test]
    fn upstream_is_what_rustc_calls_its_release() {
        assert_eq!(upstream("1.95.0+dfsg1-2~bpo13+1"), "1.95.0");
        assert_eq!(upstream("1.85.1-1"), "1.85.1");
        assert_eq!(upstream("1.95.0"), "1.95.0");
    }

    #[test]
    fn backports_come_first_and_nothing_twice() {
        let sources = [source("m", "trixie"), source("m", "trixie-updates"), source("other", "jammy")];
        assert_eq!(suites(&sources, "m"), ["trixie-backports", "trixie", "trixie-updates", "sid"]);
    }
}
