//! Random histories of processes, and who really descends from whom.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::event::{FilesystemEvent, LossEvent, NetworkEvent, ProcessEventKind, ProcessRef, Text};
use crate::{CollectionEvent, CorrelationTags, ExecId, ProcessEvent};

/// What happens next in a history.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Fork,
    Exec,
    Exit,
    Snapshot,
    /// A file event, also of an image that has been replaced since.
    File(Index),
    Connect,
    Loss,
}

/// What else an event says; each from few values, so that filters meet it often.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) executable: Option<&'static [u8]>,
    pub(super) path: &'static [u8],
    pub(super) old_path: Option<&'static [u8]>,
    pub(super) uid: Option<u32>,
    pub(super) container: Option<&'static str>,
    pub(super) metadata: Vec<(&'static str, u8)>,
    pub(super) seconds: u64,
    pub(super) correlation_id: Option<&'static str>,
    pub(super) tags: Vec<(&'static str, &'static str)>,
    names_ancestors: bool,
}

pub(super) const NAMES: [&str; 2] = ["sh", "shred"];
pub(super) const PATHS: [&[u8]; 3] = [b"/bin/a", b"/bin/\xff", b"/etc/"];
pub(super) const CONTAINERS: [&str; 2] = ["c", "c2"];
pub(super) const METADATA: [(&str, u8); 3] = [("k", 1), ("k", 2), ("l", 1)];
pub(super) const TAGS: [(&str, &str); 3] = [("k", "1"), ("k", "2"), ("l", "1")];

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn steps() -> impl Strategy<Value = Vec<(Step, Index, Facts)>> {
    let step = prop_oneof![
        4 => Just(Step::Fork),
        3 => Just(Step::Exec),
        1 => Just(Step::Exit),
        1 => Just(Step::Snapshot),
        4 => any::<Index>().prop_map(Step::File),
        3 => Just(Step::Connect),
        1 => Just(Step::Loss),
    ];
    let said = (
        select(&NAMES[..]),
        prop::option::of(select(&PATHS[..])),
        select(&PATHS[..]),
        prop::option::of(select(&PATHS[..])),
        prop::option::of(0..2_u32),
        prop::option::of(select(&CONTAINERS[..])),
    );
    let more = (
        prop::sample::subsequence(METADATA.to_vec(), 0..=2),
        0..20_u64,
        prop::option::of(select(vec!["x", "y"])),
        prop::sample::subsequence(TAGS.to_vec(), 0..=2),
        any::<bool>(),
    );
    let facts = (said, more).prop_map(|(said, more)| {
        let (name, executable, path, old_path, uid, container) = said;
        let (metadata, seconds, correlation_id, tags, names_ancestors) = more;
        Facts {
            name,
            executable,
            path,
            old_path,
            uid,
            container,
            metadata,
            seconds,
            correlation_id,
            tags,
            names_ancestors,
        }
    });
    prop::collection::vec((step, any::<Index>(), facts), 1..60)
}

/// A process of a history. The first has no parent.
struct Process {
    pid: u32,
    images: Vec<u32>,
    parent: Option<(usize, ExecId)>,
}

impl Process {
    fn image(&self, place: usize) -> ExecId {
        ExecId { boot: 1, pid: self.pid, start_ticks: 7, image: self.images[place] }
    }

    fn now(&self) -> ExecId {
        self.image(self.images.len() - 1)
    }
}

/// An event with what the model knows of it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) event: CollectionEvent,
    pub(super) facts: Facts,
    /// Process and image, unless it is a loss.
    pub(super) exec_id: Option<ExecId>,
    /// Every image whose subtree it is in.
    pub(super) within: Vec<ExecId>,
}

pub(super) struct History {
    processes: Vec<Process>,
    next_image: u32,
}

impl History {
    pub(super) fn new() -> Self {
        Self { processes: vec![Process { pid: 1, images: vec![0], parent: None }], next_image: 1 }
    }

    pub(super) fn images(&self) -> Vec<ExecId> {
        let all = self.processes.iter();
        all.flat_map(|process| (0..process.images.len()).map(|place| process.image(place))).collect()
    }

