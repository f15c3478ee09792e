//! How a command ends when it does not end well: an exit code, a sentence, and what to do.

use std::fmt;
use std::process::ExitCode;

/// What kind of end it is: decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command could not do its job: 1.
    Failed,
    /// The command line or the configuration is wrong: 2.
    Usage,
    /// It works, but not in full, and that was asked for: 3.
    Degraded,
}

/// A command's bad end.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into(), hint: None }
    }

    /// A failure that is told already: only the exit code is left to give.
    pub(crate) fn silent(kind: Kind) -> Self {
        Self::new(kind, Told)
    }

    /// A usage error.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, anyhow::anyhow!("{error}"))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What happened, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        told_once(&self.error)
    }

    /// What to do about it, if that is known.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Says what happened, on standard error, and gives the exit code. A reader that went away is no failure.
    pub(crate) fn report(&self) -> ExitCode {
        if is_broken_pipe(&self.error) {
            return ExitCode::SUCCESS;
        }
        if !self.error.is::<Told>() {
            crate::output::message(format_args!("error: {}", told_once(&self.error)));
            if let Some(hint) = &self.hint {
                crate::output::message(format_args!("hint: {hint}"));
            }
        }
        match self.kind {
            Kind::Failed => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
            Kind::Degraded => ExitCode::from(3),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Kind::Failed, error)
    }
}

/// Stands for an error whose story has been printed.
#[derive(Debug, thiserror::Error)]
#[error("reported already")]
struct Told;

/// The error and its causes. A cause that the sentence before it quotes already is not said again.
fn told_once(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read x: {0}; is it there?")]
    struct Quoting(#[from] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::other("no such file");
        assert_eq!(
            told_once(&anyhow::Error::from(Quoting(missing())).context("cannot start")),
            "cannot start: cannot read x: no such file; is it there?"
        );
        assert_eq!(
            told_once(&anyhow::Error::from(missing()).context("cannot read y")),
            "cannot read y: no such file"
        );
    }
}
