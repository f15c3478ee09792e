//! Requests to analyse something.

use std::collections::HashMap;
use std::time::SystemTime;

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
    /// File to look at.
    pub target_path: Option<String>,
    /// Ties request, result and alert together.
    pub correlation_id: String,
    /// Further facts.
    pub metadata: HashMap<String, String>,
    /// When it was made.
    pub timestamp: SystemTime,
}
