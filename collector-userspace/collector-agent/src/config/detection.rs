//! What to look for and what to do then: `[triggers]` and `[analysis]`, and making the library's parts of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use collector_core::analysis::{AnalysisChainConfig, Digest, HasherConfig, RuleMatch, VerdictRule};
use collector_core::{
    AlertSeverity, AnalysisStage, AnalysisType, ConditionType, TriggerCapabilities, TriggerCondition,
    TriggerConfig, TriggerManager, TriggerPriority, TriggerResourceLimits,
};
use serde::{Deserialize, Serialize};

use super::{ConfigError, Queue, millis, seconds, within};
use crate::units::{Bytes, Span};

/// The chain that is there without being written down.
const DEFAULT_CHAIN: &str = "verdict";

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
    /// The chain to start; [`DEFAULT_CHAIN`] if none is named.
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

/// What a process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    /// Of one processor.
    pub(crate) cpu_percent: u32,
    /// Resident.
    pub(crate) memory: Bytes,
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
            queue: Queue::default(),
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

/// The library's parts, made of the configuration.
#[derive(Debug)]
pub(crate) struct Detection {
    /// With everything registered.
    pub(crate) manager: TriggerManager,
    pub(crate) analysis: AnalysisChainConfig,
    /// Each chain that a condition starts, by id.
    pub(crate) chains: Vec<(String, Vec<AnalysisStage>)>,
}

impl Detection {
    /// Makes and checks everything; `None` if there is nothing to look for.
    pub(crate) fn new(triggers: &Triggers, analysis: &Analysis) -> Result<Option<Self>, ConfigError> {
        let chains = analysis.chains(&triggers.conditions)?;
        let analysis = analysis.config(&triggers.conditions)?;
        triggers.check()?;
        if triggers.conditions.is_empty() {
            return Ok(None);
        }
        let manager = triggers.manager(&chains)?;
        let stages = |chain: &Chain| chain.stages.iter().map(|stage| stage.of_core()).collect();
        let chains = chains.iter().map(|chain| (chain.id.clone(), stages(chain))).collect();
        Ok(Some(Self { manager, analysis, chains }))
    }
}

impl Triggers {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { repeat_after, max_waiting, give_up_after, queue: _, conditions: _ } = self;
        within("triggers.repeat_after", *repeat_after, millis(0), seconds(30 * 86_400))?;
        within("triggers.max_waiting", *max_waiting, 1, 1 << 20)?;
        within("triggers.give_up_after", *give_up_after, millis(100), seconds(86_400))
    }

    /// A manager that knows the chains and the conditions.
    fn manager(&self, chains: &[Chain]) -> Result<TriggerManager, ConfigError> {
        let mut config = TriggerConfig::default();
        config.deduplication_window = self.repeat_after.0;
        config.max_pending_triggers = self.max_waiting;
        config.default_timeout = self.give_up_after.0;
        let wrong = |error| ConfigError::value("triggers", error);
        let manager = TriggerManager::new(config).map_err(|error| wrong(error.to_string()))?;
        for chain in chains {
            let capabilities = chain.capabilities(&self.conditions)?;
            let registered = manager.register_collector_capabilities(capabilities);
            registered.map_err(|error| ConfigError::value("analysis.chains", error.to_string()))?;
        }
        for condition in &self.conditions {
            let registered = manager.register_condition(condition.of_core()?);
            registered.map_err(|error| ConfigError::value("triggers.conditions", error.to_string()))?;
        }
        Ok(manager)
    }
}

impl Condition {
    fn chain(&self) -> &str {
        self.chain.as_deref().unwrap_or(DEFAULT_CHAIN)
    }

