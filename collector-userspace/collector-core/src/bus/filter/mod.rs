//! Which events a subscriber gets.

mod actor;
mod correlation;
mod event_type;
mod matcher;

use std::borrow::Cow;

pub use correlation::CorrelationFilter;
pub use event_type::{ByName, EventType};
pub(super) use matcher::Matcher;

use super::EventBusError;
use super::topic::kinds_matching;
use crate::event::{KindSet, Text};

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
/// let shells_of_root_below_etc = EventFilter::new()
///     .with_topic("events/file/+")
///     .with_process_name("bash")
///     .with_process_name("sh")
///     .with_uid(0)
///     .with_path_prefix("/etc/");
/// # let _ = (filter, shells_of_root_below_etc);
/// ```
///
/// A condition on something that an event does not have, or that its source could not find out, does not hold. So a filter
/// by process name selects process, network and file events only, and `subscribe` refuses one that can select nothing,
/// such as a path prefix for process events.
///
/// A filter that selects only some kinds does not select `loss`; ask for it too where holes in the stream matter. The loss
/// of the subscriber's *own* queue is always told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    event_types: Vec<Cow<'static, str>>,
    unwanted_types: Vec<Cow<'static, str>>,
    topics: Vec<String>,
    pids: Vec<u32>,
    names: Vec<Text>,
    executables: Vec<Text>,
    paths: Vec<Text>,
    uids: Vec<u32>,
    containers: Vec<String>,
    metadata: Vec<(String, serde_json::Value)>,
    correlation: Option<CorrelationFilter>,
}

impl EventFilter {
    /// A filter that selects everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also selects events of this type: a variant of [`CollectionEvent`](crate::CollectionEvent)
    /// (`CollectionEvent::Process`), a domain (`"process"`, see
    /// [`CollectionEvent::event_type`](crate::CollectionEvent::event_type)) or a kind (`"process.exec"`, see
    /// [`CollectionEvent::kind`](crate::CollectionEvent::kind)). A name that does not exist makes `subscribe` fail.
    #[must_use]
    pub fn with_event_type<Marker>(mut self, event_type: impl EventType<Marker>) -> Self {
        self.event_types.push(event_type.into_name());
        self
    }

    /// Selects no events of this type, named as in [`with_event_type`](Self::with_event_type), whatever else is said.
    ///
    /// Whoever publishes what it makes of the events it receives should leave those out: a subscriber with
    /// [`OverflowPolicy::Block`](crate::OverflowPolicy) would wait for itself otherwise.
    #[must_use]
    pub fn without_event_type<Marker>(mut self, event_type: impl EventType<Marker>) -> Self {
        self.unwanted_types.push(event_type.into_name());
        self
    }

    /// Also selects events whose topic ([`TOPICS`](crate::event::TOPICS)) matches this pattern, by MQTT's rules: levels are
    /// divided by `/`; `+` stands for one whole level; `#`, as the last level, for all further ones or none. A pattern that
    /// is malformed or can match nothing makes `subscribe` fail with [`EventBusError::Topic`]. Costs nothing per event: it
    /// becomes a set of kinds.
    #[must_use]
    pub fn with_topic(mut self, pattern: impl Into<String>) -> Self {
        self.topics.push(pattern.into());
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

    /// Also selects process, network and file events of processes with exactly this name (`comm`), compared as bytes. On
    /// Linux a name has at most 15 bytes and the process itself can change it.
    #[must_use]
    pub fn with_process_name(mut self, name: impl Into<Text>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Also selects process, network and file events of processes whose executable's path begins with these bytes. Bytes,
    /// not path components: `/usr/bin` also selects `/usr/bin2/x`, `/usr/bin/` does not.
    #[must_use]
    pub fn with_executable_prefix(mut self, prefix: impl Into<Text>) -> Self {
        self.executables.push(prefix.into());
        self
    }

    /// Also selects file events whose path, or path before a rename, begins with these bytes. As with
    /// [`with_executable_prefix`](Self::with_executable_prefix), end it with `/` to mean a directory.
    #[must_use]
    pub fn with_path_prefix(mut self, prefix: impl Into<Text>) -> Self {
        self.paths.push(prefix.into());
        self
    }

    /// Also selects process, network and file events of processes with this real user id.
    #[must_use]
    pub fn with_uid(mut self, uid: u32) -> Self {
        self.uids.push(uid);
        self
    }

    /// Also selects process, network and file events of processes in the container with exactly this id.
    #[must_use]
    pub fn with_container_id(mut self, container_id: impl Into<String>) -> Self {
        self.containers.push(container_id.into());
        self
    }

    /// Also selects process events whose [`platform_metadata`](crate::ProcessEvent::platform_metadata) is an object that has
    /// `key` with exactly this value. `key` is the member's name as it is: a dot in it is a character. Values for the same
    /// key are alternatives; different keys must all be there.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Selects only events that are correlated like this; replaces an earlier correlation filter.
    #[must_use]
    pub fn with_correlation_filter(mut self, filter: CorrelationFilter) -> Self {
        self.correlation = Some(filter);
        self
    }

    /// The kinds that can fulfil all conditions.
    fn kinds(&self) -> Result<KindSet, EventBusError> {
        let mut named = if self.event_types.is_empty() { KindSet::ALL } else { KindSet::NONE };
        for name in &self.event_types {
            named = named.union(kinds_named(name)?);
        }
        for name in &self.unwanted_types {
            named = named.intersection(kinds_named(name)?.complement());
        }
        if named.is_empty() {
            return Err(EventBusError::SelectsNothing { condition: "unwanted type" });
        }
        let mut published = if self.topics.is_empty() { KindSet::ALL } else { KindSet::NONE };
        for pattern in &self.topics {
            published = published.union(kinds_matching(pattern)?);
        }
        let mut kinds = named.intersection(published);
        if kinds.is_empty() {
            return Err(EventBusError::SelectsNothing { condition: "topic" });
        }
        let with_actor = KindSet::PROCESS.union(KindSet::NETWORK).union(KindSet::FILE);
        let needs = [
            ("process name", self.names.is_empty(), with_actor),
            ("executable prefix", self.executables.is_empty(), with_actor),
            ("uid", self.uids.is_empty(), with_actor),
            ("container id", self.containers.is_empty(), with_actor),
            ("path prefix", self.paths.is_empty(), KindSet::FILE),
            ("metadata", self.metadata.is_empty(), KindSet::PROCESS),
        ];
        for (condition, absent, possible) in needs {
            if !absent {
                kinds = kinds.intersection(possible);
            }
            if kinds.is_empty() {
                return Err(EventBusError::SelectsNothing { condition });
            }
        }
        Ok(kinds)
    }
}

fn kinds_named(name: &str) -> Result<KindSet, EventBusError> {
    KindSet::named(name).ok_or_else(|| EventBusError::UnknownEventType { name: name.to_owned() })
}
