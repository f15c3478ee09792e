//! Who descends from whom: what a subtree filter needs, bounded.
//!
//! Network and file events carry their process in short, without ancestors. So while a subtree is subscribed to, or always
//! if the configuration says so, the bus keeps an index of processes, fed by process events:
//!
//! * A **node** per process, not per image: boot, pid and start time. It keeps the last few images in order, because a
//!   subtree begins at one of them, and with each child the image that created it.
//! * Links go up by key. A link to a process that is not in the index is no error: when its event comes, it is connected.
//! * When the index is full a process is **forgotten**, and its children are linked to its own parent. So forgetting
//!   never cuts descendants off, and a chain of short-lived processes, one forking the next, leads nobody out of a
//!   subtree. The roots of subtrees are never forgotten.
//! * What a node inherits from above is cached in it. New processes below do not change it; a new subtree or a link found
//!   late does, and starts a new epoch, in which each node is worked out again when it is next asked for. So the length of
//!   a chain is paid once, not per event.

mod forget;
mod images;
mod learn;
mod lineage;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use statistics::AncestryStatistics;

use self::forget::Rank;
use self::images::Images;
use self::lineage::Inherited;
use super::{BusEvent, EventBusError};
use crate::event::{CollectionEvent, ExecId};

/// Most subtrees at one time: the bits of [`Subtrees`].
const MAX_SUBTREES: usize = u64::BITS as usize;

/// The subtrees an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subtrees(u64);

impl Subtrees {
    pub(super) const fn contains(self, bit: SubtreeBit) -> bool {
        self.0 & bit.mask() != 0
    }
}

/// Stands for one subtree, while anybody subscribes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubtreeBit(u32);

impl SubtreeBit {
    const fn mask(self) -> u64 {
        1 << self.0
    }
}

/// A process, whatever image it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ProcessKey {
    boot: u32,
    pid: u32,
    start_ticks: u64,
}

impl ProcessKey {
    const FIRST: Self = Self { boot: 0, pid: 0, start_ticks: 0 };

    const fn of(exec_id: ExecId) -> Self {
        let ExecId { boot, pid, start_ticks, image: _ } = exec_id;
        Self { boot, pid, start_ticks }
    }
}

/// What is known of a process.
#[derive(Debug)]
struct Node {
    /// The image that created it.
    parent: Option<ExecId>,
    /// The nearest ancestor's image that the index links it to: the parent, or one above it that is not forgotten.
    up: Option<ExecId>,
    images: Images,
    rank: Rank,
    /// When it got its rank.
    stamp: u64,
    /// How many of the roots are images of this process.
    roots: usize,
    inherited: Inherited,
}

/// The image at the top of a subtree.
#[derive(Debug)]
struct Root {
    exec_id: ExecId,
    bit: SubtreeBit,
    filters: usize,
}

/// The index.
#[derive(Debug)]
pub(super) struct Ancestry {
    capacity: usize,
    nodes: HashMap<ProcessKey, Node>,
    /// The order in which nodes are forgotten; each node once, but for the roots.
    order: BTreeMap<(Rank, u64), ProcessKey>,
    /// Each linked node under the key its link leads to, which need not be in `nodes`.
    children: BTreeSet<(ProcessKey, ProcessKey)>,
    roots: Vec<Root>,
    epoch: u64,
    stamp: u64,
    statistics: AncestryStatistics,
}

impl Ancestry {
    /// An empty index for at most so many processes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            nodes: HashMap::new(),
            order: BTreeMap::new(),
            children: BTreeSet::new(),
            roots: Vec::new(),
            epoch: 1,
            stamp: 0,
            statistics: AncestryStatistics::default(),
        }
    }

    /// Begins to look for the subtree of an image, or counts one more who looks for it.
    pub(super) fn register(&mut self, exec_id: ExecId) -> Result<SubtreeBit, EventBusError> {
        if let Some(root) = self.roots.iter_mut().find(|root| root.exec_id == exec_id) {
            root.filters += 1;
            return Ok(root.bit);
        }
        let limit = MAX_SUBTREES.min(self.capacity);
        let taken = self.roots.iter().fold(0, |taken, root| taken | root.bit.mask());
        let bit = SubtreeBit(taken.trailing_ones());
        if self.roots.len() >= limit {
            return Err(EventBusError::TooManySubtrees { limit });
        }
        self.roots.push(Root { exec_id, bit, filters: 1 });
        self.pin(exec_id);
        self.epoch += 1;
        Ok(bit)
    }

    /// Counts one less who looks for the subtree of an image.
    pub(super) fn unregister(&mut self, exec_id: ExecId) {
        let Some(index) = self.roots.iter().position(|root| root.exec_id == exec_id) else { return };
        let Some(root) = self.roots.get_mut(index) else { return };
        root.filters -= 1;
        if root.filters == 0 {
            self.roots.swap_remove(index);
            self.unpin(ProcessKey::of(exec_id));
            // Its bit stays in what is cached. Nobody asks for it until it is given to another, which starts an epoch.
        }
    }

    /// Whether anybody looks for a subtree.
    pub(super) const fn is_wanted(&self) -> bool {
        !self.roots.is_empty()
    }

    /// Forgets all processes; only for an index nobody needs.
    pub(super) fn clear(&mut self) {
        let Self { capacity, epoch, statistics, .. } = self;
        *self = Self { epoch: *epoch, statistics: statistics.clone(), ..Self::new(*capacity) };
    }

    /// Learns from an event, and completes it with what is known of its process.
    pub(super) fn observe(&mut self, event: &mut BusEvent) {
        let BusEvent { event, correlation, subtrees, .. } = event;
        let mut tells_ancestors = false;
        if let CollectionEvent::Process(process) = event {
            self.learn(process);
            tells_ancestors = !process.ancestors.is_empty();
        }
        let Some(exec_id) = correlation.exec_id else { return };
        let key = ProcessKey::of(exec_id);
        let inherited = self.inherited(key);
        let Some(node) = self.nodes.get(&key) else {
            self.statistics.unknown_processes += 1;
            return;
        };
        *subtrees = Subtrees(inherited.subtrees | self.begun_by(key, node, exec_id.image));
        if correlation.parent_exec_id.is_none()
            && let Some(parent) = node.parent
        {
            correlation.parent_exec_id = Some(parent);
            correlation.parent_pid = Some(parent.pid);
        }
        if !tells_ancestors && let Some(top) = inherited.top {
            correlation.root_exec_id = Some(top);
            correlation.root_pid = Some(top.pid);
        }
    }

    pub(super) fn statistics(&self) -> AncestryStatistics {
        AncestryStatistics {
            subtrees: self.roots.len(),
            processes: self.nodes.len(),
            capacity: self.capacity,
            ..self.statistics.clone()
        }
    }
}
