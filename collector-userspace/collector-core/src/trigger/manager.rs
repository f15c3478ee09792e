//! The trigger manager.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::capabilities::TriggerCapabilities;
use super::condition::TriggerCondition;
use super::conditions::Conditions;
use super::config::TriggerConfig;
use super::direct::Custom;
use super::error::TriggerError;
use super::request::Subject;
use super::state::State;
use super::statistics::TriggerStatistics;
use super::task::TriggerTask;
use crate::event::{CollectionEvent, TriggerRequest};

/// Turns events into requests for analysis. Clones are handles to the same one.
///
/// The [guide](crate::guide) shows it at work.
#[derive(Clone)]
pub struct TriggerManager {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    config: TriggerConfig,
    /// Read for each event, written when something is registered.
    conditions: RwLock<Conditions>,
    state: Mutex<State>,
    /// Rung when a request may have become ready, or nothing more will.
    pub(super) ready: Notify,
    evaluated: AtomicU64,
    next_id: AtomicU64,
    /// Makes keys of triggers.
    hashes: RandomState,
    /// Tells the ids of this manager from those of another.
    instance: u32,
}

impl TriggerManager {
    /// A manager without collectors and conditions.
    ///
    /// # Errors
    /// [`TriggerError::Zero`]: a limit that must not be zero is.
    pub fn new(config: TriggerConfig) -> Result<Self, TriggerError> {
        config.validate()?;
        let state = State::new(&config);
        let shared = Shared {
            conditions: RwLock::new(Conditions::new(&config.suspicious)),
            config,
            state: Mutex::new(state),
            ready: Notify::new(),
            evaluated: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            hashes: RandomState::new(),
            instance: crate::instance::number(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Says what a collector can do. Saying it again replaces what was said before; what waits for it goes on waiting.
    ///
    /// # Errors
    /// [`TriggerError::Capabilities`].
    pub fn register_collector_capabilities(
        &self,
        capabilities: TriggerCapabilities,
    ) -> Result<(), TriggerError> {
        capabilities.check()?;
        self.shared.state().register(capabilities, Instant::now());
        self.shared.ready.notify_waiters();
        Ok(())
    }

    /// What a collector has said of itself.
    #[must_use]
    pub fn collector_capabilities(&self, collector_id: &str) -> Option<TriggerCapabilities> {
        self.shared.state().capabilities(collector_id).cloned()
    }

    /// Adds a condition. One that cannot be evaluated is refused, and harms no other.
    ///
    /// # Errors
    /// [`TriggerError::UnknownCollector`], [`NotOffered`](TriggerError::NotOffered),
    /// [`DuplicateCondition`](TriggerError::DuplicateCondition), [`TooManyConditions`](TriggerError::TooManyConditions) or
    /// [`Condition`](TriggerError::Condition).
    pub fn register_condition(&self, condition: TriggerCondition) -> Result<(), TriggerError> {
        match self.shared.state().capabilities(&condition.target_collector) {
            Some(capabilities) => capabilities.check_offer(&condition)?,
            None => {
                let TriggerCondition { id, target_collector: collector_id, .. } = condition;
                return Err(TriggerError::UnknownCollector { id, collector_id });
            }
        }
        let mut conditions = self.shared.conditions.write().unwrap_or_else(PoisonError::into_inner);
        let limit = self.shared.config.max_conditions;
        if conditions.contains(&condition.id) {
            return Err(TriggerError::DuplicateCondition { id: condition.id });
        }
        if conditions.len() >= limit {
            return Err(TriggerError::TooManyConditions { limit });
        }
        conditions.insert(condition)
    }

    /// Takes a condition away; false if there is none.
    pub fn unregister_condition(&self, id: &str) -> bool {
        self.shared.conditions.write().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// The kinds of events that can meet a condition, as they are now: what a subscription for
    /// [`serve_events`](Self::serve_events) needs to ask for. What is not looked at there is not among them.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        let mut kinds = self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner).kinds();
        kinds.retain(|kind| is_looked_at(kind));
        kinds
    }

    /// The kinds of events that can meet one condition, as in [`kinds`](Self::kinds); `None` if there is no condition of this
    /// id. One without any is never met.
    #[must_use]
    pub fn kinds_of(&self, id: &str) -> Option<BTreeSet<&'static str>> {
        let mut kinds = self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner).kinds_of(id)?;
        kinds.retain(|kind| is_looked_at(kind));
        Some(kinds)
    }

    /// Makes a predicate known under a name, for [`Custom`](super::ConditionType::Custom) conditions that are registered afterwards.
    ///
    /// A predicate that panics is not met, and is called no more. It must not register or take away anything of this manager,
    /// which waits for it.
    pub fn register_predicate(
        &self,
        name: impl Into<String>,
        predicate: impl Fn(&CollectionEvent) -> bool + Send + Sync + 'static,
    ) {
        let mut conditions = self.shared.conditions.write().unwrap_or_else(PoisonError::into_inner);
        conditions.register_predicate(name.into(), Custom::new(predicate));
    }

    /// Looks at one event: the requests that are made of it wait for their collectors, and are returned as well.
    pub fn evaluate(&self, event: &CollectionEvent) -> Vec<TriggerRequest> {
        self.shared.evaluated.fetch_add(1, Ordering::Relaxed);
        let conditions = self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner);
        let (mut requests, mut subject) = (Vec::new(), None);
        conditions.each_met(event, |condition| {
            let subject = subject.get_or_insert_with(|| Subject::of(event));
            requests.extend(self.shared.request(condition, subject));
        });
        drop(conditions);
        if !requests.is_empty() {
            // All, as each may want requests of other collectors.
            self.shared.ready.notify_waiters();
        }
        requests
    }

