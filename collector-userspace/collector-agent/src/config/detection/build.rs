//! Making the library's parts of the configuration, and saying which item does not fit.

use std::collections::BTreeSet;
use std::time::Duration;

use collector_core::analysis::{
    AnalysisChainConfig, AnalysisConfigError, HasherConfig, RuleError, RuleMatch, VerdictRule,
};
use collector_core::{
    AnalysisStage, AnalysisType, ConditionType, TriggerCapabilities, TriggerCondition, TriggerConfig,
    TriggerError, TriggerManager, TriggerPriority, TriggerResourceLimits,
};

use super::super::{ConfigError, in_range, millis, seconds, within};
use super::{Analysis, Chain, Condition, Finding, Priority, Rule, Stage, Triggers, Usage};
use crate::units::{Bytes, Span};

/// The chain that is there without being written down.
const DEFAULT_CHAIN: &str = "verdict";
/// The lists, as files name them.
const CONDITIONS: &str = "triggers.conditions";
const RULES: &str = "analysis.rules";
const CHAINS: &str = "analysis.chains";
/// A file that changes while it is hashed is hashed once more, soon. Whoever keeps replacing what he starts would have the
/// chain to himself otherwise, and nothing else would be judged in time.
const RETRIES: u32 = 1;
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// What is wrong with an id.
const NO_ID: &str = "`id` must have 1 to 128 bytes without control characters";

fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && !id.chars().any(char::is_control)
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
            registered.map_err(|error| chain.wrong(error.to_string()))?;
        }
        for condition in &self.conditions {
            let registered = manager.register_condition(condition.of_core()?);
            registered.map_err(|error| condition.refused(error))?;
        }
        Ok(manager)
    }
}

impl Condition {
    fn chain(&self) -> &str {
        self.chain.as_deref().unwrap_or(DEFAULT_CHAIN)
    }

    fn wrong(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::item(CONDITIONS, &self.id, message)
    }

    /// Why the manager does not take it.
    fn refused(&self, error: TriggerError) -> ConfigError {
        match error {
            TriggerError::Condition { reason, .. } if self.sql.is_some() => {
                self.wrong(format!("sql, {reason}"))
            }
            TriggerError::Condition { reason, .. } => self.wrong(reason),
            TriggerError::DuplicateCondition { .. } => {
                self.wrong("there is another condition with this id: rename one")
            }
            TriggerError::TooManyConditions { limit } => {
                ConfigError::value(CONDITIONS, format!("are more than {limit}: join some with OR"))
            }
            other => self.wrong(other.to_string()),
        }
    }

    fn of_core(&self) -> Result<TriggerCondition, ConfigError> {
        let wrong = |message: String| Err(self.wrong(message));
        if !is_id(&self.id) {
            return wrong(NO_ID.to_owned());
        }
        let finding = |found: &Finding| match found {
            Finding::MissingExecutable => ConditionType::MissingExecutable,
            Finding::HashMismatch => ConditionType::HashMismatch,
            Finding::SuspiciousParentChild => ConditionType::SuspiciousParentChild,
        };
        let usage = |usage: &Usage| ConditionType::ResourceAnomaly {
            // What is not limited is never above.
            cpu_threshold: usage.cpu_percent.map_or(f64::MAX, f64::from),
            memory_threshold: usage.memory.map_or(u64::MAX, |memory| memory.0),
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
        if self.usage_above == Some(Usage::default()) {
            return wrong("`usage_above` must have `cpu_percent`, `memory` or both".to_owned());
        }
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
                return Err(chain.wrong("there is another chain with this id: rename one"));
            }
        }
        if let Some(lost) = conditions.iter().find(|condition| !ids.contains(condition.chain())) {
            return Err(lost.wrong(format!("there is no chain {:?} in [[analysis.chains]]", lost.chain())));
        }
        if let Some(mute) = conditions.iter().find(|condition| {
            let starts = |chain: &&Chain| chain.id == condition.chain();
            condition.severity.is_some()
                && !chains.iter().find(starts).is_some_and(|chain| chain.stages.contains(&Stage::Alerting))
        }) {
            let chain = mute.chain();
            return Err(
                mute.wrong(format!("it has a severity, but its chain {chain:?} has no stage `alerting`"))
            );
        }
        chains.retain(|chain| conditions.iter().any(|condition| condition.chain() == chain.id));
        let hashing = self.hash_time_limit.0 * (RETRIES + 1) + RETRY_AFTER * RETRIES;
        let hasty = |chain: &&Chain| chain.hashes() && chain.time_limit.0 <= hashing;
        if let Some(chain) = chains.iter().find(hasty) {
            let message = format!(
                "time_limit {} must be more than {}: twice analysis.hash_time_limit, as a file that changes is hashed again",
                chain.time_limit,
                Span(hashing)
            );
            return Err(chain.wrong(message));
        }
        Ok(chains)
    }

    /// The coordinator's configuration, with all reasons for an alert.
    pub(in crate::config) fn config(
        &self,
        conditions: &[Condition],
    ) -> Result<AnalysisChainConfig, ConfigError> {
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
            .with_retries(RETRIES, RETRY_AFTER, RETRY_AFTER)
            .with_rules(all);
        config.validate().map_err(|error| match error {
            AnalysisConfigError::Rule(error) => refused_rule(error),
            error => ConfigError::value("analysis", error.to_string()),
        })?;
        Ok(config)
    }
}

/// A rule that does not work. Conditions with a severity are rules as well, and were checked already.
fn refused_rule(error: RuleError) -> ConfigError {
    let message = error.to_string();
    match error {
        RuleError::Id { id } => ConfigError::item(RULES, &id, NO_ID),
        RuleError::Duplicate { id } => {
            let message = "there is another rule, or a condition with a severity, with this id: rename one";
            ConfigError::item(RULES, &id, message)
        }
        RuleError::RelativePrefix { id, prefix } => {
            let message = format!("the path {:?} is not absolute", prefix.display());
            ConfigError::item(RULES, &id, message)
        }
        _ => ConfigError::value(RULES, message),
    }
}

impl Rule {
    fn of_core(&self) -> Result<VerdictRule, ConfigError> {
        let matches = match (self.digests.is_empty(), self.paths.is_empty()) {
            (false, true) => RuleMatch::Digests(self.digests.clone()),
            (true, false) => RuleMatch::PathPrefixes(self.paths.clone()),
            _ => {
                let message = "it must have either `digests` or `paths`, and not an empty list of them";
                return Err(ConfigError::item(RULES, &self.id, message));
            }
        };
        Ok(VerdictRule::new(&self.id, self.severity, matches).with_description(&self.description))
    }
}

impl Chain {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { id, stages, time_limit, max_concurrent, max_per_second, max_waiting } = self;
        if !is_id(id) {
            return Err(self.wrong(NO_ID));
        }
        for (name, ranged) in [
            ("time_limit", in_range(*time_limit, millis(10), seconds(3_600))),
            ("max_concurrent", in_range(*max_concurrent, 1, 1_000)),
            ("max_per_second", in_range(*max_per_second, 1, 1_000_000)),
            ("max_waiting", in_range(*max_waiting, 1, 1 << 20)),
        ] {
            ranged.map_err(|message| self.wrong(format!("{name} {message}")))?;
        }
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
        problem.map_or(Ok(()), |problem| Err(self.wrong(format!("stages {problem}"))))
    }

    fn wrong(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::item(CHAINS, &self.id, message)
    }

    fn hashes(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, Stage::Enrichment | Stage::BinaryHash))
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
