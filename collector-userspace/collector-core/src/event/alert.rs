//! Alerts: something that somebody should know.

use std::sync::Arc;
use std::time::SystemTime;

use super::{EventMeta, ProcessRef, Text};

/// How bad it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertSeverity {
    /// Worth a note.
    Low,
    /// Worth a look.
    #[default]
    Medium,
    /// Worth a look today.
    High,
    /// Worth waking somebody.
    Critical,
}

impl AlertSeverity {
    /// The name in JSON and configuration: `low`, `medium`, `high` or `critical`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A rule that holds, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertReason {
    /// Id of the rule.
    pub rule: String,
    /// What the rule means, for people.
    pub description: String,
    /// Its severity.
    pub severity: AlertSeverity,
    /// What it holds for: `sha256 …`, `blake3 …`, `/tmp/x lies in /tmp`, `the condition … was met`.
    pub evidence: String,
}

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// Names the alert. One that comes again has the id it had.
    pub alert_id: String,
    /// How bad it is: the severity of the worst rule.
    pub severity: AlertSeverity,
    /// One line for people: what it is about, and which rules hold.
    pub title: String,
    /// Rules that hold.
    pub rules: Vec<AlertReason>,
    /// Ids of rules that could not be asked, because something was not known.
    pub unasked: Vec<String>,
    /// Id of the trigger condition that began it, if one did.
    pub condition: Option<String>,
    /// Ties requests, results and alerts together.
    pub correlation_id: String,
    /// Process it is about.
    pub pid: Option<u32>,
    /// That process, where more than its pid is known.
    pub process: Option<Arc<ProcessRef>>,
    /// File it is about; what the process runs, where it is about a process.
    pub path: Option<Text>,
    /// Size of that file in bytes, when it was looked at.
    pub size: Option<u64>,
    /// SHA-256 of that file, hexadecimal.
    pub sha256: Option<String>,
    /// BLAKE3 of that file, hexadecimal.
    pub blake3: Option<String>,
    /// When it was made.
    pub timestamp: SystemTime,
    /// Provenance.
    pub meta: EventMeta,
}

impl Default for AlertEvent {
    fn default() -> Self {
        Self {
            alert_id: String::new(),
            severity: AlertSeverity::default(),
            title: String::new(),
            rules: Vec::new(),
            unasked: Vec::new(),
            condition: None,
            correlation_id: String::new(),
            pid: None,
            process: None,
            path: None,
            size: None,
            sha256: None,
            blake3: None,
            timestamp: SystemTime::UNIX_EPOCH,
            meta: EventMeta::default(),
        }
    }
}