    /// The images whose subtrees contain an image: it and those before it, and the same of whoever created its process.
    fn within(&self, index: usize, exec_id: ExecId) -> Vec<ExecId> {
        let process = &self.processes[index];
        let place = process.images.iter().position(|image| *image == exec_id.image).unwrap();
        let mut within: Vec<_> = (0..=place).map(|place| process.image(place)).collect();
        if let Some((parent, creator)) = process.parent {
            within.extend(self.within(parent, creator));
        }
        within
    }

    fn ancestors(&self, index: usize, facts: &Facts) -> Vec<Arc<ProcessRef>> {
        let mut ancestors = Vec::new();
        let mut next = self.processes[index].parent;
        while let Some((index, exec_id)) = next {
            ancestors.push(reference(exec_id, facts));
            next = self.processes[index].parent;
        }
        ancestors
    }

    pub(super) fn step(&mut self, step: &Step, index: Index, facts: Facts) -> Published {
        let mut index = index.index(self.processes.len());
        let kind = match step {
            Step::Fork => {
                let parent = &self.processes[index];
                let (pid, image) = (self.processes.len() as u32 + 1, parent.now().image);
                self.processes.push(Process {
                    pid,
                    images: vec![image],
                    parent: Some((index, parent.now())),
                });
                index = self.processes.len() - 1;
                ProcessEventKind::Fork
            }
            Step::Exec => {
                // More images than the index keeps would blur their order, which is documented.
                if self.processes[index].images.len() < 8 {
                    self.processes[index].images.push(self.next_image);
                    self.next_image += 1;
                }
                ProcessEventKind::Exec
            }
            Step::Exit => ProcessEventKind::Exit,
            Step::Snapshot | Step::File(_) | Step::Connect | Step::Loss => ProcessEventKind::Snapshot,
        };
        let process = &self.processes[index];
        let exec_id = match step {
            Step::File(image) => process.image(image.index(process.images.len())),
            _ => process.now(),
        };
        let timestamp = at(facts.seconds);
        let event = match step {
            Step::Loss => CollectionEvent::Loss(LossEvent {
                timestamp,
                meta: crate::EventMeta::default(),
                domain: "file",
                kind: None,
                reason: "ring_full",
                count: 1,
                cpu: None,
                first_seq: None,
                last_seq: None,
            }),
            Step::File(_) => CollectionEvent::Filesystem(FilesystemEvent {
                pid: Some(exec_id.pid),
                path: facts.path.into(),
                old_path: facts.old_path.map(Text::from),
                process: Some(reference(exec_id, &facts)),
                timestamp,
                ..FilesystemEvent::default()
            }),
            Step::Connect => CollectionEvent::Network(NetworkEvent {
                pid: Some(exec_id.pid),
                process: Some(reference(exec_id, &facts)),
                timestamp,
                ..NetworkEvent::default()
            }),
            Step::Fork | Step::Exec | Step::Exit | Step::Snapshot => {
                let members = facts.metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).into()));
                let ancestors =
                    if facts.names_ancestors { self.ancestors(index, &facts) } else { Vec::new() };
                CollectionEvent::Process(ProcessEvent {
                    pid: exec_id.pid,
                    kind,
                    exec_id: Some(exec_id),
                    parent_exec_id: process.parent.map(|(_, creator)| creator),
                    name: facts.name.to_owned(),
                    executable_path: facts.executable.map(Text::from),
                    uid: facts.uid,
                    container_id: facts.container.map(Arc::from),
                    platform_metadata: Some(serde_json::Value::Object(members.collect())),
                    ancestors: ancestors.into(),
                    timestamp,
                    ..ProcessEvent::default()
                })
            }
        };
        let exec_id = (!matches!(step, Step::Loss)).then_some(exec_id);
        let within = exec_id.map(|exec_id| self.within(index, exec_id)).unwrap_or_default();
        Published { event, facts, exec_id, within }
    }
}

fn reference(exec_id: ExecId, facts: &Facts) -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: exec_id.pid,
        exec_id: Some(exec_id),
        name: facts.name.into(),
        executable: facts.executable.map(Text::from),
        uid: facts.uid,
        container_id: facts.container.map(Arc::from),
    })
}

pub(super) fn tags(facts: &Facts) -> CorrelationTags {
    let mut tags = CorrelationTags::new();
    if let Some(id) = facts.correlation_id {
        tags = tags.with_correlation_id(id);
    }
    for (key, value) in &facts.tags {
        tags = tags.with_tag(*key, *value);
    }
    tags
}
