//! From a definition to something that can be run: every check, and the order.

use std::collections::{BTreeSet, HashMap};

use super::workflow::{AnalysisWorkflowDefinition, StageDefinition};

/// Longest id of a stage, in bytes.
const MAX_ID: usize = 128;
/// Longest name of a workflow, in bytes.
const MAX_NAME: usize = 256;
/// Most entries of a subject's metadata.
const MAX_METADATA: usize = 100;
/// Most bytes of a subject's metadata, keys and values.
const MAX_METADATA_BYTES: usize = 64 << 10;

/// What is wrong with a workflow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// There is nothing to do.
    #[error("the workflow has no stages; add one with with_stage")]
    Empty,
    /// It has more stages than allowed.
    #[error("the workflow has {count} stages; max_stages allows {limit}")]
    TooManyStages {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An id is empty, too long, or has control characters in it.
    #[error("stage id {id:?} is not a name: it must have 1 to {MAX_ID} bytes without control characters")]
    StageId {
        /// The id.
        id: String,
    },
    /// Two stages have the same id.
    #[error("two stages have the id {id:?}; give one another id with with_stage_after")]
    DuplicateStage {
        /// The id.
        id: String,
    },
    /// A stage waits for one that is not there.
    #[error("stage {stage:?} waits for {dependency:?}, which is no stage of the workflow")]
    UnknownDependency {
        /// The stage that waits.
        stage: String,
        /// What it waits for.
        dependency: String,
    },
    /// Stages wait for each other.
    #[error("stages wait for each other: {}", path.join(" -> "))]
    Cycle {
        /// Ids in which each waits for the next; the last is the first.
        path: Vec<String>,
    },
    /// A stage or the workflow has no time at all.
    #[error("{what} has a timeout of 0; it must be at least 1 ms")]
    ZeroTimeout {
        /// What: the workflow, or a stage by id.
        what: String,
    },
    /// The workflow's name is too long.
    #[error("the name of the workflow has {length} bytes; {MAX_NAME} are allowed")]
    Name {
        /// Its length in bytes.
        length: usize,
    },
    /// The subject's metadata is too much.
    #[error(
        "the metadata of the subject has {count} entries and {bytes} bytes; {MAX_METADATA} and {MAX_METADATA_BYTES} are allowed"
    )]
    Metadata {
        /// Number of entries.
        count: usize,
        /// Bytes of keys and values.
        bytes: usize,
    },
}

/// A workflow that has been checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of definition.
    pub(super) stages: Vec<PlannedStage>,
}

#[derive(Debug)]
pub(super) struct PlannedStage {
    pub(super) definition: StageDefinition,
    /// Indices of the stages it waits for.
    pub(super) after: Vec<usize>,
    /// Indices of all that come before it, each after what it waits for itself.
    pub(super) ancestors: Vec<usize>,
}

impl Plan {
    pub(super) fn of(
        workflow: &AnalysisWorkflowDefinition,
        max_stages: usize,
    ) -> Result<Self, WorkflowError> {
        let AnalysisWorkflowDefinition { name, subject, priority: _, timeout, stages } = workflow;
        check_size(workflow, max_stages)?;
        if let Some(length) = name.as_ref().map(String::len).filter(|length| *length > MAX_NAME) {
            return Err(WorkflowError::Name { length });
        }
        let (count, bytes) = subject.metadata_size();
        if count > MAX_METADATA || bytes > MAX_METADATA_BYTES {
            return Err(WorkflowError::Metadata { count, bytes });
        }
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(WorkflowError::ZeroTimeout { what: "the workflow".to_owned() });
        }
        let places = places(stages)?;
        let edges = edges(stages, &places)?;
        let order = order(&edges).map_err(|cycle| WorkflowError::Cycle {
            path: cycle.iter().filter_map(|at| stages.get(*at)).map(|stage| stage.id.clone()).collect(),
        })?;
        let ancestors = ancestors(&edges, &order);
        let stages = stages.iter().cloned().zip(edges).zip(ancestors);
        Ok(Self {
            stages: stages
                .map(|((definition, after), ancestors)| PlannedStage { definition, after, ancestors })
                .collect(),
        })
    }
}

