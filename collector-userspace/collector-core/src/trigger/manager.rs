//! The trigger manager: conditions, queues and counters.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::condition::{ConditionType, Conditions, Custom, TriggerCondition};
use super::config::{TriggerCapabilities, TriggerConfig, TriggerResourceLimits};
use super::error::TriggerError;
use super::limits::{Rate, Recent};
use super::queue::{Pushed, Queue};
use super::statistics::{TriggerCounts, TriggerStatistics};
use crate::event::{AnalysisType, CollectionEvent, ExecId, Text, TriggerRequest};

/// Turns events into requests for analysis. Clones are handles to the same one.
///
/// ```
/// # use collector_core::{AnalysisType, ConditionType, TriggerCapabilities, TriggerPriority, TriggerResourceLimits};
/// use collector_core::{TriggerManager, TriggerCondition, TriggerConfig};
///
/// # fn main() -> anyhow::Result<()> {
/// let trigger_manager = TriggerManager::new(TriggerConfig::default())?;
///
/// // Register collector capabilities
/// let capabilities = TriggerCapabilities {
///     collector_id: "binary-hasher".to_string(),
///     supported_conditions: vec![
///         ConditionType::ProcessNamePattern("suspicious".to_string()),
///         ConditionType::MissingExecutable,
///     ],
///     supported_analysis: vec![AnalysisType::BinaryHash],
///     max_trigger_rate: 100,
///     max_concurrent_analysis: 10,
///     supported_priorities: vec![TriggerPriority::High, TriggerPriority::Critical],
///     resource_limits: TriggerResourceLimits::default(),
/// };
///
/// trigger_manager.register_collector_capabilities(capabilities)?;
///
/// // Register trigger conditions
/// let condition = TriggerCondition {
///     id: "suspicious-process".to_string(),
///     description: "Detect suspicious processes".to_string(),
///     analysis_type: AnalysisType::BinaryHash,
///     priority: TriggerPriority::High,
///     target_collector: "binary-hasher".to_string(),
///     condition_type: ConditionType::ProcessNamePattern("malware".to_string()),
/// };
///
/// trigger_manager.register_condition(condition)?;
/// # use collector_core::{CollectionEvent, ProcessEvent};
/// # let event = ProcessEvent { pid: 7, name: "malware.sh".to_owned(), ..ProcessEvent::default() };
/// # let requests = trigger_manager.evaluate(&CollectionEvent::Process(event));
/// # assert_eq!((requests.len(), requests[0].target_pid), (1, Some(7)));
/// # Ok(())
/// # }
/// ```
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
    /// Tells the ids of this manager from those of another.
    instance: u32,
}

struct State {
    collectors: BTreeMap<String, Target>,
    recent: Recent<Key>,
    pending: usize,
    closed: bool,
}

/// A collector that analyses.
struct Target {
    capabilities: TriggerCapabilities,
    rate: Rate,
    queue: Queue,
    counts: TriggerCounts,
}

impl Target {
    /// Gives up requests that have waited too long, whether or not anybody asks for them.
    fn expire(&mut self, patience: Duration, now: Instant, pending: &mut usize) {
        let expired = self.queue.expire(patience, now);
        *pending -= expired;
        self.counts.expired += expired as u64;
    }
}

/// What makes two triggers the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    collector: String,
    analysis: AnalysisType,
    process: Option<(u32, Option<ExecId>)>,
    path: Option<String>,
}

