//! What a publisher says an event belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::EventBusError;

/// Most tags of one event.
const MAX_TAGS: usize = 16;
/// Longest correlation id, key or value, in bytes.
const MAX_BYTES: usize = 256;

/// A correlation id and tags, given by whoever publishes an event with
/// [`publish_with`](super::LocalEventBus::publish_with) and found by
/// [`CorrelationFilter`](super::CorrelationFilter). Clones share them, so that giving the same to many events is cheap.
///
/// At most 16 tags; id, keys and values have at most 256 bytes each: events wait in queues, whose bounds count events.
///
/// ```
/// use collector_core::CorrelationTags;
///
/// let tags = CorrelationTags::new().with_correlation_id("workflow-17").with_tag("stage", "hash");
/// assert_eq!((tags.correlation_id(), tags.get("stage")), (Some("workflow-17"), Some("hash")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelationTags(Option<Arc<Inner>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Inner {
    id: Option<String>,
    tags: BTreeMap<String, String>,
}

impl CorrelationTags {
    /// No id and no tags.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the correlation id: what ties the events of one undertaking together.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.inner().id = Some(id.into());
        self
    }

    /// Adds a tag, or replaces the one with the same key.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.inner().tags.insert(key.into(), value.into());
        self
    }

    /// The correlation id.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.as_ref()?.id.as_deref()
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.tags.get(key).map(String::as_str)
    }

    /// The tags as (key, value), in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.0.iter().flat_map(|inner| &inner.tags);
        tags.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// Whether they keep to the limits.
    pub(super) fn check(&self) -> Result<(), EventBusError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.tags.len() > MAX_TAGS {
            return Err(EventBusError::TooManyTags { count: inner.tags.len(), limit: MAX_TAGS });
        }
        let lengths = inner.id.iter().map(|id| ("correlation id", id.len()));
        let keys = inner.tags.keys().map(|key| ("key of a tag", key.len()));
        let values = inner.tags.values().map(|value| ("value of a tag", value.len()));
        for (what, length) in lengths.chain(keys).chain(values) {
            if length > MAX_BYTES {
                return Err(EventBusError::TagTooLong { what, length, limit: MAX_BYTES });
            }
        }
        Ok(())
    }
}
