//! The ledger: which of the records the kernel wanted to send arrived.
//!
//! Every record has a number in the sequence of its domain and processor, and the number is taken before room in the
//! ring is, so a lost record leaves a hole. [`Ledger`] finds the holes; [`LossReporter`] joins them with the kernel's
//! counters, which know kinds and reasons, and never counts a record twice.
//!
//! A probe that interrupts another on the same processor may send number n+1 before n. A hole is therefore open until
//! it has outlived a whole interval between two calls of [`Ledger::settle`], and is filled if its record comes.

mod report;
#[cfg(test)]
mod tests;

use collector_common::Domain;

pub use report::{CounterDelta, CounterTable, Loss, LossReporter};

/// Processors the kernel can have (`NR_CPUS`); a record that states another is counted and otherwise ignored.
const CPUS_MAX: usize = 8192;

/// Open holes per domain and processor. Only a damaged capture has more; then the oldest close early.
const HOLES_MAX: usize = 1024;

/// Which number the first record of a sequence has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// 0: the kernel programs were loaded for this capture, and every record before the first that comes is lost.
    #[default]
    Fresh,
    /// Any: the programs were there before.
    Running,
}

/// Numbers missing in one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Domain.
    pub domain: Domain,
    /// Processor.
    pub cpu: u32,
    /// First missing number.
    pub first: u64,
    /// Last missing number.
    pub last: u64,
}

impl Gap {
    /// How many records are missing.
    #[must_use]
    pub const fn count(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Totals of one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Records that came, those that came late included.
    pub received: u64,
    /// Numbers in closed gaps.
    pub lost: u64,
    /// Records that came after their hole was closed, came twice, or have an impossible number. Zero, unless the
    /// reader was held up for longer than an interval in the middle of a drain.
    pub late: u64,
}

/// Finds the holes in sequences.
#[derive(Debug)]
pub struct Ledger {
    start: Start,
    domains: [Sequences; Domain::COUNT],
}

#[derive(Debug, Default)]
struct Sequences {
    counts: LedgerCounts,
    /// By processor.
    cpus: Vec<Sequence>,
    /// Closed early.
    closed: Vec<Gap>,
}

#[derive(Debug, Default)]
struct Sequence {
    seen: bool,
    /// The number after the highest that came.
    next: u64,
    /// Ascending, disjoint, all below `next`.
    holes: Vec<Hole>,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    first: u64,
    last: u64,
    /// Was there at the last settle.
    settled_once: bool,
}

impl Ledger {
    /// A ledger of sequences that begin as `start` says.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self { start, domains: Default::default() }
    }

    /// A record came.
    pub fn observe(&mut self, domain: Domain, cpu: u32, seq: u64) {
        let start = self.start;
        let Some(sequences) = self.domains.get_mut(domain as usize) else { return };
        let counts = &mut sequences.counts;
        counts.received += 1;
        let index = cpu as usize;
        if index >= CPUS_MAX || seq == u64::MAX {
            counts.late += 1;
            return;
        }
        if index >= sequences.cpus.len() {
            sequences.cpus.resize_with(index + 1, Sequence::default);
        }
        let Some(sequence) = sequences.cpus.get_mut(index) else { return };
        if !sequence.observe(seq, start) {
            counts.late += 1;
        }
        if sequence.holes.len() > HOLES_MAX {
            let oldest = sequence.holes.remove(0);
            sequences.closed.push(Gap { domain, cpu, first: oldest.first, last: oldest.last });
        }
    }

    /// Closes the holes of a domain that were already there at the last call, and returns them.
    pub fn settle(&mut self, domain: Domain) -> Vec<Gap> {
        self.close(domain, |hole| std::mem::replace(&mut hole.settled_once, true))
    }

    /// Closes all holes of a domain, those at the ends included: `sent` is, by processor, how many numbers were taken.
    pub fn finish(&mut self, domain: Domain, sent: &[u64]) -> Vec<Gap> {
        let Some(sequences) = self.domains.get_mut(domain as usize) else { return Vec::new() };
        for (index, &sent) in sent.iter().enumerate().take(CPUS_MAX) {
            if sent > 0 && index >= sequences.cpus.len() {
                sequences.cpus.resize_with(index + 1, Sequence::default);
            }
            if let Some(sequence) = sequences.cpus.get_mut(index) {
                sequence.end(sent, self.start);
            }
        }
        self.close(domain, |_| true)
    }

    /// Totals of a domain.
    #[must_use]
    pub fn counts(&self, domain: Domain) -> LedgerCounts {
        self.domains.get(domain as usize).map(|sequences| sequences.counts).unwrap_or_default()
    }

    fn close(&mut self, domain: Domain, mut is_due: impl FnMut(&mut Hole) -> bool) -> Vec<Gap> {
        let Some(sequences) = self.domains.get_mut(domain as usize) else { return Vec::new() };
        let mut gaps = std::mem::take(&mut sequences.closed);
        for (cpu, sequence) in (0..).zip(&mut sequences.cpus) {
            sequence.holes.retain_mut(|hole| {
                let is_due = is_due(hole);
                if is_due {
                    gaps.push(Gap { domain, cpu, first: hole.first, last: hole.last });
                }
                !is_due
            });
        }
        for gap in &gaps {
            sequences.counts.lost = sequences.counts.lost.saturating_add(gap.count());
        }
        gaps
    }
}

impl Sequence {
    /// Whether the number was still open.
    fn observe(&mut self, seq: u64, start: Start) -> bool {
        if !self.seen {
            self.seen = true;
            self.next = match start {
                Start::Fresh => 0,
                Start::Running => seq,
            };
        }
        if seq < self.next {
            return self.fill(seq);
        }
        self.open_until(seq);
        self.next = seq + 1;
        true
    }

    fn end(&mut self, sent: u64, start: Start) {
        // A running sequence nothing came of has no known beginning.
        if self.seen || start == Start::Fresh {
            self.open_until(sent);
            self.next = self.next.max(sent);
        }
    }

    /// Everything from `next` to before `end` is missing so far.
    fn open_until(&mut self, end: u64) {
        if end > self.next {
            self.holes.push(Hole { first: self.next, last: end - 1, settled_once: false });
        }
    }

    fn fill(&mut self, seq: u64) -> bool {
        let index = self.holes.partition_point(|hole| hole.last < seq);
        let Some(hole) = self.holes.get_mut(index).filter(|hole| hole.first <= seq) else { return false };
        let (before, after) = (hole.first..seq, seq + 1..hole.last + 1);
        match (before.is_empty(), after.is_empty()) {
            (true, true) => {
                self.holes.remove(index);
            }
            (true, false) => hole.first = after.start,
            (false, true) => hole.last = seq - 1,
            (false, false) => {
                let rest = Hole { first: after.start, ..*hole };
                hole.last = seq - 1;
                self.holes.insert(index + 1, rest);
            }
        }
        true
    }
}
