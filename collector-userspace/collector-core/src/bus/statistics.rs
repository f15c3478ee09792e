//! Counters of the bus.

use std::collections::BTreeMap;
use std::time::Duration;

use super::AncestryStatistics;

/// Counters of a bus since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct EventBusStatistics {
    /// Events published.
    pub events_published: u64,
    /// `events_published` by topic ([`TOPICS`](crate::event::TOPICS)); topics without events are absent.
    pub published_by_topic: BTreeMap<&'static str, u64>,
    /// Events received by subscribers, former ones included: one event received twice counts twice.
    pub events_delivered: u64,
    /// Events that subscribers, former ones included, had asked for and did not get.
    pub events_dropped: u64,
    /// Subscribers at the moment.
    pub active_subscribers: usize,
    /// How long the bus has existed.
    #[serde(with = "crate::config::duration")]
    pub uptime: Duration,
    /// What the bus knows of who descends from whom.
    pub ancestry: AncestryStatistics,
    /// Each subscriber at the moment, in order of subscription.
    pub subscribers: Vec<SubscriberStatistics>,
}

/// Counters of one subscriber. `matched = delivered + dropped + queued + abandoned`, where `abandoned` is what was still
/// queued when the subscription was dropped; events a publisher waits with at the moment are in none of them yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SubscriberStatistics {
    /// Its id.
    pub id: String,
    /// Published events that its filter selected.
    pub matched: u64,
    /// Published events that its filter did not select.
    pub filtered_out: u64,
    /// Events it received, reports of its own losses not counted.
    pub delivered: u64,
    /// Events it had asked for and did not get.
    pub dropped: u64,
    /// `dropped` by kind of event.
    pub dropped_by_kind: BTreeMap<&'static str, u64>,
    /// `dropped` by reason: `queue_full`, `deadline_exceeded`, `publish_cancelled`, `subscription_ended`.
    pub dropped_by_reason: BTreeMap<&'static str, u64>,
    /// Events waiting for it.
    pub queued: usize,
    /// Most events that may wait for it.
    pub capacity: usize,
    /// Most events that ever waited for it.
    pub high_water_mark: usize,
    /// Total time publishers waited for it, in nanoseconds.
    pub blocked_ns: u64,
    /// Whether publishers have given up waiting for it until it takes an event.
    pub stalled: bool,
}
