//! `cargo xtask public-api`: the public API of `collector-core`, compared with the listing that is committed.
//!
//! rustdoc describes the crate as JSON; the small program in `xtask/public-api` makes lines of that, with the crate
//! `public-api`; here what only repeats is left out, and the rest compared.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{capture, run, say};
use crate::project::{Project, relative};

const PACKAGE: &str = "collector-core";
const LISTING: &str = "collector-userspace/collector-core/public-api.txt";
/// The version of rustdoc's JSON that Rust 1.95 writes and the pinned lister reads.
const FORMAT: u32 = 57;
/// Most lines of a difference that are shown.
const SHOWN: usize = 60;

/// Arguments of `cargo xtask public-api`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the listing as the API is now, instead of comparing.
    #[arg(long)]
    bless: bool,
}

/// What to do under a compiler that describes crates in another format than the one that is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherFormat {
    Fail,
    SayAndSkip,
}

/// The verb.
pub(crate) fn command(project: &Project, args: &Args) -> Result<()> {
    if !args.bless {
        compare(project, OtherFormat::Fail)?;
        say(&format!("the public API of {PACKAGE} is as {LISTING} says"));
        return Ok(());
    }
    let json = describe(project)?;
    check_format(&json)?;
    let path = project.root.join(LISTING);
    fs::write(&path, listing(project, &json)?).with_context(|| format!("cannot write {LISTING}"))?;
    say(&format!("wrote {LISTING}; read its difference before you commit it"));
    Ok(())
}

/// Fails when the API differs from the listing, and says in what.
pub(crate) fn compare(project: &Project, other: OtherFormat) -> Result<()> {
    let json = describe(project)?;
    match check_format(&json) {
        Err(reason) if other == OtherFormat::SayAndSkip => {
            say(&format!("not compared: {reason:#}"));
            return Ok(());
        }
        result => result?,
    }
    let path = project.root.join(LISTING);
    let committed = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {LISTING}; `cargo xtask public-api --bless` writes it"))?;
    let now = listing(project, &json)?;
    if committed == now {
        return Ok(());
    }
    let lines = difference(&committed, &now);
    for line in lines.iter().take(SHOWN) {
        eprintln!("{line}");
    }
    if lines.len() > SHOWN {
        eprintln!("… and {} lines more", lines.len() - SHOWN);
    }
    bail!(
        "the public API of {PACKAGE} is not what {LISTING} says (- is gone, + is new); if you mean the change, run \
         `cargo xtask public-api --bless` and commit the file"
    )
}

/// Lets rustdoc describe the crate, with all its features, and returns the file.
fn describe(project: &Project) -> Result<PathBuf> {
    // A target directory of its own: build scripts look at RUSTC_BOOTSTRAP, and would run again after every change of it.
    let target = project.target.join("public-api");
    let mut cargo = project.cargo();
    cargo.args(["rustdoc", "--quiet", "--package", PACKAGE, "--lib", "--all-features", "--target-dir"]);
    cargo.arg(&target).args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    // The output is an unstable option; this lets a stable compiler accept it.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    for other in ["RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(other);
    }
    run(&mut cargo).with_context(|| format!("rustdoc cannot describe {PACKAGE}"))?;
    Ok(target.join("doc").join(PACKAGE.replace('-', "_")).with_extension("json"))
}

/// Whether the pinned lister can read it.
fn check_format(json: &Path) -> Result<()> {
    let text = fs::read_to_string(json).with_context(|| format!("cannot read {}", json.display()))?;
    match format_version(&text) {
        Some(FORMAT) => Ok(()),
        Some(other) => bail!(
            "this rustdoc writes JSON of format {other}, and the pinned crates read {FORMAT}; \
             use Rust 1.95, or pin others in xtask/public-api/Cargo.toml"
        ),
        None => bail!("{} does not name its format", json.display()),
    }
}

/// Takes the number out without parsing megabytes: it is the last member, or near the end.
fn format_version(text: &str) -> Option<u32> {
    let (_, rest) = text.rsplit_once("\"format_version\":")?;
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The listing as it is committed.
fn listing(project: &Project, json: &Path) -> Result<String> {
    let mut cargo = project.cargo();
    cargo.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(project.lister_manifest());
    cargo.arg("--target-dir").arg(project.target.join("public-api/lister")).arg("--").arg(json);
    for other in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(other);
    }
    let all = capture(&mut cargo).with_context(|| format!("cannot list what {} says", json.display()))?;
    if !all.contains("pub mod collector_core") {
        bail!("{} describes no public API", relative(json, &project.root));
    }
    Ok(essential(&all))
}

