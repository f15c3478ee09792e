//! Fetching a Debian package of an exact version through a private source list: /etc/apt and the machine's package
//! lists stay as they are, signatures are checked with Debian's own keyring, and root is not needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{cannot_start, capture_tersely, say};

const PACKAGE: &str = "rust-src";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Used where the machine's own sources name no Debian mirror.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Puts `library/` of Rust `release` into the new directory `destination`. `work` is for lists and archive.
pub(crate) fn fetch_rust_src(release: &str, work: &Path, destination: &Path) -> Result<()> {
    if !Path::new(KEYRING).is_file() {
        bail!("{KEYRING} is absent, so a package's origin could not be checked");
    }
    let sources = configured_sources();
    let mirror = sources.first().map_or(DEFAULT_MIRROR, |source| source.mirror.as_str());
    let mut misses = Vec::new();
    for suite in suites(&sources, mirror) {
        let apt = PrivateApt::new(work.join(&suite), mirror, &suite)?;
        match apt.find(release) {
            Ok(version) => {
                say(&format!("  {PACKAGE} {version} from {mirror} {suite}"));
                let archive = apt.download(&version)?;
                return unpack(&archive, release, destination);
            }
            Err(error) => misses.push(format!("{error:#}")),
        }
    }
    bail!("no suite of {mirror} offers {PACKAGE} {release}: {}", misses.join("; "))
}

/// One suite of one mirror, with state of its own.
struct PrivateApt {
    dir: PathBuf,
    suite: String,
}

impl PrivateApt {
    fn new(dir: PathBuf, mirror: &str, suite: &str) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let list = dir.join("sources.list");
        fs::write(&list, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
            .with_context(|| format!("cannot write {}", list.display()))?;
        Ok(Self { dir, suite: suite.to_owned() })
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

    /// The full Debian version of the package that carries `release`.
    fn find(&self, release: &str) -> Result<String> {
        capture_tersely(self.command("apt-get").args(["-qq", "update"]))
            .context(format!("suite {}", self.suite))?;
        let offered = capture_tersely(self.command("apt-cache").args(["madison", PACKAGE]))?;
        let versions = parse_madison(&offered);
        match versions.iter().find(|version| upstream(version) == release) {
            Some(version) => Ok((*version).to_owned()),
            None if versions.is_empty() => bail!("suite {} has none", self.suite),
            None => bail!("suite {} has {}", self.suite, versions.join(", ")),
        }
    }

    fn download(&self, version: &str) -> Result<PathBuf> {
        capture_tersely(
            self.command("apt-get").args(["-qq", "download"]).arg(format!("{PACKAGE}={version}")),
        )?;
        let entries =
            fs::read_dir(&self.dir).with_context(|| format!("cannot read {}", self.dir.display()))?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("`apt-get download` left no .deb in {}", self.dir.display()))
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
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;

    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped());
    let mut reader = dpkg.spawn().map_err(|error| cannot_start(&dpkg, &error))?;
    let tarball = reader.stdout.take().context("dpkg-deb has no stdout")?;
    let mut tar = Command::new("tar");
    // ./usr/src/rustc-1.95.0/library/… becomes library/…
    let library = format!("./usr/src/rustc-{release}/library");
    tar.arg("-C").arg(&staging).args(["-x", "--strip-components=4"]).arg(library);
    let unpacked = tar.stdin(tarball).status().map_err(|error| cannot_start(&tar, &error))?;
    let read = reader.wait().context("dpkg-deb got lost")?;
    if !read.success() || !unpacked.success() {
        bail!("unpacking {} failed (dpkg-deb: {read}, tar: {unpacked})", archive.display());
    }
    fs::rename(&staging, destination).with_context(|| format!("cannot create {}", destination.display()))
}

/// A suite of a Debian mirror that the machine is configured for.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    suite: String,
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

/// Reads /etc/apt; what cannot be read simply does not count, since there is a default mirror.
fn configured_sources() -> Vec<Source> {
    let parts = fs::read_dir("/etc/apt/sources.list.d");
    let mut files: Vec<PathBuf> =
        parts.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(parse_one_line_sources(&text)),
            Some("sources") => sources.extend(parse_deb822_sources(&text)),
            _ => {}
        }
    }
    sources.retain(|source| source.mirror.ends_with("/debian"));
    sources
}

/// `deb [options] URI SUITE COMPONENT…`
fn parse_one_line_sources(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let mirror = words.next()?.trim_end_matches('/').to_owned();
        Some(Source { mirror, suite: words.next()?.to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

/// Paragraphs of `Types:`, `URIs:`, `Suites:` …
fn parse_deb822_sources(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for paragraph in text.split("\n\n") {
        let words = |name: &str| -> Vec<&str> {
            let value = paragraph.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value)
            });
            value.unwrap_or_default().split_whitespace().collect()
        };
        if !words("Types").contains(&"deb") || words("Enabled").contains(&"no") {
            continue;
        }
        for mirror in words("URIs") {
            let mirror = mirror.trim_end_matches('/');
            sources.extend(
                words("Suites")
                    .into_iter()
                    .map(|suite| Source { mirror: mirror.to_owned(), suite: suite.to_owned() }),
            );
        }
    }
    sources
}

/// The versions in `apt-cache madison`: lines of `package | version | where`.
fn parse_madison(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| {
        let (package, rest) = line.split_once('|')?;
        let (version, _) = rest.split_once('|')?;
        (package.trim() == PACKAGE).then(|| version.trim())
    });
    lines.collect()
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
    fn madison_lists_versions_of_the_package_only() {
        let text = "  rust-src | 1.96.1+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n  \
                      rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n\
                      rust-src-web | 1.95.0 | elsewhere\n\nN: a note\n";
        assert_eq!(parse_madison(text), ["1.96.1+dfsg1-1~bpo13+1", "1.95.0+dfsg1-2~bpo13+1"]);
        assert!(parse_madison("").is_empty());
    }

    #[test]
    fn upstream_is_what_rustc_calls_its_release() {
        assert_eq!(upstream("1.95.0+dfsg1-2~bpo13+1"), "1.95.0");
        assert_eq!(upstream("1.85.1-1"), "1.85.1");
        assert_eq!(upstream("1.95.0"), "1.95.0");
    }

    #[test]
    fn deb822_paragraphs_give_every_suite() {
        let text = "Types: deb\n# comment\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb-src\nURIs: http://mirror.example/debian\nSuites: sid\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: sid\n";
        let mirror = "http://mirror.example/debian";
        assert_eq!(
            parse_deb822_sources(text),
            [source(mirror, "bookworm"), source(mirror, "bookworm-updates")]
        );
    }

    #[test]
    fn one_line_sources_may_have_options() {
        let text = "# deb http://no.example/debian sid main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.example/debian trixie main\n\
                    deb http://b.example/debian/ sid main contrib\ndeb-src http://c.example/debian sid main\n";
        let expected =
            [source("http://a.example/debian", "trixie"), source("http://b.example/debian", "sid")];
        assert_eq!(parse_one_line_sources(text), expected);
    }

    #[test]
    fn backports_come_first_and_nothing_twice() {
        let sources = [source("m", "trixie"), source("m", "trixie-updates"), source("other", "jammy")];
        assert_eq!(suites(&sources, "m"), ["trixie-backports", "trixie", "trixie-updates", "sid"]);
    }
}