impl TriggerManager {
    /// A manager without collectors and conditions.
    ///
    /// # Errors
    /// [`TriggerError::Zero`]: a limit that must not be zero is.
    pub fn new(config: TriggerConfig) -> Result<Self, TriggerError> {
        let limits = [
            ("max_conditions", config.max_conditions),
            ("max_pending_triggers", config.max_pending_triggers),
            ("max_remembered", config.max_remembered),
        ];
        if let Some((field, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(TriggerError::Zero { field });
        }
        let durations = [("default_timeout", config.default_timeout), ("ageing", config.ageing)];
        if let Some((field, _)) = durations.into_iter().find(|(_, duration)| duration.is_zero()) {
            return Err(TriggerError::Zero { field });
        }
        let state = State {
            collectors: BTreeMap::new(),
            recent: Recent::new(config.deduplication_window, config.max_remembered),
            pending: 0,
            closed: false,
        };
        let shared = Shared {
            conditions: RwLock::new(Conditions::new(&config.suspicious)),
            config,
            state: Mutex::new(state),
            ready: Notify::new(),
            evaluated: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
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
        check(&capabilities)?;
        let now = Instant::now();
        let mut state = self.shared.state();
        let rate = Rate::new(capabilities.max_trigger_rate, now);
        match state.collectors.get_mut(&capabilities.collector_id) {
            Some(target) => {
                target.rate = rate;
                target.capabilities = capabilities;
            }
            None => {
                let queue =
                    Queue::new(capabilities.resource_limits.max_queue_depth, self.shared.config.ageing);
                let id = capabilities.collector_id.clone();
                let counts = TriggerCounts::default();
                state.collectors.insert(id, Target { capabilities, rate, queue, counts });
            }
        }
        drop(state);
        self.shared.ready.notify_waiters();
        Ok(())
    }

    /// What a collector has said of itself.
    #[must_use]
    pub fn collector_capabilities(&self, collector_id: &str) -> Option<TriggerCapabilities> {
        self.shared.state().collectors.get(collector_id).map(|target| target.capabilities.clone())
    }

    /// Adds a condition. One that cannot be evaluated is refused, and harms no other.
    ///
    /// # Errors
    /// [`TriggerError::UnknownCollector`], [`NotOffered`](TriggerError::NotOffered),
    /// [`DuplicateCondition`](TriggerError::DuplicateCondition), [`TooManyConditions`](TriggerError::TooManyConditions) or
    /// [`Condition`](TriggerError::Condition).
    pub fn register_condition(&self, condition: TriggerCondition) -> Result<(), TriggerError> {
        offered(&self.shared.state(), &condition)?;
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
    /// [`serve`](Self::serve) needs to ask for.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner).kinds()
    }

    /// Makes a predicate known under a name, for [`ConditionType::Custom`] conditions that are registered afterwards.
    ///
    /// A predicate that panics is not met, and is called no more.
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
        let mut requests = Vec::new();
        conditions.each_met(event, |condition| requests.extend(self.shared.request(condition, event)));
        drop(conditions);
        if !requests.is_empty() {
            self.shared.ready.notify_one();
        }
        requests
    }

    /// The next request that its collector has time for; `None` when there is none just now. The task counts as running
    /// until it is [finished](TriggerTask::finish) or dropped.
    ///
    /// `wanted` says which collectors are asked for.
    pub fn try_next(&self, wanted: impl Fn(&str) -> bool) -> Option<TriggerTask> {
        let now = Instant::now();
        let mut state = self.shared.state();
        let State { collectors, pending, .. } = &mut *state;
        for (id, target) in collectors.iter_mut().filter(|(id, _)| wanted(id)) {
            if target.counts.running >= u64::from(target.capabilities.max_concurrent_analysis) {
                continue;
            }
            target.expire(self.shared.config.default_timeout, now, pending);
            if let Some(request) = target.queue.pop(now) {
                *pending -= 1;
                target.counts.started += 1;
                target.counts.running += 1;
                let limits = target.capabilities.resource_limits;
                let collector = id.clone();
                return Some(TriggerTask {
                    request,
                    limits,
                    collector,
                    shared: Arc::clone(&self.shared),
                    outcome: None,
                });
            }
        }
        None
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
            if self.shared.state().closed {
                return None;
            }
            ready.await;
        }
    }

