//! What a queue lost, by kind and reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::BusEvent;
use crate::event::{Capture, CollectionEvent, EventMeta, KindIndex, LossEvent};

/// Why a subscriber did not get an event it had asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossReason {
    /// Its queue was full.
    QueueFull,
    /// The publisher waited for it until the deadline.
    DeadlineExceeded,
    /// The publisher was cancelled while it waited for it.
    PublishCancelled,
    /// Its subscription ended, or the bus closed, while a publisher waited for it.
    SubscriptionEnded,
}

impl LossReason {
    const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::PublishCancelled => "publish_cancelled",
            Self::SubscriptionEnded => "subscription_ended",
        }
    }
}

/// Counts of lost events. Bounded by the number of kinds times the number of reasons.
#[derive(Debug, Default)]
pub(super) struct LossLedger(Vec<(KindIndex, LossReason, u64)>);

impl LossLedger {
    pub(super) fn add(&mut self, kind: KindIndex, reason: LossReason) {
        match self.0.iter_mut().find(|(k, r, _)| (*k, *r) == (kind, reason)) {
            Some((.., count)) => *count += 1,
            None => self.0.push((kind, reason, 1)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(.., count)| count).sum()
    }

    pub(super) fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for (kind, _, count) in &self.0 {
            *counts.entry(kind.name()).or_default() += count;
        }
        counts
    }

    pub(super) fn by_reason(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for (_, reason, count) in &self.0 {
            *counts.entry(reason.name()).or_default() += count;
        }
        counts
    }

    /// Takes one entry out, as the event that tells the subscriber of it.
    pub(super) fn report_next(&mut self) -> Option<Arc<BusEvent>> {
        if self.0.is_empty() {
            return None;
        }
        let (kind, reason, count) = self.0.remove(0);
        let event = CollectionEvent::Loss(LossEvent {
            timestamp: SystemTime::now(),
            meta: EventMeta { source: "event-bus", capture: Capture::Unknown, sequence: None },
            domain: "subscriber",
            kind: Some(kind.name()),
            reason: reason.name(),
            count,
            cpu: None,
            first_seq: None,
            last_seq: None,
        });
        Some(Arc::new(BusEvent::new(0, event)))
    }
}