    fn of_core(&self) -> Result<TriggerCondition, ConfigError> {
        let wrong = |message: String| {
            Err(ConfigError::value("triggers.conditions", format!("{:?}: {message}", self.id)))
        };
        if self.id.is_empty() || self.id.len() > 128 || self.id.chars().any(char::is_control) {
            return wrong("an id must have 1 to 128 bytes without control characters".to_owned());
        }
        let finding = |found: &Finding| match found {
            Finding::MissingExecutable => ConditionType::MissingExecutable,
            Finding::HashMismatch => ConditionType::HashMismatch,
            Finding::SuspiciousParentChild => ConditionType::SuspiciousParentChild,
        };
        let usage = |usage: &Usage| ConditionType::ResourceAnomaly {
            cpu_threshold: f64::from(usage.cpu_percent),
            memory_threshold: usage.memory.0,
        };
        let given = [
            self.sql.clone().map(ConditionType::Sql),
            self.process_name.clone().map(ConditionType::ProcessNamePattern),
            self.executable.clone().map(ConditionType::ExecutablePathPattern),
            self.found.as_ref().map(finding),
            self.usage_above.as_ref().map(usage),
        ];
        let mut given = given.into_iter().flatten();
        let (Some(condition_type), None) = (given.next(), given.next()) else {
            let names = "`sql`, `process_name`, `executable`, `found` and `usage_above`";
            return wrong(format!("it must have exactly one of {names}"));
        };
        Ok(TriggerCondition {
            id: self.id.clone(),
            description: self.description.clone(),
            analysis_type: AnalysisType::Custom(self.chain().to_owned()),
            priority: match self.priority {
                Priority::Low => TriggerPriority::Low,
                Priority::Normal => TriggerPriority::Normal,
                Priority::High => TriggerPriority::High,
                Priority::Critical => TriggerPriority::Critical,
            },
            target_collector: self.chain().to_owned(),
            condition_type,
        })
    }
}

impl Analysis {
    /// The chains that conditions start, each with its limits.
    fn chains(&self, conditions: &[Condition]) -> Result<Vec<Chain>, ConfigError> {
        let mut chains = self.chains.clone();
        if chains.iter().all(|chain| chain.id != DEFAULT_CHAIN) {
            chains.push(Chain { id: DEFAULT_CHAIN.to_owned(), ..Chain::default() });
        }
        let mut ids = BTreeSet::new();
        for chain in &chains {
            chain.check()?;
            if !ids.insert(chain.id.as_str()) {
                let message = format!("{:?} is there twice: rename one", chain.id);
                return Err(ConfigError::value("analysis.chains", message));
            }
        }
        if let Some(lost) = conditions.iter().find(|condition| !ids.contains(condition.chain())) {
            let message =
                format!("{:?}: there is no chain {:?} in [[analysis.chains]]", lost.id, lost.chain());
            return Err(ConfigError::value("triggers.conditions", message));
        }
        if let Some(mute) = conditions.iter().find(|condition| {
            let starts = |chain: &&Chain| chain.id == condition.chain();
            condition.severity.is_some()
                && !chains.iter().find(starts).is_some_and(|chain| chain.stages.contains(&Stage::Alerting))
        }) {
            let message = format!(
                "{:?} has a severity, but its chain {:?} has no stage `alerting`",
                mute.id,
                mute.chain()
            );
            return Err(ConfigError::value("triggers.conditions", message));
        }
        chains.retain(|chain| conditions.iter().any(|condition| condition.chain() == chain.id));
        Ok(chains)
    }

    /// The coordinator's configuration, with all reasons for an alert.
    fn config(&self, conditions: &[Condition]) -> Result<AnalysisChainConfig, ConfigError> {
        let Self { max_concurrent, max_file_size, hash_time_limit, world_writable_places, rules, chains: _ } =
            self;
        within("analysis.max_concurrent", *max_concurrent, 1, 1_000)?;
        within("analysis.max_file_size", *max_file_size, Bytes(1), Bytes(1 << 40))?;
        within("analysis.hash_time_limit", *hash_time_limit, millis(10), seconds(60))?;
        let mut all = Vec::new();
        if *world_writable_places {
            all.push(VerdictRule::world_writable_places());
        }
        for rule in rules {
            all.push(rule.of_core()?);
        }
        for condition in conditions {
            if let Some(severity) = condition.severity {
                let met = RuleMatch::Conditions([condition.id.clone()].into());
                let rule = VerdictRule::new(&condition.id, severity, met);
                all.push(rule.with_description(&condition.description));
            }
        }
        let hasher =
            HasherConfig::default().with_max_file_size(max_file_size.0).with_time_limit(hash_time_limit.0);
        let config = AnalysisChainConfig::default()
            .with_max_concurrent_workflows(*max_concurrent)
            .with_hasher(hasher)
            .with_rules(all);
        config.validate().map_err(|error| ConfigError::value("analysis", error.to_string()))?;
        Ok(config)
    }
}

