//! Where in the files something stands that turned out to be wrong when all of them were put together.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::explain::{ConfigError, Subject, line_at};
use super::layers::variable_name;

/// A file that was read, and its text.
pub(super) type Read = (PathBuf, String);

/// The error with the place of what it is about: the environment if one of these variables has it, else the last file that
/// does, as that one wins.
pub(super) fn locate(error: ConfigError, files: &[Read], variables: &[String]) -> ConfigError {
    let ConfigError::Value { subject, message: _ } = &error else { return error };
    let name = variable_name(&subject.key);
    if variables.contains(&name) {
        return ConfigError::InEnvironment { name, message: error.to_string() };
    }
    let found = files.iter().rev().find_map(|(path, text)| Some((path, line_of(text, subject)?)));
    match found {
        Some((path, line)) => {
            ConfigError::InFile { path: Path::to_owned(path), line: Some(line), message: error.to_string() }
        }
        None => error,
    }
}

/// The line in this text, counted from 1.
fn line_of(text: &str, subject: &Subject) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut place = document.span();
    let mut value: Option<&DeValue<'_>> = None;
    for key in subject.key.split('.') {
        let table = match value {
            None => document.get_ref(),
            Some(value) => value.as_table()?,
        };
        let (name, inner) = table.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
        place = name.span();
        value = Some(inner.get_ref());
    }
    if let Some(id) = &subject.id {
        place = item(value?, id)?;
    }
    line_at(text, place.start)
}

/// The last item of a list that has this id. One without id has the empty one, and stands where its first key does.
fn item(list: &DeValue<'_>, id: &str) -> Option<std::ops::Range<usize>> {
    list.as_array()?.iter().rev().find_map(|item| {
        let table = item.get_ref().as_table()?;
        let named = table.iter().find(|(name, _)| name.get_ref().as_ref() == "id");
        match named.map(|(_, value)| value) {
            Some(value) => (value.get_ref().as_str() == Some(id)).then(|| value.span()),
            None if id.is_empty() => table.keys().map(Spanned::span).min_by_key(|span| span.start),
            None => None,
        }
    })
}
