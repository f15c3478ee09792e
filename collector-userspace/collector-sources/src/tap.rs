//! What a recording sees of a capture: everything that decides which events come out.

use collector_common::Domain;

use crate::clock::Anchor;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;

/// Receives the raw input of a capture, in the order in which it is decoded.
///
/// Calls must be quick and cannot fail: an implementation keeps its first error and reports it at the end.
pub trait Tap: Send {
    /// A record, before it is decoded.
    fn record(&mut self, domain: Domain, bytes: &[u8]);

    /// A process found in `/proc` at the start, before it enters the table.
    fn snapshot(&mut self, entry: &SnapshotEntry);

    /// A new relation of kernel time and wall time, for all records that follow.
    fn anchor(&mut self, anchor: Anchor);

    /// What the kernel's loss counters of a domain have gained, when its losses are stated.
    fn losses(&mut self, now_ns: u64, domain: Domain, deltas: &[CounterDelta]);

    /// The end of a domain: how many records the kernel side wanted to send, per processor.
    fn finish(&mut self, now_ns: u64, domain: Domain, sent: &[u64], deltas: &[CounterDelta]);
}
