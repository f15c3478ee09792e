//! One ring, its pipeline, and the events that wait to be taken.

use std::mem::offset_of;

use aya::maps::{MapData, RingBuf};
use collector_common::{Domain, RecordHeader};
use collector_core::CollectionEvent;

use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::{CounterDelta, CounterTable};
use crate::pipeline::Pipeline;
use crate::tables::Forgotten;

/// Offset of `RecordHeader::ktime_ns`.
const KTIME_OFFSET: usize = offset_of!(RecordHeader, ktime_ns);

/// Reads one domain's ring.
pub(crate) struct Reader {
    domain: Domain,
    ring: RingBuf<MapData>,
    pub(crate) pipeline: Pipeline,
    /// Last values of this domain's loss counters.
    pub(crate) counters: CounterTable,
    /// What this domain's tables have forgotten, as stated so far.
    pub(crate) forgotten: Forgotten,
    /// Decoded and not yet taken by the source.
    pending: Vec<CollectionEvent>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(domain: Domain, ring: RingBuf<MapData>, pipeline: Pipeline) -> Self {
        Self {
            domain,
            ring,
            pipeline,
            counters: CounterTable::default(),
            forgotten: Forgotten::default(),
            pending: Vec::new(),
        }
    }

    /// Decodes records until the ring is empty or `limit` events are pending. `before` sees each record and its
    /// kernel time first. Returns whether the ring was empty at the end.
    pub(crate) fn drain(&mut self, limit: usize, mut before: impl FnMut(u64, &[u8])) -> bool {
        while self.pending.len() < limit {
            let Some(record) = self.ring.next() else { return true };
            let ktime = record.get(KTIME_OFFSET..KTIME_OFFSET + 8).and_then(|bytes| bytes.try_into().ok());
            before(ktime.map_or(0, u64::from_ne_bytes), &record);
            self.pipeline.record(self.domain, &record, &mut self.pending);
        }
        false
    }

    /// Enters a process that `/proc` shows. Its event is published if `publish` says so.
    pub(crate) fn snapshot(&mut self, entry: &SnapshotEntry, publish: bool) {
        let before = self.pending.len();
        self.pipeline.snapshot(entry, &mut self.pending);
        if !publish {
            self.pending.truncate(before);
        }
    }

    /// Hands over what is pending.
    pub(crate) fn take(&mut self, out: &mut Vec<CollectionEvent>) {
        out.append(&mut self.pending);
    }

    /// Whether events wait to be taken.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// States losses that have become certain.
    pub(crate) fn settle(&mut self, now_ns: u64, deltas: &[CounterDelta]) {
        self.pipeline.settle(now_ns, self.domain, deltas, &mut self.pending);
    }

    /// States everything that is missing at the end.
    pub(crate) fn finish(&mut self, now_ns: u64, sent: &[u64], deltas: &[CounterDelta]) {
        self.pipeline.finish(now_ns, self.domain, sent, deltas, &mut self.pending);
    }
}