const fn check_size(workflow: &AnalysisWorkflowDefinition, limit: usize) -> Result<(), WorkflowError> {
    let count = workflow.stage_count();
    if count == 0 {
        return Err(WorkflowError::Empty);
    }
    if count > limit {
        return Err(WorkflowError::TooManyStages { count, limit });
    }
    Ok(())
}

/// The index of each id.
fn places(stages: &[StageDefinition]) -> Result<HashMap<&str, usize>, WorkflowError> {
    let mut places = HashMap::with_capacity(stages.len());
    for (at, StageDefinition { id, timeout, .. }) in stages.iter().enumerate() {
        if !(1..=MAX_ID).contains(&id.len()) || id.chars().any(char::is_control) {
            return Err(WorkflowError::StageId { id: id.chars().take(MAX_ID).collect() });
        }
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(WorkflowError::ZeroTimeout { what: format!("stage {id:?}") });
        }
        if places.insert(id.as_str(), at).is_some() {
            return Err(WorkflowError::DuplicateStage { id: id.clone() });
        }
    }
    Ok(places)
}

/// For each stage the indices of those it waits for, each once.
fn edges(
    stages: &[StageDefinition],
    places: &HashMap<&str, usize>,
) -> Result<Vec<Vec<usize>>, WorkflowError> {
    let place = |stage: &StageDefinition, dependency: &String| {
        places.get(dependency.as_str()).copied().ok_or_else(|| WorkflowError::UnknownDependency {
            stage: stage.id.clone(),
            dependency: dependency.clone(),
        })
    };
    let of = |stage: &StageDefinition| -> Result<Vec<usize>, WorkflowError> {
        let known: BTreeSet<_> = stage.after.iter().map(|id| place(stage, id)).collect::<Result<_, _>>()?;
        Ok(known.into_iter().collect())
    };
    stages.iter().map(of).collect()
}

/// An order in which each stage comes after those it waits for, or a cycle, closed.
fn order(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut placed = vec![false; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    let is_placed = |placed: &[bool], at: &usize| placed.get(*at).copied().unwrap_or(true);
    loop {
        let before = order.len();
        for (at, after) in edges.iter().enumerate() {
            if !is_placed(&placed, &at) && after.iter().all(|at| is_placed(&placed, at)) {
                order.push(at);
                if let Some(placed) = placed.get_mut(at) {
                    *placed = true;
                }
            }
        }
        if order.len() == edges.len() {
            return Ok(order);
        }
        if order.len() == before {
            break;
        }
    }
    // Each stage that is left waits for another one that is left, so following them comes round.
    let mut path: Vec<usize> = Vec::new();
    let mut next = placed.iter().position(|placed| !placed);
    while let Some(at) = next {
        if let Some(start) = path.iter().position(|passed| *passed == at) {
            path.drain(..start);
            path.push(at);
            break;
        }
        path.push(at);
        next = edges.get(at).and_then(|after| after.iter().copied().find(|at| !is_placed(&placed, at)));
    }
    Err(path)
}

/// For each stage all stages before it, in an order that keeps dependencies.
fn ancestors(edges: &[Vec<usize>], order: &[usize]) -> Vec<Vec<usize>> {
    let mut sets: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); edges.len()];
    for at in order {
        let mut set = BTreeSet::new();
        for before in edges.get(*at).into_iter().flatten() {
            set.insert(*before);
            set.extend(sets.get(*before).into_iter().flatten());
        }
        if let Some(place) = sets.get_mut(*at) {
            *place = set;
        }
    }
    sets.iter().map(|set| order.iter().copied().filter(|at| set.contains(at)).collect()).collect()
}
