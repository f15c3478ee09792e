//! What can go wrong with a collector and its sources.

use std::fmt;

use crate::config::ConfigError;

/// Why a source could not be registered or a collector could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// The configuration allows no more.
    #[error("the collector has {limit} sources, its limit (max_event_sources)")]
    TooManySources {
        /// The limit.
        limit: usize,
    },
    /// The name is taken.
    #[error("there already is a source {name:?}")]
    DuplicateSource {
        /// The name.
        name: &'static str,
    },
    /// The name is empty.
    #[error("the source has no name")]
    UnnamedSource,
    /// Nothing to run.
    #[error("the collector has no sources")]
    NoSources,
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// SIGINT and SIGTERM cannot be received.
    #[error("signals cannot be handled")]
    Signals(#[source] std::io::Error),
}

/// How a source failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceFailure {
    /// `start` returned an error.
    #[error("source {name}: {message}")]
    Failed {
        /// The source.
        name: &'static str,
        /// The error with its causes.
        message: String,
    },
    /// `start` panicked.
    #[error("source {name} panicked: {message}")]
    Panicked {
        /// The source.
        name: &'static str,
        /// What the panic said.
        message: String,
    },
    /// `stop` returned an error or panicked, or dropping the source panicked.
    #[error("source {name} could not stop: {message}")]
    StopFailed {
        /// The source.
        name: &'static str,
        /// The error with its causes.
        message: String,
    },
    /// It did not end in time; its thread was left behind.
    #[error("source {name} did not end within the shutdown timeout and was abandoned")]
    Abandoned {
        /// The source.
        name: &'static str,
    },
}

/// The collector ran, and some of its sources failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunError {
    /// What failed, in order of registration. A source may be there twice: `start` and `stop`.
    pub failures: Vec<SourceFailure>,
    /// How many sources there were.
    pub sources: usize,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failures, sources) = (self.failures.len(), self.sources);
        let plural = if sources == 1 { "" } else { "s" };
        write!(f, "{failures} failure(s) in {sources} source{plural}")?;
        for (index, failure) in self.failures.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            fmt::Display::fmt(failure, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RunError {}
