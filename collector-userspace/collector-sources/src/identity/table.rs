//! The process table.
//!
//! Keyed by pid and start tick, because that is all `/proc` knows of a start time; two processes would have to use up
//! all pids within one tick (10 ms) to collide. Lineage is who created whom: a process whose parent has ended gets a
//! new `ppid` from the kernel and keeps its ancestors here.

use std::collections::VecDeque;
use std::sync::Arc;

use collector_common::TaskWire;
use collector_core::{ExecId, ProcessRef, Text};
use rustc_hash::FxHashMap;

use super::image::{Image, comm_text, find};
use super::snapshot::SnapshotEntry;
use super::{Boot, Cgroups};
use crate::decode::{ExecRecord, ExitRecord, ForkRecord};

/// Images remembered per process: records of the network and file domains may still show the last ones.
const IMAGES_MAX: usize = 4;

/// Most ancestors kept.
const ANCESTORS_MAX: usize = 16;

/// Bounds of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// Most processes; at the limit the first to have ended goes, then the oldest.
    pub max_processes: usize,
    /// How long an ended process stays, in kernel time: its records may still be in other rings.
    pub grace_ns: u64,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { max_processes: 32_768, grace_ns: 5_000_000_000 }
    }
}

/// An image and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The image.
    pub process: Arc<ProcessRef>,
    /// Parent, grandparent and so on, in the images that created the next.
    pub ancestors: Arc<[Arc<ProcessRef>]>,
}

impl Identity {
    /// The identity of the parent's image.
    #[must_use]
    pub fn parent_exec_id(&self) -> Option<ExecId> {
        self.ancestors.first().and_then(|parent| parent.exec_id)
    }
}

/// Counters of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Processes in it.
    pub processes: u64,
    /// Ended processes dropped before their grace was over, because it was full.
    pub evicted_ended: u64,
    /// Living processes dropped because it was full.
    pub evicted_alive: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    pid: u32,
    start_ticks: u64,
}

#[derive(Debug)]
struct Process {
    /// Oldest first, never empty.
    images: Vec<Image>,
    ancestors: Arc<[Arc<ProcessRef>]>,
    ended: bool,
    /// Tells this entry from an earlier one under the same key.
    serial: u64,
}

/// Processes and their images, bounded.
#[derive(Debug)]
pub struct ProcessTable {
    boot: Boot,
    config: TableConfig,
    processes: FxHashMap<Key, Process>,
    /// Entries in order of insertion; those whose serial is gone are stale.
    order: VecDeque<(Key, u64)>,
    /// Ended entries in order of their end.
    ended: VecDeque<(u64, Key, u64)>,
    cgroups: Cgroups,
    serial: u64,
    evicted_ended: u64,
    evicted_alive: u64,
    no_ancestors: Arc<[Arc<ProcessRef>]>,
}