    /// The next request that its collector has time for; `None` when there is none just now. The task counts as running
    /// until it is [finished](TriggerTask::finish) or dropped.
    ///
    /// `wanted` says which collectors are asked for.
    pub fn try_next(&self, wanted: impl Fn(&str) -> bool) -> Option<TriggerTask> {
        let (ask, limits) = self.shared.state().next(wanted, Instant::now())?;
        Some(TriggerTask::new(ask.request(self.shared.instance), limits, Arc::clone(&self.shared)))
    }

    /// Waits for the next request, see [`try_next`](Self::try_next); `None` after [`close`](Self::close).
    pub async fn next(&self, wanted: impl Fn(&str) -> bool) -> Option<TriggerTask> {
        loop {
            let mut ready = std::pin::pin!(self.shared.ready.notified());
            // Registered before looking, so that what comes in between is not missed.
            ready.as_mut().enable();
            if let Some(task) = self.try_next(&wanted) {
                return Some(task);
            }
            if self.shared.state().is_closed() {
                return None;
            }
            ready.await;
        }
    }

    /// Nobody shall wait for requests any more, until the manager [serves](Self::serve) again.
    pub fn close(&self) {
        self.shared.state().close();
        self.shared.ready.notify_waiters();
    }

    /// Opens the manager, if it was closed.
    pub(super) fn begin_to_serve(&self) -> Serving<'_> {
        self.shared.state().begin_to_serve();
        Serving { manager: self, is_over: false }
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> TriggerStatistics {
        let conditions = self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner);
        TriggerStatistics {
            evaluated: self.shared.evaluated.load(Ordering::Relaxed),
            conditions: conditions.len(),
            matches: conditions.matches(),
            collectors: self.shared.state().counts(),
        }
    }
}

/// A bus is being served. Of several the last one that comes to its end closes the manager.
pub(super) struct Serving<'a> {
    manager: &'a TriggerManager,
    is_over: bool,
}

impl Serving<'_> {
    /// Everything on the bus has been looked at.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let serves_others = self.manager.shared.state().end_to_serve();
        if self.is_over && !serves_others {
            self.manager.close();
        }
    }
}

impl fmt::Debug for TriggerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerManager").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Whether events of this kind are looked at: what a trigger leads to must not lead to triggers.
fn is_looked_at(kind: &str) -> bool {
    !matches!(kind, "trigger.request" | "alert")
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state consistent at each step, so a poisoned lock is as good as another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A condition is met: makes a request of it, unless a limit says no.
    fn request(&self, condition: &Arc<TriggerCondition>, subject: &Subject<'_>) -> Option<TriggerRequest> {
        let key = subject.key(condition, &self.hashes);
        let now = Instant::now();
        let mut request = None;
        let is_queued = self.state().admit(condition, key, now, || {
            let ask = subject.ask(condition, self.next_id.fetch_add(1, Ordering::Relaxed));
            request = Some(ask.request(self.instance));
            ask
        });
        request.filter(|_| is_queued)
    }
}
