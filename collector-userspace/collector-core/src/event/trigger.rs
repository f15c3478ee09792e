//! Requests to analyse something.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ProcessRef, Text};

/// Analyses a collector may offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum AnalysisType {
    /// Hash an executable.
    BinaryHash,
    /// Look into a process's memory.
    MemoryAnalysis,
    /// Scan with YARA rules.
    YaraScan,
    /// Look at network behaviour.
    NetworkAnalysis,
    /// Look at behaviour over time.
    BehavioralAnalysis,
    /// Something else, by name.
    Custom(String),
}

/// How urgent a trigger is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
pub enum TriggerPriority {
    /// May wait for idle time.
    Low,
    /// In turn.
    #[default]
    Normal,
    /// Before others.
    High,
    /// At once.
    Critical,
}

/// A request that a collector analyse a process or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerRequest {
    /// Id of the request.
    pub trigger_id: String,
    /// Collector that should act.
    pub target_collector: String,
    /// What it should do.
    pub analysis_type: AnalysisType,
    /// How soon.
    pub priority: TriggerPriority,
    /// Process to look at.
    pub target_pid: Option<u32>,
    /// File to look at. Lossy where the path is not UTF-8, see `target_bytes`.
    pub target_path: Option<String>,
    /// The same path byte for byte, where it is not UTF-8.
    pub target_bytes: Option<Text>,
    /// Mount namespace in which the path leads to it: an inode number.
    pub target_mount_ns: Option<u32>,
    /// The process, where more than its pid is known.
    pub process: Option<Arc<ProcessRef>>,
    /// Ties request, result and alert together.
    pub correlation_id: String,
    /// Further facts.
    pub metadata: HashMap<String, String>,
    /// When it was made.
    pub timestamp: SystemTime,
}

impl Default for TriggerRequest {
    /// Asks nobody for nothing.
    fn default() -> Self {
        Self {
            trigger_id: String::new(),
            target_collector: String::new(),
            analysis_type: AnalysisType::Custom(String::new()),
            priority: TriggerPriority::default(),
            target_pid: None,
            target_path: None,
            target_bytes: None,
            target_mount_ns: None,
            process: None,
            correlation_id: String::new(),
            metadata: HashMap::new(),
            timestamp: SystemTime::UNIX_EPOCH,
        }
    }
}
