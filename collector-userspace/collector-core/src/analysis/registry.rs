//! Who runs which stage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::analyzer::Analyzer;
use super::error::{AnalysisChainError, RegisterError};
use super::plan::PlannedStage;
use super::statistics::{AnalyzerCounters, AnalyzerStatistics};
use super::workflow::AnalysisStage;

/// Most analyzers of a coordinator: far more than a program has, and an end for one that registers in a loop.
const MAX_ANALYZERS: usize = 256;
/// Longest name, in bytes.
const MAX_NAME: usize = 128;

/// An analyzer and its counters.
pub(super) struct Registered {
    pub(super) analyzer: Arc<dyn Analyzer>,
    pub(super) name: Arc<str>,
    pub(super) counters: AnalyzerCounters,
}

#[derive(Default)]
pub(super) struct Registry {
    by_name: BTreeMap<Arc<str>, Arc<Registered>>,
    by_stage: HashMap<AnalysisStage, Arc<Registered>>,
}

impl Registry {
    /// With `replace`, stages of the new analyzer that another one ran change hands; one that has no stages left goes.
    pub(super) fn register(
        &mut self,
        analyzer: Arc<dyn Analyzer>,
        replace: bool,
    ) -> Result<(), RegisterError> {
        let name: Arc<str> = analyzer.name().into();
        let stages = analyzer.stages();
        if !(1..=MAX_NAME).contains(&name.len()) {
            return Err(RegisterError::Name { name: name.chars().take(MAX_NAME).collect() });
        }
        if stages.is_empty() {
            return Err(RegisterError::NoStages { name: name.to_string() });
        }
        let taken =
            |stage: &AnalysisStage| self.by_stage.get(stage).map(|by| (stage.clone(), by.name.to_string()));
        if !replace && let Some((stage, by)) = stages.iter().find_map(taken) {
            return Err(RegisterError::StageTaken { stage, by });
        }
        if self.by_name.contains_key(&name) && !(replace && self.goes_with(&name, &stages)) {
            return Err(RegisterError::DuplicateName { name: name.to_string() });
        }
        if self.by_name.len() >= MAX_ANALYZERS {
            return Err(RegisterError::TooMany { limit: MAX_ANALYZERS });
        }
        let registered =
            Arc::new(Registered { analyzer, name: Arc::clone(&name), counters: AnalyzerCounters::default() });
        for stage in stages {
            self.by_stage.insert(stage, Arc::clone(&registered));
        }
        self.by_name.insert(name, registered);
        let Self { by_name, by_stage } = self;
        by_name.retain(|_, known| by_stage.values().any(|used| Arc::ptr_eq(used, known)));
        Ok(())
    }

    /// Whether the analyzer of this name has no stages but these.
    fn goes_with(&self, name: &str, stages: &[AnalysisStage]) -> bool {
        self.by_stage.iter().filter(|(_, by)| &*by.name == name).all(|(stage, _)| stages.contains(stage))
    }

    /// The analyzer of each stage.
    pub(super) fn assign(&self, stages: &[PlannedStage]) -> Result<Vec<Arc<Registered>>, AnalysisChainError> {
        let analyzer = |planned: &PlannedStage| {
            let definition = &planned.definition;
            self.by_stage.get(&definition.stage).cloned().ok_or_else(|| AnalysisChainError::NoAnalyzer {
                stage_id: definition.id.clone(),
                stage: definition.stage.clone(),
            })
        };
        stages.iter().map(analyzer).collect()
    }

    pub(super) fn statistics(&self) -> BTreeMap<String, AnalyzerStatistics> {
        self.by_name.iter().map(|(name, known)| (name.to_string(), known.counters.snapshot())).collect()
    }
}
