//! What a scan remembers of a process.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use collector_core::{ProcessEvent, ProcessRef};

use crate::identity::procfs::Stat;
use crate::identity::snapshot::SnapshotEntry;
use crate::identity::{Boot, Identity, container::container_of_path};

/// Most ancestors kept.
const ANCESTORS_MAX: usize = 16;

/// A process as it was read last.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) start_ticks: u64,
    pub(super) start_stack: u64,
    /// Of what [`fingerprint`] covers.
    pub(super) fingerprint: u64,
    /// Whether the user wants to hear of it.
    pub(super) is_wanted: bool,
    /// Whether it is a process the filter names, or a descendant of one.
    pub(super) descends: bool,
    /// Whether it was in a look.
    pub(super) was_shown: bool,
    pub(super) identity: Identity,
    pub(super) event: Arc<ProcessEvent>,
    /// Ticks on a processor, and when they were read.
    pub(super) usage: (u64, u64),
    /// The number of the last scan that listed it.
    pub(super) scan: u64,
}

impl Known {
    /// Whether this is the process, in the image, that `stat` is of.
    pub(super) const fn is(&self, stat: &Stat) -> bool {
        self.start_ticks == stat.start_ticks && self.start_stack == stat.start_stack
    }
}

/// A number that changes when arguments, executable, users, name or parent do.
pub(super) fn fingerprint(state: &RandomState, entry: &SnapshotEntry) -> u64 {
    let users = (entry.uid, entry.gid, entry.euid, entry.egid, entry.capabilities);
    let program = (&entry.exe, entry.exe_deleted, &entry.argv, entry.argv_truncated, &entry.comm);
    state.hash_one((users, program, entry.ppid))
}

/// Who this is. The parent is the one that is the parent now, in the image it has now: a process whose parent had ended
/// before it was seen has its foster parent for an ancestor.
pub(super) fn identity(boot: &Boot, entry: &SnapshotEntry, parent: Option<&Known>) -> Identity {
    let process = Arc::new(ProcessRef {
        pid: entry.pid,
        exec_id: Some(boot.exec_id(entry.pid, entry.start_ticks, entry.start_stack)),
        name: collector_core::Text::from(&*entry.comm),
        executable: entry.executable(),
        uid: entry.uid,
        container_id: entry.cgroup.as_deref().and_then(container_of_path),
    });
    // Nobody is older than his parent: an older one has the pid of a parent that is gone.
    let parent = parent.filter(|parent| parent.start_ticks <= entry.start_ticks);
    let ancestors = match parent.map(|parent| &parent.identity) {
        Some(parent) => {
            let further = parent.ancestors.iter().take(ANCESTORS_MAX - 1);
            std::iter::once(&parent.process).chain(further).cloned().collect()
        }
        None => Arc::default(),
    };
    Identity { process, ancestors }
}