    /// Nobody shall wait for requests any more.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.ready.notify_waiters();
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> TriggerStatistics {
        let conditions = self.shared.conditions.read().unwrap_or_else(PoisonError::into_inner);
        let state = self.shared.state();
        let collectors = state.collectors.iter().map(|(id, target)| {
            (id.clone(), TriggerCounts { pending: target.queue.len() as u64, ..target.counts })
        });
        TriggerStatistics {
            evaluated: self.shared.evaluated.load(Ordering::Relaxed),
            conditions: conditions.len(),
            matches: conditions.matches(),
            collectors: collectors.collect(),
        }
    }
}

impl fmt::Debug for TriggerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerManager").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state consistent at each step, so a poisoned lock is as good as another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A condition is met: makes a request of it, unless a limit says no.
    fn request(&self, condition: &TriggerCondition, event: &CollectionEvent) -> Option<TriggerRequest> {
        let now = Instant::now();
        let (pid, file) = (event.pid(), target(event));
        let path = file.as_ref().map(|file| file.to_string_lossy().into_owned());
        let key = Key {
            collector: condition.target_collector.clone(),
            analysis: condition.analysis_type.clone(),
            process: pid.map(|pid| (pid, event.exec_id())),
            path: path.clone(),
        };
        let mut state = self.state();
        let State { collectors, recent, pending, .. } = &mut *state;
        let target = collectors.get_mut(&condition.target_collector)?;
        target.counts.matched += 1;
        target.expire(self.config.default_timeout, now, pending);
        if !recent.is_new(&key, now) {
            target.counts.deduplicated += 1;
            return None;
        }
        if !target.rate.allows(now) {
            target.counts.rate_limited += 1;
            // It was not made, so the next one is no repetition.
            recent.undo(&key);
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = TriggerRequest {
            trigger_id: format!("{}-{:08x}-{id}", condition.id, self.instance),
            target_collector: condition.target_collector.clone(),
            analysis_type: condition.analysis_type.clone(),
            priority: condition.priority,
            target_pid: pid,
            target_path: path,
            target_bytes: file.filter(|file| file.as_str().is_none()),
            process: event.process(),
            correlation_id: event
                .exec_id()
                .map_or_else(|| format!("{:08x}-{id}", self.instance), |id| id.to_string()),
            metadata: metadata(condition, event),
            timestamp: SystemTime::now(),
        };
        let pushed = if *pending >= self.config.max_pending_triggers {
            Pushed::Refused
        } else {
            target.queue.push(request.clone(), now)
        };
        match pushed {
            Pushed::Queued => *pending += 1,
            Pushed::Displaced(_) => target.counts.queue_full += 1,
            Pushed::Refused => {
                target.counts.queue_full += 1;
                recent.undo(&key);
                return None;
            }
        }
        target.counts.requested += 1;
        Some(request)
    }
}

/// What an event asks to be looked at: the file it is about, or what the process runs.
fn target(event: &CollectionEvent) -> Option<Text> {
    match event {
        CollectionEvent::Process(event) => event.executable_path.clone(),
        CollectionEvent::Filesystem(event) => Some(event.path.clone()),
        CollectionEvent::Network(event) => event.process.as_ref()?.executable.clone(),
        CollectionEvent::TriggerRequest(request) => {
            request.target_bytes.clone().or_else(|| request.target_path.as_deref().map(Text::from))
        }
        CollectionEvent::Alert(alert) => alert.path.clone(),
        CollectionEvent::Performance(event) => event.process.as_ref()?.executable.clone(),
        CollectionEvent::Loss(_) => None,
    }
}

fn metadata(condition: &TriggerCondition, event: &CollectionEvent) -> HashMap<String, String> {
    let TriggerCondition { id, description, condition_type, .. } = condition;
    let mut metadata = HashMap::from([
        ("condition".to_owned(), id.clone()),
        ("description".to_owned(), description.clone()),
        ("condition_type".to_owned(), condition_type.name().to_owned()),
        ("kind".to_owned(), event.kind().to_owned()),
    ]);
    if let Some(id) = event.exec_id() {
        metadata.insert("exec_id".to_owned(), id.to_string());
    }
    metadata
}

