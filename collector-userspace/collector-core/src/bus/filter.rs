//! Which events a subscriber gets.

use std::borrow::Cow;

use super::{BusEvent, EventBusError};
use crate::event::{
    CollectionEvent, ExecId, FilesystemEvent, KindSet, LossEvent, NetworkEvent, PerformanceEvent,
    ProcessEvent, TriggerRequest,
};

/// Selects events. Conditions of different kinds must all hold; values of the same kind are alternatives. An empty filter
/// selects everything.
///
/// ```
/// use collector_core::{CollectionEvent, CorrelationFilter, EventFilter};
///
/// let filter = EventFilter::new()
///     .with_event_type(CollectionEvent::Process)
///     .with_event_type("network.connect")
///     .with_correlation_filter(CorrelationFilter::by_pid(1234));
/// # let _ = filter;
/// ```
///
/// A filter that selects only some kinds does not select `loss`; ask for it too where holes in the stream matter. The loss
/// of the subscriber's *own* queue is always told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    event_types: Vec<Cow<'static, str>>,
    pids: Vec<u32>,
    correlation: Option<CorrelationFilter>,
}

impl EventFilter {
    /// A filter that selects everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also selects events of this type: a variant of [`CollectionEvent`] (`CollectionEvent::Process`), a domain
    /// (`"process"`, see [`CollectionEvent::event_type`]) or a kind (`"process.exec"`, see [`CollectionEvent::kind`]). A
    /// name that does not exist makes `subscribe` fail.
    #[must_use]
    pub fn with_event_type<Marker>(mut self, event_type: impl EventType<Marker>) -> Self {
        self.event_types.push(event_type.into_name());
        self
    }

    /// Also selects events about this process id. Events about no process are not selected then.
    #[must_use]
    pub fn with_pid(self, pid: u32) -> Self {
        self.with_pids([pid])
    }

    /// Also selects events about these process ids. An empty list changes nothing.
    #[must_use]
    pub fn with_pids(mut self, pids: impl IntoIterator<Item = u32>) -> Self {
        self.pids.extend(pids);
        self
    }

    /// Selects only events that are correlated like this; replaces an earlier correlation filter.
    #[must_use]
    pub fn with_correlation_filter(mut self, filter: CorrelationFilter) -> Self {
        self.correlation = Some(filter);
        self
    }

    pub(super) fn compile(&self) -> Result<Matcher, EventBusError> {
        let Self { event_types, pids, correlation } = self;
        let mut kinds = if event_types.is_empty() { KindSet::ALL } else { KindSet::NONE };
        for name in event_types {
            let named = KindSet::named(name)
                .ok_or_else(|| EventBusError::UnknownEventType { name: name.clone().into_owned() })?;
            kinds = kinds.union(named);
        }
        let mut pids = pids.clone();
        pids.sort_unstable();
        pids.dedup();
        let any_process = pids.is_empty() && correlation.is_none();
        Ok(Matcher { kinds, any_process, pids, correlation: correlation.clone() })
    }
}

/// Selects events by what they are correlated with. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelationFilter {
    pid: Option<u32>,
    exec_id: Option<ExecId>,
}

impl CorrelationFilter {
    /// Events correlated with this process id: those of the process itself and of its connections and files.
    #[must_use]
    pub fn by_pid(pid: u32) -> Self {
        Self { pid: Some(pid), ..Self::default() }
    }

    /// Events correlated with this image of a process. Unlike a pid it is never reused.
    #[must_use]
    pub fn by_exec_id(exec_id: ExecId) -> Self {
        Self { exec_id: Some(exec_id), ..Self::default() }
    }

    fn matches(&self, event: &BusEvent) -> bool {
        let Self { pid, exec_id } = self;
        (pid.is_none() || event.correlation.pid == *pid)
            && (exec_id.is_none() || event.correlation.exec_id == *exec_id)
    }
}

/// A filter made ready for evaluation.
#[derive(Debug)]
pub(super) struct Matcher {
    kinds: KindSet,
    any_process: bool,
    /// Sorted.
    pids: Vec<u32>,
    correlation: Option<CorrelationFilter>,
}

impl Matcher {
    pub(super) fn matches(&self, event: &BusEvent) -> bool {
        self.kinds.contains(event.kind) && (self.any_process || self.matches_process(event))
    }

    fn matches_process(&self, event: &BusEvent) -> bool {
        let pid_matches = self.pids.is_empty()
            || event.correlation.pid.is_some_and(|pid| self.pids.binary_search(&pid).is_ok());
        pid_matches && self.correlation.as_ref().is_none_or(|filter| filter.matches(event))
    }
}

/// What [`EventFilter::with_event_type`] takes: a variant of [`CollectionEvent`] written as its constructor, or a name.
///
/// `Marker` only tells the implementations apart; it is always inferred.
pub trait EventType<Marker>: sealed::Sealed<Marker> {
    /// The name of the domain or kind.
    fn into_name(self) -> Cow<'static, str>;
}

mod sealed {
    pub trait Sealed<Marker> {}
}

/// Tells names apart from constructors.
#[derive(Debug)]
pub struct ByName;

macro_rules! constructors {
    ($($payload:ident => $name:literal),+ $(,)?) => {$(
        impl<F: Fn($payload) -> CollectionEvent> sealed::Sealed<$payload> for F {}

        impl<F: Fn($payload) -> CollectionEvent> EventType<$payload> for F {
            fn into_name(self) -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

constructors! {
    ProcessEvent => "process",
    NetworkEvent => "network",
    FilesystemEvent => "filesystem",
    PerformanceEvent => "performance",
    TriggerRequest => "trigger_request",
    LossEvent => "loss",
}

impl sealed::Sealed<ByName> for &str {}

impl EventType<ByName> for &str {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Owned(self.to_owned())
    }
}

impl sealed::Sealed<ByName> for String {}

impl EventType<ByName> for String {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}
