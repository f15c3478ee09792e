//! What is wrong with a configuration, where, and what was probably meant.

use std::fmt;
use std::path::PathBuf;

use super::layers::keys;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A named file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Something in a file.
    #[error("{}: {message}", At { path, line: *line })]
    InFile { path: PathBuf, line: Option<usize>, message: String },
    /// Something in the environment.
    #[error("environment variable {name}: {message}")]
    InEnvironment { name: String, message: String },
    /// A value that cannot work, wherever it came from.
    #[error("{subject} {message}")]
    Value { subject: Subject, message: String },
}

/// What an error is about: a setting, or an item of a list such as `[[triggers.conditions]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// For example `store.max_age`.
    pub(super) key: String,
    /// Of an item, its id.
    pub(super) id: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, id } = self;
        match id {
            Some(id) => write!(f, "{key} {id:?}:"),
            None => write!(f, "{key}"),
        }
    }
}

struct At<'a> {
    path: &'a PathBuf,
    line: Option<usize>,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl ConfigError {
    pub(super) fn value(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Value { subject: Subject { key: key.into(), id: None }, message: message.into() }
    }

    /// Something about the item of a list that has this id.
    pub(super) fn item(list: &str, id: &str, message: impl Into<String>) -> Self {
        Self::Value {
            subject: Subject { key: list.to_owned(), id: Some(id.to_owned()) },
            message: message.into(),
        }
    }
}

/// The line, counted from 1, an error points to.
pub(super) fn line_of(text: &str, error: &toml::de::Error) -> Option<usize> {
    line_at(text, error.span()?.start)
}

/// The line, counted from 1, in which this byte is.
pub(super) fn line_at(text: &str, at: usize) -> Option<usize> {
    Some(text.get(..at)?.matches('\n').count() + 1)
}

/// The parser's message, with a suggestion where it complains about a name.
pub(super) fn explain(error: &toml::de::Error) -> String {
    let message = error.message().trim();
    if message == "invalid type: map, expected a sequence" {
        return "this is a list of tables: put its name in double brackets, `[[…]]`".to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(found) = quoted.next() else { return message.to_owned() };
    let expected: Vec<&str> = quoted.collect();
    if message.starts_with("unknown field") {
        return unknown_key(found, &expected);
    }
    if message.starts_with("unknown variant") {
        let choice = list(&expected);
        return match closest(found, expected.iter().copied()) {
            Some(meant) => format!("unknown value `{found}`, did you mean `{meant}`? It is one of {choice}"),
            None => format!("unknown value `{found}`: it is one of {choice}"),
        };
    }
    message.to_owned()
}

fn unknown_key(found: &str, expected: &[&str]) -> String {
    if let Some(meant) = closest(found, expected.iter().copied()) {
        return format!("unknown key `{found}`, did you mean `{meant}`?");
    }
    // Right key, wrong section?
    let elsewhere = keys().into_iter().find(|key| key.rsplit('.').next() == Some(found));
    match elsewhere {
        Some(key) => format!("unknown key `{found}` here, did you mean `{key}`?"),
        None => format!("unknown key `{found}`: here may be {}", list(expected)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The candidate somebody probably meant, if any is close enough.
pub(super) fn closest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    candidates
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&found, &candidate.to_lowercase()), candidate)
        })
        .filter(|(similarity, _)| *similarity >= 0.6)
        .max_by(|(first, _), (second, _)| first.total_cmp(second))
        .map(|(_, candidate)| candidate)
}