fn check(capabilities: &TriggerCapabilities) -> Result<(), TriggerError> {
    let TriggerCapabilities {
        collector_id,
        supported_conditions: _,
        supported_analysis,
        max_trigger_rate,
        max_concurrent_analysis,
        supported_priorities,
        resource_limits: TriggerResourceLimits { max_memory_per_task, max_analysis_time_ms, max_queue_depth },
    } = capabilities;
    let problems = [
        ("collector_id", collector_id.is_empty(), "is empty"),
        ("supported_analysis", supported_analysis.is_empty(), "is empty: it could do nothing"),
        ("supported_priorities", supported_priorities.is_empty(), "is empty: it would take nothing"),
        ("max_trigger_rate", *max_trigger_rate == 0, "is 0; it must be at least 1"),
        ("max_concurrent_analysis", *max_concurrent_analysis == 0, "is 0; it must be at least 1"),
        ("resource_limits.max_memory_per_task", *max_memory_per_task == 0, "is 0; it must be at least 1"),
        ("resource_limits.max_analysis_time_ms", *max_analysis_time_ms == 0, "is 0; it must be at least 1"),
        ("resource_limits.max_queue_depth", *max_queue_depth == 0, "is 0; it must be at least 1"),
    ];
    match problems.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
        Some((field, _, problem)) => {
            Err(TriggerError::Capabilities { collector_id: collector_id.clone(), field, problem })
        }
        None => Ok(()),
    }
}

/// Checks that the condition's collector offers what it asks for.
fn offered(state: &State, condition: &TriggerCondition) -> Result<(), TriggerError> {
    let TriggerCondition { id, description: _, analysis_type, priority, target_collector, condition_type } =
        condition;
    let Some(target) = state.collectors.get(target_collector) else {
        return Err(TriggerError::UnknownCollector {
            id: id.clone(),
            collector_id: target_collector.clone(),
        });
    };
    let same_kind = |other: &ConditionType| other.name() == condition_type.name();
    let what = if !target.capabilities.supported_analysis.contains(analysis_type) {
        format!("the analysis {analysis_type:?}")
    } else if !target.capabilities.supported_priorities.contains(priority) {
        format!("the priority {priority:?}")
    } else if !target.capabilities.supported_conditions.iter().any(same_kind) {
        format!("conditions of the type {}", condition_type.name())
    } else {
        return Ok(());
    };
    Err(TriggerError::NotOffered { id: id.clone(), collector_id: target_collector.clone(), what })
}

/// How an analysis ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
}

/// A request on its way through a handler. Dropping it without a word counts as a failure.
pub struct TriggerTask {
    request: TriggerRequest,
    limits: TriggerResourceLimits,
    collector: String,
    shared: Arc<Shared>,
    outcome: Option<Outcome>,
}

impl TriggerTask {
    /// What is asked for.
    #[must_use]
    pub const fn request(&self) -> &TriggerRequest {
        &self.request
    }

    /// What the analysis may take.
    #[must_use]
    pub const fn limits(&self) -> TriggerResourceLimits {
        self.limits
    }

    /// How long the analysis may take.
    #[must_use]
    pub const fn time(&self) -> Duration {
        Duration::from_millis(self.limits.max_analysis_time_ms)
    }

    /// The analysis is over.
    pub fn finish(self, succeeded: bool) {
        self.end(if succeeded { Outcome::Succeeded } else { Outcome::Failed });
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for TriggerTask {
    fn drop(&mut self) {
        if let Some(target) = self.shared.state().collectors.get_mut(&self.collector) {
            target.counts.running = target.counts.running.saturating_sub(1);
            match self.outcome.unwrap_or(Outcome::Failed) {
                Outcome::Succeeded => target.counts.succeeded += 1,
                Outcome::Failed => target.counts.failed += 1,
                Outcome::TimedOut => target.counts.timed_out += 1,
            }
        }
        self.shared.ready.notify_one();
    }
}

impl fmt::Debug for TriggerTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerTask").field("request", &self.request).finish_non_exhaustive()
    }
}
