//! Learning from process events.

use std::sync::Arc;

use super::forget::Rank;
use super::images::Images;
use super::lineage::Inherited;
use super::{Ancestry, Node, ProcessKey};
use crate::event::{ExecId, ProcessEvent, ProcessEventKind, ProcessRef};

impl Ancestry {
    /// Takes in a process event: the process, its parent, and the ancestors it names.
    pub(super) fn learn(&mut self, event: &ProcessEvent) {
        let Some(exec_id) = event.exec_id else { return };
        let parent =
            event.parent_exec_id.or_else(|| event.ancestors.first().and_then(|parent| parent.exec_id));
        let up = self.learn_ancestors(&event.ancestors).or(parent);
        let rank = match event.kind {
            ProcessEventKind::Exit => Rank::Ended,
            ProcessEventKind::Snapshot | ProcessEventKind::Exec | ProcessEventKind::Fork => Rank::Running,
        };
        self.meet(exec_id, parent, up, rank);
    }

    /// Takes in the ancestors a process has, parent first, and returns the nearest one that is in the index then.
    fn learn_ancestors(&mut self, ancestors: &[Arc<ProcessRef>]) -> Option<ExecId> {
        // One without an identity ends the chain.
        let known = ancestors.iter().map_while(|ancestor| ancestor.exec_id);
        let mut missing: Vec<ExecId> = Vec::new();
        let mut up = None;
        for ancestor in known {
            if let Some(node) = self.nodes.get(&ProcessKey::of(ancestor))
                && (node.up.is_some() || missing.len() + 1 == ancestors.len())
            {
                up = Some(ancestor);
                break;
            }
            missing.push(ancestor);
        }
        // From the top down, so that each finds its parent.
        let mut parent = up;
        for ancestor in missing.into_iter().rev() {
            if self.meet(ancestor, parent, up, Rank::Ancestor) {
                up = Some(ancestor);
            }
            parent = Some(ancestor);
        }
        up
    }

    /// Makes a process known, or adds to what is known of it. False if there is no place for it.
    fn meet(&mut self, exec_id: ExecId, parent: Option<ExecId>, up: Option<ExecId>, rank: Rank) -> bool {
        let key = ProcessKey::of(exec_id);
        // What claims to be its own parent has none.
        let up = up.filter(|up| ProcessKey::of(*up) != key);
        let parent = parent.filter(|parent| ProcessKey::of(*parent) != key);
        let Some(node) = self.nodes.get_mut(&key) else {
            return self.insert(exec_id, parent, up, rank);
        };
        node.images.push(exec_id.image, node.roots > 0);
        if node.parent.is_none() {
            node.parent = parent;
        }
        let linked = if node.up.is_none() && up.is_some() {
            node.up = up;
            node.inherited.invalidate();
            up
        } else {
            None
        };
        if let Some(up) = linked {
            self.children.insert((ProcessKey::of(up), key));
            self.renew_below(key);
        }
        self.raise(key, rank);
        true
    }

    fn insert(&mut self, exec_id: ExecId, parent: Option<ExecId>, up: Option<ExecId>, rank: Rank) -> bool {
        if !self.make_room(rank) {
            return false;
        }
        let key = ProcessKey::of(exec_id);
        self.stamp += 1;
        let mut images = Images::default();
        images.push(exec_id.image, false);
        let stamp = self.stamp;
        let node = Node { parent, up, images, rank, stamp, roots: 0, inherited: Inherited::default() };
        self.nodes.insert(key, node);
        self.order.insert((rank, stamp), key);
        if let Some(up) = up {
            self.children.insert((ProcessKey::of(up), key));
        }
        self.renew_below(key);
        true
    }

    /// Has everything worked out again if anybody is below this process, whose place has changed.
    fn renew_below(&mut self, key: ProcessKey) {
        if self.children.range((key, ProcessKey::FIRST)..).next().is_some_and(|(up, _)| *up == key) {
            self.epoch += 1;
        }
    }

    /// Makes sure that the root of a subtree is known, and keeps it from being forgotten.
    pub(super) fn pin(&mut self, exec_id: ExecId) {
        let key = ProcessKey::of(exec_id);
        if !self.nodes.contains_key(&key) {
            // Never refused: there are fewer roots than places, and everything else can be forgotten.
            self.insert(exec_id, None, None, Rank::Running);
        }
        if let Some(node) = self.nodes.get_mut(&key) {
            node.images.keep(exec_id.image, node.roots > 0);
            node.roots += 1;
            self.order.remove(&(node.rank, node.stamp));
        }
    }

    /// Lets the process of a root be forgotten again, unless another root is an image of it too.
    pub(super) fn unpin(&mut self, key: ProcessKey) {
        if let Some(node) = self.nodes.get_mut(&key) {
            node.roots -= 1;
            if node.roots == 0 {
                self.order.insert((node.rank, node.stamp), key);
            }
        }
    }
}