impl Rule {
    fn of_core(&self) -> Result<VerdictRule, ConfigError> {
        let matches = match (self.digests.is_empty(), self.paths.is_empty()) {
            (false, true) => RuleMatch::Digests(self.digests.clone()),
            (true, false) => RuleMatch::PathPrefixes(self.paths.clone()),
            _ => {
                let message = format!("{:?}: it must have either `digests` or `paths`", self.id);
                return Err(ConfigError::value("analysis.rules", message));
            }
        };
        Ok(VerdictRule::new(&self.id, self.severity, matches).with_description(&self.description))
    }
}

impl Chain {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { id, stages, time_limit, max_concurrent, max_per_second, max_waiting } = self;
        let key = |name: &str| format!("analysis.chains {id:?}: {name}");
        within(&key("time_limit"), *time_limit, millis(10), seconds(3_600))?;
        within(&key("max_concurrent"), *max_concurrent, 1, 1_000)?;
        within(&key("max_per_second"), *max_per_second, 1, 1_000_000)?;
        within(&key("max_waiting"), *max_waiting, 1, 1 << 20)?;
        let place = |stage| stages.iter().position(|other| *other == stage);
        let verdict_missing = |alerting| place(Stage::Detection).is_none_or(|detection| detection > alerting);
        let problem = if stages.is_empty() {
            Some("is empty")
        } else if stages.iter().enumerate().any(|(at, stage)| place(*stage) != Some(at)) {
            Some("names a stage twice")
        } else if place(Stage::Alerting).is_some_and(verdict_missing) {
            Some("has `alerting` without `detection` before it, whose verdict it needs")
        } else {
            None
        };
        problem.map_or(Ok(()), |problem| Err(ConfigError::value(key("stages"), problem)))
    }

    /// What the chain says of itself to the trigger manager: it takes whatever the conditions have.
    fn capabilities(&self, conditions: &[Condition]) -> Result<TriggerCapabilities, ConfigError> {
        let own = conditions.iter().filter(|condition| condition.chain() == self.id);
        let supported: Result<_, _> = own.map(|condition| Ok(condition.of_core()?.condition_type)).collect();
        Ok(TriggerCapabilities {
            collector_id: self.id.clone(),
            supported_conditions: supported?,
            supported_analysis: vec![AnalysisType::Custom(self.id.clone())],
            max_trigger_rate: self.max_per_second,
            max_concurrent_analysis: self.max_concurrent,
            supported_priorities: vec![
                TriggerPriority::Low,
                TriggerPriority::Normal,
                TriggerPriority::High,
                TriggerPriority::Critical,
            ],
            resource_limits: TriggerResourceLimits {
                max_analysis_time_ms: u64::try_from(self.time_limit.0.as_millis()).unwrap_or(u64::MAX),
                max_queue_depth: self.max_waiting,
                ..TriggerResourceLimits::default()
            },
        })
    }
}

impl Stage {
    const fn of_core(self) -> AnalysisStage {
        match self {
            Self::Collection => AnalysisStage::Collection,
            Self::Enrichment => AnalysisStage::Enrichment,
            Self::BinaryHash => AnalysisStage::Analysis(AnalysisType::BinaryHash),
            Self::Detection => AnalysisStage::Detection,
            Self::Alerting => AnalysisStage::Alerting,
        }
    }
}
