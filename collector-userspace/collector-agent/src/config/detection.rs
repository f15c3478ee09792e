//! What to look for and what to do then: `[triggers]` and `[analysis]`.

mod build;
mod unmet;

use std::collections::BTreeSet;
use std::path::PathBuf;

use collector_core::AlertSeverity;
use collector_core::analysis::Digest;
use serde::{Deserialize, Serialize};

pub(crate) use build::Detection;
pub(crate) use unmet::unmet;

use super::{Overflow, Queue, seconds};
use crate::units::{Bytes, Span};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Triggers {
    pub(crate) repeat_after: Span,
    pub(crate) max_waiting: usize,
    pub(crate) give_up_after: Span,
    pub(crate) queue: Queue,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<Condition>,
}

/// When to start a chain. Exactly one of the members that say when must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Condition {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_above: Option<Usage>,
    /// The chain to start; `verdict` if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<String>,
    pub(crate) priority: Priority,
    /// Alert with this severity whatever the verdict on the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<AlertSeverity>,
}

/// What needs no further words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// A process runs an executable that has no name any more.
    MissingExecutable,
    /// An executable is not what it was.
    HashMismatch,
    /// A server starts a shell.
    SuspiciousParentChild,
}

/// What a process may take: at least one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Usage {
    /// Of one processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_percent: Option<u32>,
    /// Resident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Bytes>,
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Analysis {
    pub(crate) max_concurrent: usize,
    pub(crate) max_file_size: Bytes,
    pub(crate) hash_time_limit: Span,
    pub(crate) world_writable_places: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chains: Vec<Chain>,
}

/// A reason for an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) severity: AlertSeverity,
    /// SHA-256 or BLAKE3 of files.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) digests: BTreeSet<Digest>,
    /// Directories, or files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Stages, one after another, and what they may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Chain {
    pub(crate) id: String,
    pub(crate) stages: Vec<Stage>,
    pub(crate) time_limit: Span,
    pub(crate) max_concurrent: u32,
    pub(crate) max_per_second: u32,
    pub(crate) max_waiting: usize,
}

/// A stage of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// What is known of the subject.
    Collection,
    /// Digests of the file, if there are any to be had.
    Enrichment,
    /// Digests of the file, or failure.
    BinaryHash,
    /// The verdict.
    Detection,
    /// An alert if it is bad.
    Alerting,
}

impl Default for Triggers {
    fn default() -> Self {
        Self {
            repeat_after: seconds(300),
            max_waiting: 1_000,
            give_up_after: seconds(30),
            // Whoever makes conditions slow, with long arguments for example, must not make the capture wait: the kernel
            // would lose events then, for everybody.
            queue: Queue { overflow: Overflow::DropOldest, ..Queue::default() },
            conditions: Vec::new(),
        }
    }
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            max_concurrent: 4,
            max_file_size: Bytes(512 << 20),
            hash_time_limit: seconds(10),
            world_writable_places: true,
            rules: Vec::new(),
            chains: Vec::new(),
        }
    }
}

impl Default for Chain {
    fn default() -> Self {
        use Stage::{Alerting, Collection, Detection, Enrichment};
        Self {
            id: String::new(),
            stages: vec![Collection, Enrichment, Detection, Alerting],
            time_limit: seconds(30),
            max_concurrent: 2,
            max_per_second: 100,
            max_waiting: 1_000,
        }
    }
}
