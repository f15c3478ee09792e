//! A filter made ready for evaluation. Nothing here allocates.

use serde_json::Value;

use super::actor::Actor;
use super::{CorrelationFilter, EventFilter};
use crate::bus::ancestry::SubtreeBit;
use crate::bus::{BusEvent, EventBusError};
use crate::event::{CollectionEvent, ExecId, KindSet, Text};

/// A filter made ready for evaluation.
#[derive(Debug)]
pub(in crate::bus) struct Matcher {
    kinds: KindSet,
    /// Absent if the kinds decide: most filters are like that.
    conditions: Option<Box<Conditions>>,
}

/// An empty list is no condition.
#[derive(Debug)]
struct Conditions {
    /// Sorted.
    pids: Vec<u32>,
    names: Vec<Text>,
    executables: Vec<Text>,
    paths: Vec<Text>,
    uids: Vec<u32>,
    containers: Vec<String>,
    metadata: Vec<(String, Vec<Value>)>,
    correlation: Option<CorrelationFilter>,
    /// What the bus gave to the correlation filter's subtree.
    subtree: Option<SubtreeBit>,
}

impl EventFilter {
    /// Checks the filter and makes it ready, but for the subtree's bit.
    pub(in crate::bus) fn compile(self) -> Result<Matcher, EventBusError> {
        let kinds = self.kinds()?;
        let Self {
            event_types: _,
            unwanted_types: _,
            topics: _,
            mut pids,
            names,
            executables,
            paths,
            uids,
            containers,
            metadata,
            correlation,
        } = self;
        let correlation = correlation.filter(|filter| !filter.is_empty());
        if let Some(filter) = &correlation {
            filter.check()?;
        }
        pids.sort_unstable();
        pids.dedup();
        let metadata = by_key(metadata);
        let conditions = Conditions {
            pids,
            names,
            executables,
            paths,
            uids,
            containers,
            metadata,
            correlation,
            subtree: None,
        };
        let conditions = (!conditions.is_empty()).then(|| Box::new(conditions));
        Ok(Matcher { kinds, conditions })
    }
}

/// Gathers the values wanted of the same key.
fn by_key(pairs: Vec<(String, Value)>) -> Vec<(String, Vec<Value>)> {
    let mut keys: Vec<(String, Vec<Value>)> = Vec::new();
    for (key, value) in pairs {
        match keys.iter_mut().find(|(other, _)| *other == key) {
            Some((_, values)) => values.push(value),
            None => keys.push((key, vec![value])),
        }
    }
    keys
}

impl Matcher {
    // Inlined into the loop over a batch: most answers are the test of one bit.
    #[inline]
    pub(in crate::bus) fn matches(&self, event: &BusEvent) -> bool {
        self.kinds.contains(event.kind)
            && self.conditions.as_ref().is_none_or(|conditions| conditions.hold(event))
    }

    /// The image whose subtree is selected.
    pub(in crate::bus) fn subtree(&self) -> Option<ExecId> {
        self.conditions.as_ref()?.correlation.as_ref()?.subtree()
    }

    pub(in crate::bus) fn set_subtree_bit(&mut self, bit: SubtreeBit) {
        if let Some(conditions) = &mut self.conditions {
            conditions.subtree = Some(bit);
        }
    }
}

impl Conditions {
    fn is_empty(&self) -> bool {
        self.pids.is_empty()
            && self.metadata.is_empty()
            && self.paths.is_empty()
            && self.correlation.is_none()
            && !self.needs_actor()
    }

    const fn needs_actor(&self) -> bool {
        !(self.names.is_empty()
            && self.executables.is_empty()
            && self.uids.is_empty()
            && self.containers.is_empty())
    }

    /// Whether all conditions hold, the cheap ones asked first.
    fn hold(&self, event: &BusEvent) -> bool {
        let Self { pids, paths, metadata, correlation, subtree, .. } = self;
        (pids.is_empty() || event.correlation.pid.is_some_and(|pid| pids.binary_search(&pid).is_ok()))
            && subtree.is_none_or(|bit| event.subtrees.contains(bit))
            && correlation.as_ref().is_none_or(|filter| filter.matches(event))
            && (!self.needs_actor() || Actor::of(&event.event).is_some_and(|actor| self.hold_for(actor)))
            && (paths.is_empty() || path_begins(&event.event, paths))
            && (metadata.is_empty() || metadata_has(&event.event, metadata))
    }

    fn hold_for(&self, actor: Actor<'_>) -> bool {
        let Actor { name, executable, uid, container_id } = actor;
        (self.uids.is_empty() || uid.is_some_and(|uid| self.uids.contains(&uid)))
            && (self.names.is_empty() || self.names.iter().any(|wanted| wanted.as_bytes() == name))
            && (self.executables.is_empty()
                || executable.is_some_and(|path| begins_with_any(path, &self.executables)))
            && (self.containers.is_empty()
                || container_id.is_some_and(|id| self.containers.iter().any(|wanted| wanted == id)))
    }
}

fn begins_with_any(bytes: &[u8], prefixes: &[Text]) -> bool {
    prefixes.iter().any(|prefix| bytes.starts_with(prefix.as_bytes()))
}

fn path_begins(event: &CollectionEvent, prefixes: &[Text]) -> bool {
    let CollectionEvent::Filesystem(event) = event else { return false };
    let old = event.old_path.as_ref();
    begins_with_any(event.path.as_bytes(), prefixes)
        || old.is_some_and(|path| begins_with_any(path.as_bytes(), prefixes))
}

fn metadata_has(event: &CollectionEvent, wanted: &[(String, Vec<Value>)]) -> bool {
    let CollectionEvent::Process(event) = event else { return false };
    let Some(Value::Object(members)) = &event.platform_metadata else { return false };
    wanted.iter().all(|(key, values)| members.get(key).is_some_and(|value| values.contains(value)))
}