impl ProcessTable {
    /// An empty table.
    #[must_use]
    pub fn new(boot: Boot, config: TableConfig) -> Self {
        let config = TableConfig { max_processes: config.max_processes.max(1), ..config };
        Self {
            boot,
            cgroups: Cgroups::new(config.max_processes),
            config,
            processes: FxHashMap::default(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            serial: 0,
            evicted_ended: 0,
            evicted_alive: 0,
            no_ancestors: Arc::from([]),
        }
    }

    /// The boot whose processes these are.
    #[must_use]
    pub const fn boot(&self) -> Boot {
        self.boot
    }

    /// Counters.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        TableCounts {
            processes: self.processes.len() as u64,
            evicted_ended: self.evicted_ended,
            evicted_alive: self.evicted_alive,
        }
    }

    /// The process got a new image.
    pub fn on_exec(&mut self, record: &ExecRecord<'_>, executable: Option<Text>) -> Identity {
        let wire = &record.wire;
        let (task, now) = (&wire.task, wire.header.ktime_ns);
        self.expire(now);
        let container_id = self.cgroups.learn_from_kernel(task.cgroup_id, record.cgroup);
        let key = self.key(task.pid, task.start_ns);
        let process = Arc::new(ProcessRef {
            pid: task.pid,
            exec_id: Some(self.boot.exec_id(key.pid, key.start_ticks, task.start_stack)),
            name: comm_text(&task.comm),
            executable,
            uid: Some(task.uid),
            container_id,
        });
        let image = Image::new(task, now, Arc::clone(&process));
        if let Some(known) = self.processes.get_mut(&key).filter(|known| !known.ended) {
            let same = known.images.iter_mut().find(|other| {
                other.counter == image.counter && task.image != 0
                    || other.digest() != 0 && other.exec_id() == image.exec_id()
            });
            match same {
                Some(same) => *same = image,
                None => push_newest(&mut known.images, image),
            }
            return Identity { process, ancestors: Arc::clone(&known.ancestors) };
        }
        // Its fork was not seen: the parent is what the kernel says now.
        let credentials = &wire.credentials;
        let ancestors =
            self.lineage(task.ppid, credentials.parent_start_ns, credentials.parent_image, None, now);
        self.insert(key, image, Arc::clone(&ancestors));
        Identity { process, ancestors }
    }

    /// A process came into being: it runs its parent's image until it execs.
    pub fn on_fork(&mut self, record: &ForkRecord) -> Identity {
        let (task, credentials) = (&record.wire.task, &record.wire.credentials);
        let now = record.wire.header.ktime_ns;
        self.expire(now);
        let ancestors =
            self.lineage(task.ppid, credentials.parent_start_ns, credentials.parent_image, Some(task), now);
        let key = self.key(task.pid, task.start_ns);
        let exec_id = self.boot.exec_id(key.pid, key.start_ticks, task.start_stack);
        // With CLONE_PARENT the child's image is that of its creator, not of its parent.
        let inherited = ancestors.first().filter(|parent| {
            credentials.parent_image == task.image
                && parent.exec_id.is_some_and(|id| id.image == exec_id.image || id.image == 0)
        });
        let process = Arc::new(ProcessRef {
            pid: task.pid,
            exec_id: Some(exec_id),
            name: comm_text(&task.comm),
            executable: inherited.and_then(|parent| parent.executable.clone()),
            uid: Some(task.uid),
            container_id: self
                .cgroups
                .container(task.cgroup_id)
                .unwrap_or_else(|| ancestors.first().and_then(|parent| parent.container_id.clone())),
        });
        let image = Image::new(task, now, Arc::clone(&process));
        match self.processes.get_mut(&key).filter(|known| !known.ended) {
            // `/proc` was read between the fork and the arrival of its record.
            Some(known) => {
                known.ancestors = Arc::clone(&ancestors);
                match find(&known.images, task.image, task.start_stack, now) {
                    Some(same) => {
                        if let Some(same) = known.images.get_mut(same) {
                            same.counter = Some(task.image);
                        }
                    }
                    None => {
                        known.images.insert(0, image);
                        known.images.truncate(IMAGES_MAX);
                    }
                }
            }
            None => self.insert(key, image, Arc::clone(&ancestors)),
        }
        Identity { process, ancestors }
    }

    /// A process ended. What is known of it stays for the grace period.
    pub fn on_exit(&mut self, record: &ExitRecord) -> Identity {
        let (task, now) = (&record.wire.task, record.wire.header.ktime_ns);
        self.expire(now);
        let key = self.key(task.pid, task.start_ns);
        let process = self.resolve_at(key, task, now);
        let ancestors = match self.processes.get_mut(&key) {
            Some(known) => {
                if !known.ended {
                    known.ended = true;
                    self.ended.push_back((now, key, known.serial));
                }
                Arc::clone(&known.ancestors)
            }
            None => Arc::clone(&self.no_ancestors),
        };
        Identity { process, ancestors }
    }

    /// A process that `/proc` showed. Kernel records know better: an entry they made is only completed.
    pub fn on_snapshot(&mut self, entry: &SnapshotEntry) -> Identity {
        let key = Key { pid: entry.pid, start_ticks: entry.start_ticks };
        let container_id = self
            .cgroups
            .learn_path(entry.cgroup_id.unwrap_or(0), entry.cgroup.as_deref().unwrap_or_default());
        let process = Arc::new(ProcessRef {
            pid: entry.pid,
            exec_id: Some(self.boot.exec_id(entry.pid, entry.start_ticks, entry.start_stack)),
            name: Text::from(&*entry.comm),
            executable: entry.executable(),
            uid: entry.uid,
            container_id,
        });
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().take(15).zip(&*entry.comm) {
            *to = *from;
        }
        let image = Image::from_procfs(comm, entry.cgroup_id.unwrap_or(0), Arc::clone(&process));
        if let Some(known) = self.processes.get_mut(&key) {
            if let Some(same) = known.images.iter_mut().find(|other| other.exec_id() == image.exec_id()) {
                same.complete(&process);
            }
            return Identity { process, ancestors: Arc::clone(&known.ancestors) };
        }
        let parent = entry
            .parent_start_ticks
            .and_then(|start_ticks| self.processes.get(&Key { pid: entry.ppid, start_ticks }))
            .and_then(|parent| Some((&parent.images.last()?.process, &parent.ancestors)));
        let ancestors = match parent {
            Some((parent, further)) => prepend(parent, further),
            None => Arc::clone(&self.no_ancestors),
        };
        self.insert(key, image, Arc::clone(&ancestors));
        Identity { process, ancestors }
    }

    /// The image behind a record of another domain; `None` if the record names no process. A process the table does
    /// not know is described by the record alone.
    pub fn resolve(&mut self, task: &TaskWire, ktime_ns: u64) -> Option<Arc<ProcessRef>> {
        if task.pid == 0 {
            return None;
        }
        let key = self.key(task.pid, task.start_ns);
        Some(self.resolve_at(key, task, ktime_ns))
    }

    fn resolve_at(&mut self, key: Key, task: &TaskWire, ktime_ns: u64) -> Arc<ProcessRef> {
        if let Some(known) = self.processes.get_mut(&key)
            && let Some(found) = find(&known.images, task.image, task.start_stack, ktime_ns)
            && let Some(image) = known.images.get_mut(found)
        {
            if image.counter.is_none() && task.image != 0 {
                image.counter = Some(task.image);
            }
            return image.seen_by(task, &self.cgroups);
        }
        Arc::new(ProcessRef {
            pid: task.pid,
            exec_id: Some(self.boot.exec_id(key.pid, key.start_ticks, task.start_stack)),
            name: comm_text(&task.comm),
            executable: None,
            uid: Some(task.uid),
            container_id: self.cgroups.container(task.cgroup_id).flatten(),
        })
    }

    const fn key(&self, pid: u32, start_ns: u64) -> Key {
        Key { pid, start_ticks: self.boot.ticks(start_ns) }
    }

    /// The ancestors of a process with this parent. A parent that is not known is described by what the record says of
    /// it, and by its newborn `child`, which is still its copy.
    fn lineage(
        &mut self,
        ppid: u32,
        parent_start_ns: u64,
        parent_image: u64,
        child: Option<&TaskWire>,
        now: u64,
    ) -> Arc<[Arc<ProcessRef>]> {
        if ppid == 0 {
            return Arc::clone(&self.no_ancestors);
        }
        let key = self.key(ppid, parent_start_ns);
        let copy = child.filter(|child| child.image == parent_image);
        let start_stack = copy.map_or(0, |child| child.start_stack);
        let mut further = Arc::clone(&self.no_ancestors);
        if let Some(parent) = self.processes.get_mut(&key) {
            if let Some(found) = find(&parent.images, parent_image, start_stack, now)
                && let Some(image) = parent.images.get_mut(found)
            {
                if image.counter.is_none() && parent_image != 0 {
                    image.counter = Some(parent_image);
                }
                return prepend(&image.process, &parent.ancestors);
            }
            further = Arc::clone(&parent.ancestors);
        }
        let parent = Arc::new(ProcessRef {
            pid: ppid,
            exec_id: Some(self.boot.exec_id(key.pid, key.start_ticks, start_stack)),
            name: copy.map(|child| comm_text(&child.comm)).unwrap_or_default(),
            executable: None,
            uid: copy.map(|child| child.uid),
            container_id: None,
        });
        prepend(&parent, &further)
    }

    fn insert(&mut self, key: Key, image: Image, ancestors: Arc<[Arc<ProcessRef>]>) {
        // An ended process under the same key has had its pid reused within a tick.
        if !self.processes.contains_key(&key) {
            self.make_room();
        }
        self.serial += 1;
        let process = Process { images: vec![image], ancestors, ended: false, serial: self.serial };
        self.processes.insert(key, process);
        self.order.push_back((key, self.serial));
        let (processes, limit) = (&self.processes, 2 * self.processes.len() + 64);
        if self.order.len() > limit {
            self.order.retain(|(key, serial)| is_current(processes, key, *serial));
        }
        if self.ended.len() > limit {
            self.ended.retain(|(_, key, serial)| is_current(processes, key, *serial));
        }
    }

    #[cfg(test)]
    pub(super) fn book_lengths(&self) -> (usize, usize) {
        (self.order.len(), self.ended.len())
    }

    fn make_room(&mut self) {
        while self.processes.len() >= self.config.max_processes {
            if let Some((_, key, serial)) = self.ended.pop_front() {
                if is_current(&self.processes, &key, serial) {
                    self.processes.remove(&key);
                    self.evicted_ended += 1;
                }
            } else if let Some((key, serial)) = self.order.pop_front() {
                if is_current(&self.processes, &key, serial) {
                    self.processes.remove(&key);
                    self.evicted_alive += 1;
                }
            } else {
                return;
            }
        }
    }

    /// Forgets processes that ended longer than the grace period ago. Records do that too; without any it takes a call.
    pub fn expire(&mut self, now: u64) {
        while let Some(&(ended_ns, key, serial)) = self.ended.front()
            && ended_ns.saturating_add(self.config.grace_ns) <= now
        {
            self.ended.pop_front();
            if is_current(&self.processes, &key, serial) {
                self.processes.remove(&key);
            }
        }
    }
}

fn is_current(processes: &FxHashMap<Key, Process>, key: &Key, serial: u64) -> bool {
    processes.get(key).is_some_and(|process| process.serial == serial)
}

fn push_newest(images: &mut Vec<Image>, image: Image) {
    if images.len() >= IMAGES_MAX {
        images.remove(0);
    }
    images.push(image);
}

fn prepend(parent: &Arc<ProcessRef>, further: &[Arc<ProcessRef>]) -> Arc<[Arc<ProcessRef>]> {
    let parent = std::iter::once(parent);
    parent.chain(further.iter().take(ANCESTORS_MAX - 1)).cloned().collect()
}
