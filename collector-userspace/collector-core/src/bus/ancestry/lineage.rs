//! What a process inherits from those above it.

use super::{Ancestry, Node, ProcessKey};
use crate::event::ExecId;

/// What a process inherits, as of an epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inherited {
    /// The epoch in which this was worked out; 0 if it has not been.
    epoch: u64,
    /// The subtrees its ancestors are in, a bit each.
    pub(super) subtrees: u64,
    /// The topmost ancestor.
    pub(super) top: Option<ExecId>,
}

impl Ancestry {
    /// What a process inherits; nothing if it is not known. Follows links only as far as nothing is cached.
    pub(super) fn inherited(&mut self, key: ProcessKey) -> Inherited {
        let epoch = self.epoch;
        let mut missing = Vec::new();
        let mut next = Some(key);
        while let Some(key) = next
            && let Some(node) = self.nodes.get_mut(&key)
            && node.inherited.epoch != epoch
        {
            // Marked on the way up, so that a circle of forged links ends where it began.
            node.inherited = Inherited { epoch, ..Inherited::default() };
            missing.push(key);
            next = node.up.map(ProcessKey::of);
        }
        for key in missing.into_iter().rev() {
            let above = self.nodes.get(&key).and_then(|node| node.up).map(|up| self.passed_on_by(up));
            if let (Some(node), Some(above)) = (self.nodes.get_mut(&key), above) {
                node.inherited = above;
            }
        }
        self.nodes.get(&key).map(|node| node.inherited).unwrap_or_default()
    }

    /// What an image passes on to those it creates.
    fn passed_on_by(&self, up: ExecId) -> Inherited {
        let key = ProcessKey::of(up);
        let (subtrees, top) = match self.nodes.get(&key) {
            Some(node) => (node.inherited.subtrees | self.begun_by(key, node, up.image), node.inherited.top),
            None => (0, None),
        };
        Inherited { epoch: self.epoch, subtrees, top: top.or(Some(up)) }
    }

    /// The subtrees that begin at this image of a process or at an earlier one.
    pub(super) fn begun_by(&self, key: ProcessKey, node: &Node, image: u32) -> u64 {
        if node.roots == 0 {
            return 0;
        }
        let here = self.roots.iter().filter(|root| ProcessKey::of(root.exec_id) == key);
        let from = here.filter(|root| node.images.is_from(root.exec_id.image, image));
        from.fold(0, |subtrees, root| subtrees | root.bit.mask())
    }
}

impl Inherited {
    /// Has it worked out again.
    pub(super) const fn invalidate(&mut self) {
        self.epoch = 0;
    }
}
