//! `cargo xtask tidy`: rules of this project that neither compiler nor clippy knows, checked on the text in a moment.
//!
//! Each rule is one function over text, in a submodule by subject; this file finds the files and reports.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project::Project;

mod crates;
mod docs;
mod kernel;
mod portable;
mod source;

/// Something to fix. Line numbers start at 1; 0 means the file as a whole.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    message: String,
}

impl Finding {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// The verb: prints every finding as `path:line: message` and fails when there is one.
pub(crate) fn tidy(project: &Project) -> Result<()> {
    let mut files = Vec::new();
    collect(&project.root, &project.root, &mut files)?;
    files.sort();

    let mut count = 0;
    let mut report = |path: &Path, findings: Vec<Finding>| {
        count += findings.len();
        for Finding { line, message } in findings {
            match line {
                0 => eprintln!("{}: {message}", path.display()),
                _ => eprintln!("{}:{line}: {message}", path.display()),
            }
        }
    };
    for path in &files {
        // Test inputs are as bad as they have to be, and generated code is as its generator likes it.
        let Some(text) = read_text(&project.root.join(path))? else { continue };
        if path.starts_with("tests/fixtures") || source::is_generated(&text) {
            continue;
        }
        report(path, check_file(project, path, &text));
    }
    report(Path::new("Cargo.toml"), crates::dependency_directions(project)?);
    report(Path::new("Cargo.toml"), portable::portable_dependencies(project)?);
    if count > 0 {
        bail!("{count} to fix");
    }
    Ok(())
}

fn check_file(project: &Project, path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = source::trailing_whitespace(text);
    findings.extend(source::places_outside(text));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => {
            findings.extend(source::module_doc(text));
            findings.extend(source::unfinished(text));
            findings.extend(source::silenced_tests(text));
            findings.extend(source::sleeping_tests(path, text));
            findings.extend(portable::linux_only_items(path, text));
            if path.starts_with("collector-ebpf/src") {
                findings.extend(kernel::long_names(text));
            }
        }
        Some("toml") if path.file_name().is_some_and(|name| name == "Cargo.toml") => {
            findings.extend(crates::inherits_lints(path, text));
        }
        Some("md") => {
            let dir = project.root.join(path.parent().unwrap_or(Path::new("")));
            findings.extend(docs::broken_links(text, |target| dir.join(target).exists()));
        }
        _ => {}
    }
    findings
}

/// All files of the repository, relative to `root`; not what builds, tools and git leave behind.
fn collect(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    const NOT_OURS: &[&str] = &["target", ".git", "corpus", "artifacts", "node_modules"];
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let path = entry.path();
        let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
        // In a further worktree `.git` is a file.
        if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() && is_written_by_us(&path) {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

/// Whether a file is of a kind that people of this project write, as opposed to captures, logs and databases.
fn is_written_by_us(path: &Path) -> bool {
    const KINDS: &[&str] =
        &["css", "html", "js", "md", "proto", "rs", "service", "sh", "sql", "toml", "yaml", "yml"];
    // Without an extension: scripts, Dockerfiles, .gitignore.
    path.extension().is_none_or(|kind| KINDS.iter().any(|known| kind == *known))
}

/// The content of a file, or nothing when it is not text.
fn read_text(path: &Path) -> Result<Option<String>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

/// Lines with their numbers, as findings count them.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// Finds `word` where it is not the tail of a longer name.
fn find_word(line: &str, word: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).find(|at| !line[..*at].ends_with(is_name))
}
