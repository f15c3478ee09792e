//! Conditions of triggers: what they look for, and looking for all of them at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::SuspiciousPairs;
use super::error::TriggerError;
use crate::condition::{Case, Condition, ConditionSet, Expr, Field, Predicate, Scratch};
use crate::event::{AnalysisType, CollectionEvent, KINDS, PerformanceEvent, ProcessEvent, TriggerPriority};

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
    /// A program from one list starts one from another, see [`SuspiciousPairs`].
    SuspiciousParentChild,
    /// A process takes more than this: a process event says so, or a performance sample of a process does, by a `cpu_usage` in
    /// `percent` or a `memory_usage` in `bytes`.
    ResourceAnomaly {
        /// Percent of one processor.
        cpu_threshold: f64,
        /// Bytes of resident memory.
        memory_threshold: u64,
    },
    /// An SQL condition over the fields of events, see [`Condition::from_sql`].
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

/// A predicate of somebody else.
#[derive(Clone)]
pub(super) struct Custom {
    predicate: Arc<dyn Fn(&CollectionEvent) -> bool + Send + Sync>,
    /// It has panicked, and is asked no more.
    broken: Arc<AtomicBool>,
}

impl Custom {
    pub(super) fn new(predicate: impl Fn(&CollectionEvent) -> bool + Send + Sync + 'static) -> Self {
        Self { predicate: Arc::new(predicate), broken: Arc::default() }
    }

    fn holds(&self, event: &CollectionEvent) -> bool {
        if self.broken.load(Ordering::Relaxed) {
            return false;
        }
        // What it left half done is its own business: it is not called again.
        catch_unwind(AssertUnwindSafe(|| (self.predicate)(event))).unwrap_or_else(|_| {
            self.broken.store(true, Ordering::Relaxed);
            tracing::error!("a predicate of a trigger condition panicked and is called no more");
            false
        })
    }
}

/// How a condition is looked for that is not an expression over fields.
enum Direct {
    Mismatch(Hashes),
    Anomaly { cpu_threshold: f64, memory_threshold: u64 },
    Custom(Custom),
}

impl Direct {
    /// The kinds of events it can hold for.
    fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let domains: Option<&[&str]> = match self {
            Self::Custom(_) => None,
            Self::Mismatch(_) => Some(&["process"]),
            Self::Anomaly { .. } => Some(&["process", "performance"]),
        };
        let kinds =
            KINDS.iter().filter(move |(_, domain)| domains.is_none_or(|domains| domains.contains(domain)));
        kinds.map(|(kind, _)| *kind)
    }

    fn holds(&self, event: &CollectionEvent) -> bool {
        match (self, event) {
            (Self::Custom(custom), event) => custom.holds(event),
            (Self::Mismatch(hashes), CollectionEvent::Process(process)) => hashes.differ(process),
            (Self::Anomaly { cpu_threshold, memory_threshold }, CollectionEvent::Process(process)) => {
                process.cpu_usage.is_some_and(|usage| usage > *cpu_threshold)
                    || process.memory_usage.is_some_and(|usage| usage > *memory_threshold)
            }
            (Self::Anomaly { cpu_threshold, memory_threshold }, CollectionEvent::Performance(sample)) => {
                is_anomaly(sample, *cpu_threshold, *memory_threshold)
            }
            (Self::Mismatch(_) | Self::Anomaly { .. }, _) => false,
        }
    }
}

/// Whether a sample of a process is above the limit for what it measures. What the whole system takes has other limits.
fn is_anomaly(sample: &PerformanceEvent, cpu_threshold: f64, memory_threshold: u64) -> bool {
    let PerformanceEvent { metric_name, value, unit, pid, .. } = sample;
    pid.is_some()
        && match (metric_name.as_str(), unit.as_str()) {
            ("cpu_usage", "percent") => *value > cpu_threshold,
            ("memory_usage", "bytes") => *value > memory_threshold as f64,
            _ => false,
        }
}

/// The hash last seen of each executable.
#[derive(Default)]
struct Hashes(Mutex<Known>);

/// Hashes by path, and the paths in the order in which they came.
#[derive(Default)]
struct Known {
    hashes: HashMap<Vec<u8>, String>,
    order: VecDeque<Vec<u8>>,
}

impl Hashes {
    /// Most that are remembered; the oldest go first.
    const MOST: usize = 4_096;

    /// Whether the executable's hash differs from what was known; from here on the new one is known.
    fn differ(&self, process: &ProcessEvent) -> bool {
        let says_so = |metadata: &serde_json::Value| {
            let nested = metadata.pointer("/integrity/on_disk_mismatch");
            nested.or_else(|| metadata.get("integrity.on_disk_mismatch"))
                == Some(&serde_json::Value::Bool(true))
        };
        if process.platform_metadata.as_ref().is_some_and(says_so) {
            return true;
        }
        let (Some(path), Some(hash)) = (&process.executable_path, &process.executable_hash) else {
            return false;
        };
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { hashes, order } = &mut *guard;
        if let Some(before) = hashes.get_mut(path.as_bytes()) {
            return before != hash && {
                before.clone_from(hash);
                true
            };
        }
        if hashes.len() >= Self::MOST
            && let Some(oldest) = order.pop_front()
        {
            hashes.remove(&oldest);
        }
        hashes.insert(path.as_bytes().to_owned(), hash.clone());
        order.push_back(path.as_bytes().to_owned());
        false
    }
}

/// A registered condition.
struct Entry {
    condition: TriggerCondition,
    met: AtomicU64,
    direct: Option<Direct>,
    /// Kinds of events that can meet it.
    kinds: Vec<&'static str>,
}

