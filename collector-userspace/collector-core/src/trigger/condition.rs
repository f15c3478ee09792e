//! Conditions of triggers: what they look for.

use crate::condition::{Case, Expr, Field, Predicate};
use crate::event::{AnalysisType, TriggerPriority};

/// When to ask which collector for which analysis.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerCondition {
    /// Names it; unique in its manager.
    pub id: String,
    /// For people.
    pub description: String,
    /// What to do.
    pub analysis_type: AnalysisType,
    /// How soon.
    pub priority: TriggerPriority,
    /// Which collector is to do it.
    pub target_collector: String,
    /// When.
    pub condition_type: ConditionType,
}

/// What a condition looks for.
///
/// A pattern without `*` and `?` is found anywhere, whatever the case of ASCII letters; with them it must fit the whole, case
/// included, as file names fit in a shell, but `*` crosses slashes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConditionType {
    /// A process whose name (`comm`) fits the pattern does something, or something happens to it.
    ProcessNamePattern(String),
    /// A process whose executable's path fits the pattern does.
    ExecutablePathPattern(String),
    /// A process runs an executable that has no name any more.
    MissingExecutable,
    /// An executable's hash is not the one that was seen under the same path before, or a source says that memory and disk
    /// differ (`integrity.on_disk_mismatch` in its metadata). Needs a source that hashes.
    HashMismatch,
    /// A program from one list starts one from another, see [`SuspiciousPairs`](super::SuspiciousPairs).
    SuspiciousParentChild,
    /// A process takes more than this: a process event says so, or a performance sample of a process does, by a `cpu_usage` in
    /// `percent` or a `memory_usage` in `bytes`.
    ResourceAnomaly {
        /// Percent of one processor.
        cpu_threshold: f64,
        /// Bytes of resident memory.
        memory_threshold: u64,
    },
    /// An SQL condition over the fields of events, see [`Condition::from_sql`](crate::Condition::from_sql).
    Sql(String),
    /// A predicate by its name, see [`register_predicate`](super::TriggerManager::register_predicate).
    Custom(String),
}

impl ConditionType {
    /// The name of the kind of condition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ProcessNamePattern(_) => "process_name_pattern",
            Self::ExecutablePathPattern(_) => "executable_path_pattern",
            Self::MissingExecutable => "missing_executable",
            Self::HashMismatch => "hash_mismatch",
            Self::SuspiciousParentChild => "suspicious_parent_child",
            Self::ResourceAnomaly { .. } => "resource_anomaly",
            Self::Sql(_) => "sql",
            Self::Custom(_) => "custom",
        }
    }
}

/// Whether a field fits a pattern, see [`ConditionType`].
pub(super) fn fits(field: Field, pattern: &str) -> Expr {
    if !pattern.contains(['*', '?']) {
        return Expr::test(field, Predicate::contains(pattern, Case::AsciiInsensitive));
    }
    // A bracket is itself here, as in file names it mostly is.
    let pattern: String =
        pattern.chars().flat_map(|ch| if ch == '[' { vec!['[', '[', ']'] } else { vec![ch] }).collect();
    Expr::test(field, Predicate::Glob(pattern))
}
