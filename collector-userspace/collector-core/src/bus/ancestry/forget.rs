//! Forgetting, when the index is full.

use super::{Ancestry, Node, ProcessKey};

/// Who is forgotten first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Ended. Kept as long as there is place: its network and file events may still come.
    Ended,
    /// Only known as the ancestor of another; it may have ended long ago.
    Ancestor,
    /// Running, as far as is known.
    Running,
}

impl Ancestry {
    /// Forgets until there is place for one more of this rank; false if nobody may go for it. A mere ancestor never takes
    /// the place of a running process.
    pub(super) fn make_room(&mut self, rank: Rank) -> bool {
        while self.nodes.len() >= self.capacity {
            let first = self.order.first_key_value().map(|((first, _), key)| (*first, *key));
            match first {
                Some((first, key)) if rank != Rank::Ancestor || first != Rank::Running => self.forget(key),
                _ => {
                    self.count_forgotten(rank);
                    return false;
                }
            }
        }
        true
    }

    /// Forgets a process and links its children to whom it was linked to.
    fn forget(&mut self, key: ProcessKey) {
        let Some(node) = self.nodes.remove(&key) else { return };
        let Node { up, rank, stamp, .. } = node;
        self.count_forgotten(rank);
        self.order.remove(&(rank, stamp));
        // Without a link the children stay where they are: should the process be met again, it is connected to them.
        let Some(up) = up else { return };
        let above = ProcessKey::of(up);
        self.children.remove(&(above, key));
        let below = self.children.range((key, ProcessKey::FIRST)..).take_while(|(up, _)| *up == key);
        let below: Vec<_> = below.map(|(_, child)| *child).collect();
        for child in below {
            self.children.remove(&(key, child));
            let Some(node) = self.nodes.get_mut(&child) else { continue };
            // What they inherit does not change: a root is never forgotten, so nothing began here.
            node.up = (child != above).then_some(up);
            if node.up.is_some() {
                self.children.insert((above, child));
            }
        }
    }

    /// A process that ran has ended, or one that was an ancestor only is met itself.
    pub(super) fn raise(&mut self, key: ProcessKey, rank: Rank) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        let changes = match (node.rank, rank) {
            (Rank::Ended, _) | (_, Rank::Ancestor) | (Rank::Running, Rank::Running) => false,
            (Rank::Ancestor | Rank::Running, Rank::Ended) | (Rank::Ancestor, Rank::Running) => true,
        };
        if !changes {
            return;
        }
        self.stamp += 1;
        let before = (node.rank, node.stamp);
        (node.rank, node.stamp) = (rank, self.stamp);
        if node.roots == 0 {
            self.order.remove(&before);
            self.order.insert((rank, self.stamp), key);
        }
    }

    const fn count_forgotten(&mut self, rank: Rank) {
        match rank {
            Rank::Ended => self.statistics.forgotten_ended += 1,
            Rank::Ancestor => self.statistics.forgotten_ancestors += 1,
            Rank::Running => self.statistics.forgotten_running += 1,
        }
    }
}