/// All conditions of a manager, ready to be looked for.
pub(super) struct Conditions {
    entries: BTreeMap<u64, Entry>,
    places: HashMap<String, u64>,
    next: u64,
    /// Those that are expressions over fields, by their place.
    set: ConditionSet<u64>,
    /// Places of the others.
    direct: Vec<u64>,
    predicates: HashMap<String, Custom>,
    suspicious: Expr,
}

impl Conditions {
    pub(super) fn new(suspicious: &SuspiciousPairs) -> Self {
        let SuspiciousPairs { parents, children } = suspicious;
        let any =
            |field, names: &[String]| Expr::test(field, Predicate::is_in(names.iter().map(String::as_str)));
        // The exec: before it, a child has its parent's name.
        let exec = Expr::test(Field::Kind, Predicate::equals("process.exec"));
        let suspicious = exec.and(any(Field::Name, children)).and(any(Field::ParentName, parents));
        Self {
            entries: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
            set: ConditionSet::new(),
            direct: Vec::new(),
            predicates: HashMap::new(),
            suspicious,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    pub(super) fn register_predicate(&mut self, name: String, custom: Custom) {
        self.predicates.insert(name, custom);
    }

    /// Adds a condition that is not there yet. Nothing has changed when it is refused.
    pub(super) fn insert(&mut self, condition: TriggerCondition) -> Result<(), TriggerError> {
        let refused = |reason: String| TriggerError::Condition { id: condition.id.clone(), reason };
        let expr = |expr: Expr| Condition::new(expr).map_err(|error| error.to_string());
        let compiled = match &condition.condition_type {
            ConditionType::ProcessNamePattern(pattern) => Ok(expr(fits(Field::Name, pattern))),
            ConditionType::ExecutablePathPattern(pattern) => Ok(expr(fits(Field::Executable, pattern))),
            ConditionType::MissingExecutable => {
                Ok(expr(Expr::test(Field::FileExists, Predicate::IsTrue).not()))
            }
            ConditionType::SuspiciousParentChild => Ok(expr(self.suspicious.clone())),
            ConditionType::Sql(sql) => Ok(Condition::from_sql(sql).map_err(|error| error.to_string())),
            ConditionType::HashMismatch => Err(Direct::Mismatch(Hashes::default())),
            ConditionType::ResourceAnomaly { cpu_threshold, memory_threshold } => {
                if !cpu_threshold.is_finite() || *cpu_threshold < 0.0 {
                    return Err(refused(format!("cpu_threshold {cpu_threshold} is no percentage")));
                }
                Err(Direct::Anomaly { cpu_threshold: *cpu_threshold, memory_threshold: *memory_threshold })
            }
            ConditionType::Custom(name) => match self.predicates.get(name) {
                Some(custom) => Err(Direct::Custom(custom.clone())),
                None => return Err(refused(format!("there is no predicate {name:?}: register it first"))),
            },
        };
        let empty = matches!(
            &condition.condition_type,
            ConditionType::ProcessNamePattern(pattern) | ConditionType::ExecutablePathPattern(pattern)
                if pattern.is_empty()
        );
        if empty {
            return Err(refused("the pattern is empty: it would fit everything".to_owned()));
        }
        let place = self.next;
        let (direct, kinds) = match compiled {
            Ok(compiled) => {
                let compiled = compiled.map_err(refused)?;
                let kinds = compiled.kinds().collect();
                self.set.insert(place, compiled);
                (None, kinds)
            }
            Err(direct) => {
                self.direct.push(place);
                let kinds = direct.kinds().collect();
                (Some(direct), kinds)
            }
        };
        self.next += 1;
        self.places.insert(condition.id.clone(), place);
        self.entries.insert(place, Entry { condition, met: AtomicU64::new(0), direct, kinds });
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(place) = self.places.remove(id) else { return false };
        self.set.remove(&place);
        self.direct.retain(|other| *other != place);
        self.entries.remove(&place);
        true
    }

    /// Calls `found` with each condition that the event meets.
    pub(super) fn each_met(&self, event: &CollectionEvent, mut found: impl FnMut(&TriggerCondition)) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let mut met = |place: &u64| {
            if let Some(entry) = self.entries.get(place) {
                entry.met.fetch_add(1, Ordering::Relaxed);
                found(&entry.condition);
            }
        };
        SCRATCH.with_borrow_mut(|scratch| self.set.for_each_match(event, scratch, &mut met));
        for place in &self.direct {
            let direct = self.entries.get(place).and_then(|entry| entry.direct.as_ref());
            if direct.is_some_and(|direct| direct.holds(event)) {
                met(place);
            }
        }
    }

    /// The kinds of events that can meet any.
    pub(super) fn kinds(&self) -> BTreeSet<&'static str> {
        self.entries.values().flat_map(|entry| entry.kinds.iter().copied()).collect()
    }

    /// How often each was met.
    pub(super) fn matches(&self) -> BTreeMap<String, u64> {
        let count = |entry: &Entry| (entry.condition.id.clone(), entry.met.load(Ordering::Relaxed));
        self.entries.values().map(count).collect()
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").field("count", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Whether a field fits a pattern, see [`ConditionType`].
fn fits(field: Field, pattern: &str) -> Expr {
    if !pattern.contains(['*', '?']) {
        return Expr::test(field, Predicate::contains(pattern, Case::AsciiInsensitive));
    }
    // A bracket is itself here, as in file names it mostly is.
    let pattern: String =
        pattern.chars().flat_map(|ch| if ch == '[' { vec!['[', '[', ']'] } else { vec![ch] }).collect();
    Expr::test(field, Predicate::Glob(pattern))
}
