//! What a workflow looks at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::event::{CollectionEvent, TriggerRequest};

/// What a workflow looks at, and what else its stages should know.
///
/// ```
/// use collector_core::analysis::AnalysisSubject;
///
/// let subject = AnalysisSubject::path("/usr/bin/true").with_metadata("case", "42");
/// assert_eq!(subject.metadata()["case"], "42");
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnalysisSubject {
    target: AnalysisTarget,
    correlation_id: Option<String>,
    metadata: BTreeMap<String, String>,
}

/// The thing itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum AnalysisTarget {
    /// Nothing: stages find what to look at by themselves, or have nothing to say.
    #[default]
    Nothing,
    /// Something that happened.
    Event(Arc<CollectionEvent>),
    /// What a trigger asked for.
    Trigger(Box<TriggerRequest>),
    /// A file.
    Path(PathBuf),
}

impl AnalysisSubject {
    /// An event. A [`CollectionEvent::TriggerRequest`] is the trigger that it carries.
    #[must_use]
    pub fn event(event: impl Into<Arc<CollectionEvent>>) -> Self {
        let event = event.into();
        match &*event {
            CollectionEvent::TriggerRequest(request) => Self::trigger(request.clone()),
            _ => Self { target: AnalysisTarget::Event(event), ..Self::default() },
        }
    }

    /// What a trigger asks for. Its correlation id and its metadata become the subject's.
    #[must_use]
    pub fn trigger(request: TriggerRequest) -> Self {
        Self {
            correlation_id: Some(request.correlation_id.clone()).filter(|id| !id.is_empty()),
            metadata: request.metadata.clone().into_iter().collect(),
            target: AnalysisTarget::Trigger(Box::new(request)),
        }
    }

    /// A file.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self { target: AnalysisTarget::Path(path.into()), ..Self::default() }
    }

    /// Adds a fact. A workflow takes 100 of them, with 64 KiB in all.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets the id that ties requests, results and alerts together. Default: the id of the execution.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The thing itself.
    #[must_use]
    pub const fn target(&self) -> &AnalysisTarget {
        &self.target
    }

    /// What ties requests, results and alerts together, if somebody said so.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    /// Further facts.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Entries, and bytes of keys, values and correlation id.
    pub(super) fn metadata_size(&self) -> (usize, usize) {
        let id = self.correlation_id.as_ref().map_or(0, String::len);
        (
            self.metadata.len(),
            id + self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>(),
        )
    }
}
