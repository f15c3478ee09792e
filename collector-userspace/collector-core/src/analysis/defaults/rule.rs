//! Verdict rules: what an executable must not be and where it must not lie.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::analysis::hash::Digest;
use crate::event::AlertSeverity;

/// Most rules.
const MAX_RULES: usize = 1000;
/// Most digests, prefixes and conditions of all rules together: 32 bytes and a tree node each.
const MAX_ITEMS: usize = 1_000_000;

/// A reason for a positive verdict.
///
/// ```
/// use collector_core::analysis::{AlertSeverity, RuleMatch, VerdictRule};
///
/// let digest = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f".parse()?;
/// let rule = VerdictRule::new("eicar", AlertSeverity::Critical, RuleMatch::Digests([digest].into()))
///     .with_description("the test file of the EICAR");
/// # assert_eq!(rule.id, "eicar");
/// # Ok::<(), collector_core::analysis::DigestError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VerdictRule {
    /// Names it in verdicts, 1 to 128 bytes, unique.
    pub id: String,
    /// What it means, for people.
    #[serde(default)]
    pub description: String,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// When it holds.
    pub matches: RuleMatch,
}

/// When a rule holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleMatch {
    /// The file's SHA-256 or BLAKE3 is one of these.
    Digests(BTreeSet<Digest>),
    /// The file's path lies in one of these directories, or is one of these files. Absolute, compared by whole parts:
    /// `/tmp` does not cover `/tmpfs`. `.` and `..` are resolved in the text; links are not.
    PathPrefixes(Vec<PathBuf>),
    /// The subject is a trigger that one of these conditions began.
    Conditions(BTreeSet<String>),
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The id is not a name.
    #[error("rule id {id:?} is not a name: it must have 1 to 128 bytes without control characters")]
    Id {
        /// The id.
        id: String,
    },
    /// Two rules have the same id.
    #[error("two rules have the id {id:?}; rename one")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// It can never hold.
    #[error("rule {id:?} names no {what}, so it can never hold; add some or remove the rule")]
    Empty {
        /// The rule.
        id: String,
        /// What is missing.
        what: &'static str,
    },
    /// A prefix would match by accident or never.
    #[error("rule {id:?} has the prefix {prefix:?}; write an absolute path")]
    RelativePrefix {
        /// The rule.
        id: String,
        /// The prefix.
        prefix: PathBuf,
    },
    /// There are too many.
    #[error("there are {count} {what}; {limit} are allowed")]
    TooMany {
        /// How many.
        count: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl VerdictRule {
    /// A rule without description.
    #[must_use]
    pub fn new(id: impl Into<String>, severity: AlertSeverity, matches: RuleMatch) -> Self {
        Self { id: id.into(), description: String::new(), severity, matches }
    }

    /// Sets [`description`](Self::description).
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Executables where everybody may write: `/tmp`, `/dev/shm` and `/var/tmp`. Medium, because builds and installers
    /// run from there as well.
    #[must_use]
    pub fn world_writable_places() -> Self {
        let places = ["/tmp", "/dev/shm", "/var/tmp"].map(PathBuf::from).into();
        Self::new(
            "executable-in-world-writable-place",
            AlertSeverity::Medium,
            RuleMatch::PathPrefixes(places),
        )
        .with_description("an executable lies where every user may write")
    }

    pub(crate) fn validate_all(rules: &[Self]) -> Result<(), RuleError> {
        let count = rules.len();
        if count > MAX_RULES {
            return Err(RuleError::TooMany { count, what: "rules", limit: MAX_RULES });
        }
        let mut ids = BTreeSet::new();
        for rule in rules {
            rule.validate()?;
            if !ids.insert(&rule.id) {
                return Err(RuleError::Duplicate { id: rule.id.clone() });
            }
        }
        let count = rules.iter().map(|rule| rule.matches.len()).sum();
        if count > MAX_ITEMS {
            return Err(RuleError::TooMany {
                count,
                what: "digests, prefixes and conditions",
                limit: MAX_ITEMS,
            });
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), RuleError> {
        let Self { id, description: _, severity: _, matches } = self;
        if !(1..=128).contains(&id.len()) || id.chars().any(char::is_control) {
            return Err(RuleError::Id { id: id.chars().take(128).collect() });
        }
        if matches.len() == 0 {
            let what = match matches {
                RuleMatch::Digests(_) => "digests",
                RuleMatch::PathPrefixes(_) => "path prefixes",
                RuleMatch::Conditions(_) => "conditions",
            };
            return Err(RuleError::Empty { id: id.clone(), what });
        }
        if let RuleMatch::PathPrefixes(prefixes) = matches
            && let Some(prefix) = prefixes.iter().find(|prefix| !prefix.has_root())
        {
            return Err(RuleError::RelativePrefix { id: id.clone(), prefix: prefix.clone() });
        }
        Ok(())
    }
}

impl RuleMatch {
    fn len(&self) -> usize {
        match self {
            Self::Digests(digests) => digests.len(),
            Self::PathPrefixes(prefixes) => prefixes.len(),
            Self::Conditions(conditions) => conditions.len(),
        }
    }
}

/// The path with `.` and `..` taken out as if there were no links.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // Above the root is the root; `pop` leaves it alone.
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