/// Leaves out the functions of traits of others: that a type is `Clone` says that it has `clone`.
fn essential(all: &str) -> String {
    let mut text = String::new();
    // For whom a foreign trait is implemented above the line. Free functions may follow, which are nobody's.
    let mut implementor = None;
    for line in all.lines() {
        if line.starts_with("impl ") || line.starts_with("impl<") {
            implementor = foreign_implementor(line);
            // Follows from `PartialEq`, and is nothing a user can name.
            if line.starts_with("impl core::marker::StructuralPartialEq ") {
                continue;
            }
        } else if implementor.is_some_and(|implementor| is_function_of(implementor, line)) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// `collector_core::A` in `impl<T> core::clone::Clone for collector_core::A<T>`, if the trait is another crate's.
fn foreign_implementor(line: &str) -> Option<&str> {
    let (before, implementor) = line.split_once(" for ")?;
    // The trait is the last thing before `for`, and its parameters may be ours.
    let name = before.split('<').find(|part| part.contains("::")).unwrap_or(before);
    if name.contains("collector_core::") {
        return None;
    }
    implementor.split(['<', ' ']).next().filter(|path| path.contains("::"))
}

/// Whether the line is a function `implementor::name`.
fn is_function_of(implementor: &str, line: &str) -> bool {
    const BEFORE: &[&str] = &["pub", "const", "async", "unsafe"];
    let Some((before, name)) = line.split_once("fn ") else { return false };
    let rest = name.strip_prefix(implementor);
    before.split_whitespace().all(|word| BEFORE.contains(&word))
        && rest.is_some_and(|rest| rest.starts_with("::") || rest.starts_with('<'))
}

/// Lines that only one of the texts has, in their order: first those that are gone, then those that are new.
fn difference(old: &str, new: &str) -> Vec<String> {
    let missing = |of: &str, from: &str, sign: char| {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for line in from.lines() {
            *counts.entry(line).or_default() += 1;
        }
        let mut lines = Vec::new();
        for line in of.lines() {
            match counts.get_mut(line).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => lines.push(format!("{sign} {line}")),
            }
        }
        lines
    };
    let mut lines = missing(old, new, '-');
    lines.extend(missing(new, old, '+'));
    if lines.is_empty() {
        lines.push("  the same lines in another order".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "\
pub struct collector_core::A
impl collector_core::A
pub const fn collector_core::A::new() -> Self
impl core::clone::Clone for collector_core::A
pub fn collector_core::A::clone(&self) -> collector_core::A
impl core::marker::StructuralPartialEq for collector_core::A
impl core::ops::bit::Not for collector_core::A
pub type collector_core::A::Output = collector_core::A
pub fn collector_core::A::not(self) -> Self
impl core::convert::From<collector_core::B> for collector_core::A
pub fn collector_core::A::from(collector_core::B) -> Self
impl<'a> collector_core::Source for collector_core::A<'a>
pub fn collector_core::A::name(&self) -> &'static str
impl<T> core::default::Default for collector_core::B<T>
pub fn collector_core::B<T>::default() -> Self
pub async fn collector_core::collect(collector_core::A) -> core::option::Option<()>
pub fn collector_core::Bystander::new() -> Self
";

    #[test]
    fn functions_of_foreign_traits_are_left_out_and_nothing_else() {
        let left: Vec<_> = essential(ALL).lines().map(str::to_owned).collect();
        let gone = ["clone(", "StructuralPartialEq", "not(", "from(", "default("];
        let expected = ALL.lines().filter(|line| !gone.iter().any(|word| line.contains(word)));
        assert_eq!(left, expected.collect::<Vec<_>>());
        assert_eq!(left.len(), 12);
    }

    #[test]
    fn a_changed_line_is_shown_as_it_was_and_as_it_is() {
        assert_eq!(difference("a\nb\nb\n", "b\na\nc\n"), ["- b", "+ c"]);
        assert_eq!(difference("a\nb\n", "b\na\n"), ["  the same lines in another order"]);
    }

    #[test]
    fn the_format_is_found() {
        assert_eq!(format_version(r#"{"root":1,"x":"y","format_version":57}"#), Some(57));
        assert_eq!(format_version(r#"{"format_version": 60, "target": {}}"#), Some(60));
        assert_eq!(format_version("{}"), None);
    }
}
