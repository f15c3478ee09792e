//! What an event belongs to.

use super::CorrelationTags;
use crate::event::{CollectionEvent, ExecId, ProcessEvent};

/// What an event belongs to. What is not known is absent.
///
/// Parent and root come from the event itself where it is a process event. Network and file events carry their process in
/// short, without ancestors; theirs are known only while the bus keeps an index of processes, which it does while a
/// subtree is subscribed to, or always with [`AncestryMode::Always`](super::AncestryMode).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorrelationMetadata {
    /// Place in the order of publication, as [`BusEvent::id`](super::BusEvent::id).
    pub sequence_number: u64,
    /// Process the event is about or was caused by.
    pub pid: Option<u32>,
    /// Identity of that process's image.
    pub exec_id: Option<ExecId>,
    /// Process that created it, also when that one has ended since.
    pub parent_pid: Option<u32>,
    /// Identity of the image that created it.
    pub parent_exec_id: Option<ExecId>,
    /// Topmost known ancestor.
    pub root_pid: Option<u32>,
    /// Identity of that ancestor's image.
    pub root_exec_id: Option<ExecId>,
    /// What the publisher said it belongs to.
    pub tags: CorrelationTags,
}

impl CorrelationMetadata {
    /// What the event itself tells.
    #[inline]
    pub(super) fn of(sequence_number: u64, event: &CollectionEvent, tags: CorrelationTags) -> Self {
        let (pid, exec_id) = (event.pid(), event.exec_id());
        let mut known = Self { sequence_number, pid, exec_id, tags, ..Self::default() };
        if let CollectionEvent::Process(event) = event {
            known.take_ancestry(event);
        }
        known
    }

    fn take_ancestry(&mut self, event: &ProcessEvent) {
        let parent = event.ancestors.first();
        self.parent_exec_id = event.parent_exec_id.or_else(|| parent?.exec_id);
        self.parent_pid = self.parent_exec_id.map(|id| id.pid).or_else(|| Some(parent?.pid)).or(event.ppid);
        (self.root_pid, self.root_exec_id) = match event.ancestors.last() {
            Some(root) => (Some(root.pid), root.exec_id),
            None => (self.parent_pid, self.parent_exec_id),
        };
    }
}
