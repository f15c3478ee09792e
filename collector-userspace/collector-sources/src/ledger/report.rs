//! From holes and counters to stated losses.
//!
//! The kernel's counters say how many, of which kind and why; the holes say which numbers. A hole shows only when a
//! later record comes, so counters may be ahead; they are never behind, as long as they are read after the records.
//! Numbers that no counter ever explains are stated as `unexplained`, once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use collector_common::{Domain, Kind, LossReason};
use collector_core::{Capture, EventMeta, LossEvent};

use super::Gap;

/// What one of the kernel's counters has gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterDelta {
    /// Kind of the records.
    pub kind: Kind,
    /// Why they were not sent.
    pub reason: LossReason,
    /// Processor that counted, or [`NO_CPU`](Self::NO_CPU).
    pub cpu: u32,
    /// How many.
    pub count: u64,
}

impl CounterDelta {
    /// What is counted for the whole machine, not by processor.
    pub const NO_CPU: u32 = u32::MAX;
}

/// Last values of the kernel's counters, to take differences from.
#[derive(Clone, Debug, Default)]
pub struct CounterTable {
    last: BTreeMap<(Kind, LossReason), Vec<u64>>,
}

impl CounterTable {
    /// Takes the values of one counter, one per processor, and adds what they have gained to `deltas`.
    pub fn update(&mut self, kind: Kind, reason: LossReason, values: &[u64], deltas: &mut Vec<CounterDelta>) {
        let last = self.last.entry((kind, reason)).or_default();
        if last.len() < values.len() {
            last.resize(values.len(), 0);
        }
        for ((last, &value), cpu) in last.iter_mut().zip(values).zip(0..) {
            let count = value.saturating_sub(*last);
            *last = value;
            if count > 0 {
                deltas.push(CounterDelta { kind, reason, cpu, count });
            }
        }
    }

    /// Totals over all processors, by kind and reason; zero counts are left out.
    pub fn totals(&self) -> impl Iterator<Item = (Kind, LossReason, u64)> {
        self.last
            .iter()
            .map(|(&(kind, reason), values)| (kind, reason, values.iter().sum()))
            .filter(|&(_, _, total)| total > 0)
    }
}

/// Records that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Domain.
    pub domain: Domain,
    /// Kind, where a counter named it.
    pub kind: Option<Kind>,
    /// Why; `None`: no counter explained it.
    pub reason: Option<LossReason>,
    /// How many.
    pub count: u64,
    /// Processor.
    pub cpu: u32,
    /// First and last number among which they are, where the holes are known. Losses of several kinds on one
    /// processor share the range.
    pub range: Option<(u64, u64)>,
}

impl Loss {
    /// The event that states it.
    #[must_use]
    pub fn into_event(self, timestamp: SystemTime, source: &'static str) -> LossEvent {
        LossEvent {
            timestamp,
            meta: EventMeta { source, capture: Capture::Unknown, sequence: None },
            domain: self.domain.name(),
            kind: self.kind.map(Kind::name),
            reason: self.reason.map_or("unexplained", LossReason::name),
            count: self.count,
            cpu: (self.cpu != CounterDelta::NO_CPU).then_some(self.cpu),
            first_seq: self.range.map(|(first, _)| first),
            last_seq: self.range.map(|(_, last)| last),
        }
    }
}

/// Joins holes and counters, per domain and processor.
#[derive(Debug, Default)]
pub struct LossReporter {
    accounts: BTreeMap<(Domain, u32), Account>,
}

/// Totals of one sequence.
#[derive(Debug, Default)]
struct Account {
    /// Missing numbers.
    missing: u64,
    /// Losses the kernel counted.
    counted: u64,
    /// Losses stated, explained or not: never less than `counted` between reports.
    stated: u64,
    /// Missing numbers that were not stated by the last report, since a counter may still have explained them.
    pending: u64,
    /// First and last missing number since `missing` and `stated` last agreed.
    range: Option<(u64, u64)>,
}

