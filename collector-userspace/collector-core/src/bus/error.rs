//! Why the bus refuses.

use super::{BusConfigError, TopicPatternError};

/// Why the bus refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventBusError {
    /// Publishing before `start`.
    #[error("the event bus has not been started")]
    NotStarted,
    /// The bus was shut down.
    #[error("the event bus is closed")]
    Closed,
    /// The id is taken.
    #[error("there already is a subscriber {id:?}")]
    DuplicateSubscriber {
        /// The id.
        id: String,
    },
    /// The limit of the configuration is reached.
    #[error("the event bus has {limit} subscribers, its limit")]
    TooManySubscribers {
        /// The limit.
        limit: usize,
    },
    /// Nobody subscribed with this id, or not any more.
    #[error("there is no subscriber {id:?}")]
    UnknownSubscriber {
        /// The id.
        id: String,
    },
    /// A filter names a type that does not exist.
    #[error("there are no events of type {name:?}; the types are those of event::KINDS")]
    UnknownEventType {
        /// The name.
        name: String,
    },
    /// A queue without place.
    #[error("subscriber {id:?} wants a queue for 0 events; it must be at least 1")]
    ZeroCapacity {
        /// The subscriber.
        id: String,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] BusConfigError),
    /// A filter's topic pattern is malformed or matches nothing.
    #[error("{0}")]
    Topic(#[from] TopicPatternError),
    /// A filter's conditions exclude each other.
    #[error(
        "the filter selects nothing: no event of the wanted types can fulfil its {condition} condition; remove one of them"
    )]
    SelectsNothing {
        /// The condition that left nothing: `topic`, `process name`, `executable prefix`, `uid`, `container id`,
        /// `path prefix` or `metadata`.
        condition: &'static str,
    },
    /// A filter's range contains nothing.
    #[error("the filter's range of {of} is empty; its end must be after its start")]
    EmptyRange {
        /// `sequence numbers` or `event times`.
        of: &'static str,
    },
    /// More different subtrees are wanted than the bus can follow.
    #[error("the event bus follows {limit} subtrees, its limit; unsubscribe from one first")]
    TooManySubtrees {
        /// The limit: 64, or `ancestry_capacity` if that is less.
        limit: usize,
    },
    /// An event was to be published with too many tags.
    #[error("the event has {count} tags; at most {limit} are allowed")]
    TooManyTags {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An event was to be published with an overlong correlation id or tag.
    #[error("a {what} has {length} bytes; at most {limit} are allowed")]
    TagTooLong {
        /// `correlation id`, `key of a tag` or `value of a tag`.
        what: &'static str,
        /// Its length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}
