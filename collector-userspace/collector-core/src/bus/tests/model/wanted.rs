//! Random filters, for the bus and for the model.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::history::{CONTAINERS, METADATA, NAMES, PATHS, Published, TAGS, at};
use crate::bus::tests::topics::selected_by;
use crate::event::KINDS;
use crate::{CorrelationFilter, EventFilter, ExecId};

/// The conditions of a filter.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    types: Vec<&'static str>,
    unwanted: Vec<&'static str>,
    topics: Vec<&'static str>,
    pids: Vec<u32>,
    names: Vec<&'static str>,
    executables: Vec<&'static [u8]>,
    paths: Vec<&'static [u8]>,
    uids: Vec<u32>,
    containers: Vec<&'static str>,
    metadata: Vec<(&'static str, u8)>,
    by_pid: Option<u32>,
    by_exec_id: Option<Index>,
    by_subtree: Option<Index>,
    correlation_id: Option<&'static str>,
    tags: Vec<(&'static str, &'static str)>,
    ids: Option<(u64, u64)>,
    seconds: Option<(u64, u64)>,
}

/// Nothing most of the time, so that filters with several conditions still select something.
fn few<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![4 => Just(Vec::new()), 1 => prop::sample::subsequence(values, 1..=2)]
}

fn rarely<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.15, value)
}

pub(super) fn wanted() -> impl Strategy<Value = Wanted> {
    let types = vec!["process", "process.exec", "network", "file", "file.create", "loss", "performance"];
    let topics = vec![
        "#",
        "events/+",
        "events/process/+",
        "+/file/#",
        "events/network/connect",
        "control/#",
        "+/+/create",
    ];
    let unwanted = vec!["process.exit", "network", "file.create", "loss"];
    let kinds = (few(types), few(unwanted), few(topics), few((1..6).collect()));
    let actor = (
        few(NAMES.to_vec()),
        few(PATHS.to_vec()),
        few(PATHS.to_vec()),
        few(vec![0, 1]),
        few(CONTAINERS.to_vec()),
        few(METADATA.to_vec()),
    );
    let process = (rarely(1..6_u32), rarely(any::<Index>()), prop::option::weighted(0.4, any::<Index>()));
    let given = (rarely(select(vec!["x", "y"])), few(TAGS.to_vec()));
    let ranges = (rarely((0..60_u64, 1..40_u64)), rarely((0..20_u64, 1..20_u64)));
    (kinds, actor, process, given, ranges).prop_map(|(kinds, actor, process, given, ranges)| {
        let (types, unwanted, topics, pids) = kinds;
        let (names, executables, paths, uids, containers, metadata) = actor;
        let (by_pid, by_exec_id, by_subtree) = process;
        let (correlation_id, tags) = given;
        let (ids, seconds) = ranges;
        Wanted {
            types,
            unwanted,
            topics,
            pids,
            names,
            executables,
            paths,
            uids,
            containers,
            metadata,
            by_pid,
            by_exec_id,
            by_subtree,
            correlation_id,
            tags,
            ids: ids.map(|(start, length)| (start, start + length)),
            seconds: seconds.map(|(start, length)| (start, start + length)),
        }
    })
}

