//! All conditions of a manager, looked for at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::condition::{ConditionType, TriggerCondition, fits};
use super::config::SuspiciousPairs;
use super::direct::{Custom, Direct, Hashes};
use super::error::TriggerError;
use crate::condition::{Condition, ConditionSet, Expr, Field, Predicate, Scratch};
use crate::event::CollectionEvent;

/// A registered condition.
struct Entry {
    condition: Arc<TriggerCondition>,
    met: AtomicU64,
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
    /// The others, with their places.
    direct: Vec<(u64, Direct)>,
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
        let kinds = match compiled {
            Ok(compiled) => {
                let compiled = compiled.map_err(refused)?;
                let kinds = compiled.kinds().collect();
                self.set.insert(place, compiled);
                kinds
            }
            Err(direct) => {
                let kinds = direct.kinds().collect();
                self.direct.push((place, direct));
                kinds
            }
        };
        self.next += 1;
        self.places.insert(condition.id.clone(), place);
        self.entries.insert(place, Entry { condition: Arc::new(condition), met: AtomicU64::new(0), kinds });
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(place) = self.places.remove(id) else { return false };
        self.set.remove(&place);
        self.direct.retain(|(other, _)| *other != place);
        self.entries.remove(&place);
        true
    }

    /// Calls `found` with each condition that the event meets.
    pub(super) fn each_met(&self, event: &CollectionEvent, mut found: impl FnMut(&Arc<TriggerCondition>)) {
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
        for (place, direct) in &self.direct {
            if direct.holds(event) {
                met(place);
            }
        }
    }

    /// The kinds of events that can meet any.
    pub(super) fn kinds(&self) -> BTreeSet<&'static str> {
        self.entries.values().flat_map(|entry| entry.kinds.iter().copied()).collect()
    }

    /// The kinds of events that can meet this one.
    pub(super) fn kinds_of(&self, id: &str) -> Option<BTreeSet<&'static str>> {
        let entry = self.entries.get(self.places.get(id)?)?;
        Some(entry.kinds.iter().copied().collect())
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
