//! Digests of files that have not changed, bounded.

use std::collections::{BTreeMap, HashMap};

use super::FileDigests;
use super::file::FileKey;

/// The least recently used entry goes when there is no room.
#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    entries: HashMap<FileKey, (u64, FileDigests)>,
    /// Keys by the time of their last use, which is a count.
    by_use: BTreeMap<u64, FileKey>,
    uses: u64,
    pub(super) evictions: u64,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, evictions: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&mut self, key: &FileKey) -> Option<FileDigests> {
        let (used, digests) = self.entries.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(used);
        self.by_use.insert(self.uses, *key);
        *used = self.uses;
        Some(digests.clone())
    }

    pub(super) fn insert(&mut self, key: FileKey, digests: FileDigests) {
        if self.capacity == 0 {
            return;
        }
        self.uses += 1;
        if let Some((used, _)) = self.entries.insert(key, (self.uses, digests)) {
            self.by_use.remove(&used);
        }
        self.by_use.insert(self.uses, key);
        while self.entries.len() > self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.entries.remove(&oldest);
            self.evictions += 1;
        }
    }
}