impl Wanted {
    pub(super) fn filter(&self, images: &[ExecId]) -> EventFilter {
        let mut filter = EventFilter::new().with_pids(self.pids.clone());
        filter = self.types.iter().fold(filter, |filter, name| filter.with_event_type(*name));
        filter = self.unwanted.iter().fold(filter, |filter, name| filter.without_event_type(*name));
        filter = self.topics.iter().fold(filter, |filter, topic| filter.with_topic(*topic));
        filter = self.names.iter().fold(filter, |filter, name| filter.with_process_name(*name));
        filter = self.executables.iter().fold(filter, |filter, path| filter.with_executable_prefix(*path));
        filter = self.paths.iter().fold(filter, |filter, path| filter.with_path_prefix(*path));
        filter = self.uids.iter().fold(filter, |filter, uid| filter.with_uid(*uid));
        filter = self.containers.iter().fold(filter, |filter, id| filter.with_container_id(*id));
        filter = self.metadata.iter().fold(filter, |filter, (key, value)| filter.with_metadata(*key, *value));
        let mut correlation = CorrelationFilter::default();
        if let Some(pid) = self.by_pid {
            correlation = correlation.with_pid(pid);
        }
        if let Some(index) = self.by_exec_id {
            correlation = correlation.with_exec_id(*index.get(images));
        }
        if let Some(index) = self.by_subtree {
            correlation = correlation.with_subtree(*index.get(images));
        }
        if let Some(id) = self.correlation_id {
            correlation = correlation.with_correlation_id(id);
        }
        for (key, value) in &self.tags {
            correlation = correlation.with_tag(*key, *value);
        }
        if let Some((start, end)) = self.ids {
            correlation = correlation.with_sequence(start..end);
        }
        if let Some((start, end)) = self.seconds {
            correlation = correlation.with_time_window(at(start)..at(end));
        }
        filter.with_correlation_filter(correlation)
    }

    /// Whether the filter selects an event, the plain way.
    pub(super) fn selects(&self, images: &[ExecId], id: u64, published: &Published) -> bool {
        let Published { event, facts, exec_id, within } = published;
        let (kind, domain) = *KINDS.iter().find(|(kind, _)| *kind == event.kind()).unwrap();
        let has_actor = matches!(domain, "process" | "network" | "filesystem");
        let pid = exec_id.map(|exec_id| exec_id.pid);
        let prefix = |prefixes: &[&[u8]], path: Option<&[u8]>| {
            path.is_some_and(|path| prefixes.iter().any(|prefix| path.starts_with(prefix)))
        };
        // `BTreeMap` in the tags, an object in the metadata: the last of a key counts.
        let tag = |key| facts.tags.iter().rev().find(|(other, _)| *other == key).map(|(_, value)| *value);
        let member =
            |key| facts.metadata.iter().rev().find(|(other, _)| *other == key).map(|(_, value)| *value);
        let is_called =
            |name: &&str| kind == *name || domain == *name || (*name == "file" && domain == "filesystem");
        let conditions = [
            self.types.is_empty() || self.types.iter().any(is_called),
            !self.unwanted.iter().any(is_called),
            self.topics.is_empty()
                || self.topics.iter().any(|pattern| selected_by(pattern).contains(&event.topic())),
            self.pids.is_empty() || pid.is_some_and(|pid| self.pids.contains(&pid)),
            self.names.is_empty() || (has_actor && self.names.contains(&facts.name)),
            self.executables.is_empty() || (has_actor && prefix(&self.executables, facts.executable)),
            self.paths.is_empty()
                || (domain == "filesystem"
                    && (prefix(&self.paths, Some(facts.path)) || prefix(&self.paths, facts.old_path))),
            self.uids.is_empty() || (has_actor && facts.uid.is_some_and(|uid| self.uids.contains(&uid))),
            self.containers.is_empty()
                || (has_actor && facts.container.is_some_and(|id| self.containers.contains(&id))),
            self.metadata.iter().all(|(key, _)| {
                let values = self.metadata.iter().filter(|(other, _)| other == key).map(|(_, value)| *value);
                domain == "process" && values.into_iter().any(|value| member(*key) == Some(value))
            }),
            self.by_pid.is_none_or(|wanted| pid == Some(wanted)),
            self.by_exec_id.is_none_or(|index| *exec_id == Some(*index.get(images))),
            self.by_subtree.is_none_or(|index| within.contains(index.get(images))),
            self.correlation_id.is_none_or(|id| facts.correlation_id == Some(id)),
            self.tags.iter().all(|(key, value)| tag(*key) == Some(*value)),
            self.ids.is_none_or(|(start, end)| (start..end).contains(&id)),
            self.seconds.is_none_or(|(start, end)| (start..end).contains(&facts.seconds)),
        ];
        conditions.into_iter().all(|holds| holds)
    }
}