impl LossReporter {
    /// What is to be stated of a domain now. Counters must have been read after the records that showed the gaps.
    pub fn report(&mut self, domain: Domain, gaps: &[Gap], deltas: &[CounterDelta]) -> Vec<Loss> {
        self.state(domain, gaps, deltas, false)
    }

    /// What is to be stated of a domain at the end: everything that is missing.
    pub fn finish(&mut self, domain: Domain, gaps: &[Gap], deltas: &[CounterDelta]) -> Vec<Loss> {
        self.state(domain, gaps, deltas, true)
    }

    fn state(&mut self, domain: Domain, gaps: &[Gap], deltas: &[CounterDelta], is_last: bool) -> Vec<Loss> {
        let mut losses = Vec::new();
        let mut sequenced: BTreeMap<(Domain, u32), Vec<&CounterDelta>> = BTreeMap::new();
        for delta in deltas.iter().filter(|delta| delta.reason.is_loss()) {
            let domain = delta.kind.domain();
            if delta.reason.in_sequence() {
                sequenced.entry((domain, delta.cpu)).or_default().push(delta);
                self.accounts.entry((domain, delta.cpu)).or_default();
            } else {
                losses.push(Loss {
                    domain,
                    kind: Some(delta.kind),
                    reason: Some(delta.reason),
                    count: delta.count,
                    cpu: delta.cpu,
                    range: None,
                });
            }
        }
        let mut shown: BTreeMap<(Domain, u32), Vec<&Gap>> = BTreeMap::new();
        for gap in gaps {
            shown.entry((gap.domain, gap.cpu)).or_default().push(gap);
            self.accounts.entry((gap.domain, gap.cpu)).or_default();
        }
        for (place, account) in &mut self.accounts {
            let deltas = sequenced.remove(place).unwrap_or_default();
            let gaps = shown.remove(place).unwrap_or_default();
            if place.0 == domain {
                account.state(*place, &gaps, &deltas, is_last, &mut losses);
            } else if !deltas.is_empty() || !gaps.is_empty() {
                // Not the caller's turn for this domain, but what was handed in must not get lost.
                account.state(*place, &gaps, &deltas, false, &mut losses);
            }
        }
        losses
    }
}

impl Account {
    fn state(
        &mut self,
        (domain, cpu): (Domain, u32),
        gaps: &[&Gap],
        deltas: &[&CounterDelta],
        is_last: bool,
        losses: &mut Vec<Loss>,
    ) {
        let agreed = self.missing == self.stated;
        for gap in gaps {
            self.missing = self.missing.saturating_add(gap.count());
            let (first, last) = self.range.unwrap_or((gap.first, gap.last));
            self.range = Some((first.min(gap.first), last.max(gap.last)));
        }
        let begin = losses.len();
        for delta in deltas {
            // What was stated as unexplained and is counted only now must not be stated again.
            let in_advance = (self.stated - self.counted).min(delta.count);
            let count = delta.count - in_advance;
            self.counted = self.counted.saturating_add(delta.count);
            self.stated = self.stated.saturating_add(count).max(self.counted);
            if count > 0 {
                let (kind, reason) = (Some(delta.kind), Some(delta.reason));
                losses.push(Loss { domain, kind, reason, count, cpu, range: None });
            }
        }
        if agreed && self.missing == self.stated {
            for loss in losses.iter_mut().skip(begin) {
                loss.range = self.range;
            }
        }
        let unexplained = self.missing.saturating_sub(self.stated);
        let count = if is_last { unexplained } else { unexplained.min(self.pending) };
        if count > 0 {
            losses.push(Loss { domain, kind: None, reason: None, count, cpu, range: self.range });
            self.stated += count;
        }
        self.pending = unexplained - count;
        if self.missing == self.stated {
            self.range = None;
        }
    }
}
