//! The layers: defaults, files, environment. Flags come last and are applied by the commands that have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::explain::{ConfigError, closest, explain, line_of};
use super::place::{Read, locate};
use super::{Config, DEFAULTS, Detection};
use crate::paths::Paths;

/// Environment variables of ours begin like this.
const PREFIX: &str = "COLLECTOR_";
/// Names the configuration file, as `--config` does.
const FILE_VARIABLE: &str = "COLLECTOR_CONFIG";

/// Where configuration comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The file named with `--config`.
    pub(crate) named: Option<PathBuf>,
    /// The directory of the default file and of `conf.d`.
    pub(crate) directory: PathBuf,
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Origin {
    /// The configuration of this process.
    pub(crate) fn of_this_process(named: Option<PathBuf>, paths: &Paths) -> Self {
        // What is not Unicode is none of ours.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        Self { named, directory: paths.config_dir.clone(), variables }
    }
}

/// A configuration and what it was made of.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Made of its conditions, rules and chains; `None` if there is nothing to look for.
    pub(crate) detection: Option<Detection>,
    /// Files and environment variables that had a say, in rising order.
    pub(crate) sources: Vec<String>,
}

/// Loads and checks the configuration.
pub(crate) fn load(origin: &Origin) -> Result<Loaded, ConfigError> {
    let whole = |error: String| ConfigError::value("configuration", error);
    // The lowest layer in full: a section that sets one key keeps its own defaults for the others.
    let defaults = Table::try_from(Config::default());
    let mut merged = defaults.map_err(|error| whole(error.to_string()))?;
    let mut sources = Vec::new();
    let mut texts: Vec<Read> = Vec::new();
    for path in files(origin)? {
        let (layer, text) = read(&path)?;
        merge(&mut merged, layer);
        sources.push(path.display().to_string());
        texts.push((path, text));
    }
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &origin.variables {
        if name != FILE_VARIABLE {
            names.push((name, value));
        }
    }
    for (name, value) in names {
        if let Some(layer) = variable(name, value)? {
            merge(&mut merged, layer);
            sources.push(name.to_owned());
        }
    }
    // Each layer was checked alone, so that this cannot fail but for a combination nobody thought of.
    let config: Config = merged.try_into().map_err(|error| whole(explain(&error)))?;
    let made = config.check().and_then(|()| Detection::new(&config.triggers, &config.analysis));
    let detection = made.map_err(|error| locate(error, &texts, &sources))?;
    Ok(Loaded { config, detection, sources })
}

/// The files to read, in rising order.
fn files(origin: &Origin) -> Result<Vec<PathBuf>, ConfigError> {
    let named = origin.named.clone().or_else(|| origin.variables.get(FILE_VARIABLE).map(PathBuf::from));
    if let Some(named) = named {
        // Somebody wants this one: whatever else lies around is not meant, and its absence is an error.
        return Ok(vec![named]);
    }
    let mut files = vec![origin.directory.join("collector.toml")];
    files.retain(|path| path.exists());
    let conf_d = origin.directory.join("conf.d");
    let entries = match std::fs::read_dir(&conf_d) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(source) => return Err(ConfigError::Unreadable { path: conf_d, source }),
    };
    let mut extra: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    extra.sort();
    // Whoever named a pipe on the command line means it; here it would be waited for, and nobody knows why.
    if let Some(other) = extra.iter().find(|path| path.exists() && !path.is_file()) {
        let source = std::io::Error::other("it is no file; take it out of conf.d");
        return Err(ConfigError::Unreadable { path: other.clone(), source });
    }
    files.append(&mut extra);
    Ok(files)
}

/// Reads one file and checks it alone, so that errors name it and the line.
fn read(path: &Path) -> Result<(Table, String), ConfigError> {
    let bytes =
        std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        let message = "this line has bytes that are not UTF-8".to_owned();
        ConfigError::InFile { path: path.to_owned(), line: Some(line), message }
    })?;
    let table = parse(&text).map_err(|error| ConfigError::InFile {
        path: path.to_owned(),
        line: line_of(&text, &error),
        message: explain(&error),
    })?;
    Ok((table, text))
}

fn parse(text: &str) -> Result<Table, toml::de::Error> {
    toml::from_str::<Config>(text)?;
    toml::from_str(text)
}

/// The layer of one environment variable; `None` if it is somebody else's.
///
/// Container platforms set variables such as `COLLECTOR_SERVICE_HOST` for a service of that name: only a name that looks
/// like a misspelt one of ours is an error.
fn variable(name: &str, value: &str) -> Result<Option<Table>, ConfigError> {
    let error = |message| ConfigError::InEnvironment { name: name.to_owned(), message };
    let keys = keys();
    let Some(key) = keys.iter().find(|key| variable_name(key) == name) else {
        let names: Vec<String> = keys.iter().map(|key| variable_name(key)).collect();
        let rest = |name: &'_ str| name.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let candidates: Vec<String> = names.iter().map(|name| rest(name)).collect();
        return match closest(&rest(name), candidates.iter().map(String::as_str)) {
            Some(meant) => Err(error(format!("there is no such setting, did you mean {PREFIX}{meant}?"))),
            None => Ok(None),
        };
    };
    // First as the TOML value it looks like (a number, true, an array), then as text.
    let as_toml =
        toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    let list = || Value::Array(value.split(',').map(|item| Value::String(item.trim().to_owned())).collect());
    let numbers = || {
        let items: Result<Vec<i64>, _> = value.split(',').map(|item| item.trim().parse()).collect();
        items.ok().map(|items| Value::Array(items.into_iter().map(Value::Integer).collect()))
    };
    let text = || Value::String(value.to_owned());
    let readings = [as_toml, Some(text()), numbers(), Some(list())];
    let mut first_error = None;
    for reading in readings.into_iter().flatten() {
        let layer = nest(key, reading);
        match layer.clone().try_into::<Config>() {
            Ok(_) => return Ok(Some(layer)),
            Err(wrong) => _ = first_error.get_or_insert_with(|| explain(&wrong)),
        }
    }
    Err(error(first_error.unwrap_or_default()))
}

/// `store.max_age` as `COLLECTOR_STORE_MAX_AGE`.
pub(super) fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn nest(key: &str, value: Value) -> Table {
    let mut parts = key.rsplit('.');
    let last = parts.next().unwrap_or_default().to_owned();
    let leaf = Table::from_iter([(last, value)]);
    parts.fold(leaf, |inner, part| Table::from_iter([(part.to_owned(), Value::Table(inner))]))
}

/// Puts `upper` over `lower`: tables are merged, lists of tables (`[[section]]`) joined, everything else is replaced.
fn merge(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => merge(lower, upper),
            (Some(Value::Array(lower)), Value::Array(mut upper)) if is_list_of_tables(&upper) => {
                lower.append(&mut upper);
            }
            (_, value) => drop(lower.insert(key, value)),
        }
    }
}

fn is_list_of_tables(values: &[Value]) -> bool {
    !values.is_empty() && values.iter().all(Value::is_table)
}

/// Every key, as `section.key`: those of the file with the defaults, commented-out ones included. Those of lists of tables
/// are none: they have no name that an environment variable could have.
pub(super) fn keys() -> Vec<String> {
    let mut section = "";
    let mut in_list = false;
    let mut keys = Vec::new();
    for line in DEFAULTS.lines() {
        if line.trim_start_matches("# ").starts_with("[[") {
            in_list = true;
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (section, in_list) = (name, false);
        } else if !in_list
            && let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys
}
