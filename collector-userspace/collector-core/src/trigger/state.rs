//! What a manager keeps per collector: what it can do, what waits for it, and the counters.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::capabilities::{TriggerCapabilities, TriggerResourceLimits};
use super::condition::TriggerCondition;
use super::config::TriggerConfig;
use super::limits::{Rate, Recent};
use super::queue::{Pushed, Queue};
use super::request::{Ask, Key};
use super::statistics::TriggerCounts;
use super::task::Outcome;

/// All that changes while events are looked at. One lock guards it; every method leaves it consistent.
pub(super) struct State {
    collectors: BTreeMap<String, Target>,
    recent: Recent,
    pending: usize,
    max_pending: usize,
    /// How long a request may wait.
    patience: Duration,
    ageing: Duration,
    closed: bool,
    /// Buses that are being served.
    serving: usize,
}

/// A collector that analyses.
struct Target {
    capabilities: TriggerCapabilities,
    rate: Rate,
    queue: Queue<Ask>,
    counts: TriggerCounts,
}

impl Target {
    const fn is_busy(&self) -> bool {
        self.counts.running >= self.capabilities.max_concurrent_analysis as u64
    }
}

impl State {
    pub(super) fn new(config: &TriggerConfig) -> Self {
        Self {
            collectors: BTreeMap::new(),
            recent: Recent::new(config.deduplication_window, config.max_remembered),
            pending: 0,
            max_pending: config.max_pending_triggers,
            patience: config.default_timeout,
            ageing: config.ageing,
            closed: false,
            serving: 0,
        }
    }

    /// Adds a collector, or replaces what was said of it; what waits for it goes on waiting.
    pub(super) fn register(&mut self, capabilities: TriggerCapabilities, now: Instant) {
        let rate = Rate::new(capabilities.max_trigger_rate, now);
        match self.collectors.get_mut(&capabilities.collector_id) {
            Some(target) => {
                target.rate = rate;
                target.queue.set_capacity(capabilities.resource_limits.max_queue_depth);
                target.capabilities = capabilities;
            }
            None => {
                let queue = Queue::new(capabilities.resource_limits.max_queue_depth, self.ageing);
                let id = capabilities.collector_id.clone();
                let counts = TriggerCounts::default();
                self.collectors.insert(id, Target { capabilities, rate, queue, counts });
            }
        }
    }

    pub(super) fn capabilities(&self, collector_id: &str) -> Option<&TriggerCapabilities> {
        self.collectors.get(collector_id).map(|target| &target.capabilities)
    }

    /// A condition is met: queues what it asks for, unless a limit says no. Whether it is queued.
    pub(super) fn admit(
        &mut self,
        condition: &TriggerCondition,
        key: Key,
        now: Instant,
        ask: impl FnOnce() -> Ask,
    ) -> bool {
        if self.pending >= self.max_pending {
            // What waits in vain for one collector must not keep place from the others.
            for target in self.collectors.values_mut() {
                expire(target, &mut self.recent, &mut self.pending, self.patience, now);
            }
        }
        let Some(target) = self.collectors.get_mut(&condition.target_collector) else { return false };
        target.counts.matched += 1;
        expire(target, &mut self.recent, &mut self.pending, self.patience, now);
        if self.recent.knows(key, now) {
            target.counts.deduplicated += 1;
            return false;
        }
        if !target.rate.allows(now) {
            target.counts.rate_limited += 1;
            return false;
        }
        let has_room = self.pending < self.max_pending;
        match target.queue.push(ask(), condition.priority, key, now, has_room) {
            Pushed::Queued => self.pending += 1,
            Pushed::Displaced(key) => {
                target.counts.queue_full += 1;
                self.recent.undo(key);
            }
            Pushed::Refused => {
                target.counts.queue_full += 1;
                return false;
            }
        }
        self.recent.remember(key, now);
        target.counts.requested += 1;
        true
    }

    /// Takes the next request whose collector is wanted and has time for it; it counts as running until [`end`](Self::end).
    pub(super) fn next(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Option<(Ask, TriggerResourceLimits)> {
        for (_, target) in self.collectors.iter_mut().filter(|(id, _)| wanted(id)) {
            if target.is_busy() {
                continue;
            }
            expire(target, &mut self.recent, &mut self.pending, self.patience, now);
            if let Some(ask) = target.queue.pop(now) {
                self.pending -= 1;
                target.counts.started += 1;
                target.counts.running += 1;
                return Some((ask, target.capabilities.resource_limits));
            }
        }
        None
    }

    /// An analysis of this collector is over.
    pub(super) fn end(&mut self, collector_id: &str, outcome: Outcome) {
        if let Some(Target { counts, .. }) = self.collectors.get_mut(collector_id) {
            counts.running = counts.running.saturating_sub(1);
            match outcome {
                Outcome::Succeeded => counts.succeeded += 1,
                Outcome::Failed => counts.failed += 1,
                Outcome::TimedOut => counts.timed_out += 1,
            }
        }
    }

    pub(super) const fn begin_to_serve(&mut self) {
        self.serving += 1;
        self.closed = false;
    }

    /// One bus less; whether there are others.
    pub(super) const fn end_to_serve(&mut self) -> bool {
        self.serving = self.serving.saturating_sub(1);
        self.serving > 0
    }

    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The counters by collector.
    pub(super) fn counts(&self) -> BTreeMap<String, TriggerCounts> {
        let counts = |target: &Target| TriggerCounts { pending: target.queue.len() as u64, ..target.counts };
        self.collectors.iter().map(|(id, target)| (id.clone(), counts(target))).collect()
    }
}

/// Gives up requests that have waited too long, whether or not anybody asks for them. They were not answered, so the next
/// of their sort is no repetition.
fn expire(target: &mut Target, recent: &mut Recent, pending: &mut usize, patience: Duration, now: Instant) {
    target.queue.expire(patience, now, |key| {
        recent.undo(key);
        *pending -= 1;
        target.counts.expired += 1;
    });
}
