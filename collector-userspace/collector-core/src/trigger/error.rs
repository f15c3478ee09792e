//! Why the trigger manager refused.

/// Why the trigger manager refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// A number or duration of the configuration cannot work.
    #[error("trigger configuration: {field} is 0; it must be at least 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A collector says something of itself that cannot be.
    #[error("collector {collector_id:?}: {field} {problem}")]
    Capabilities {
        /// The collector.
        collector_id: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A condition names a collector that nobody registered.
    #[error(
        "condition {id:?} is for {collector_id:?}, which is not registered: register its capabilities first"
    )]
    UnknownCollector {
        /// The condition.
        id: String,
        /// The collector.
        collector_id: String,
    },
    /// A condition asks its collector for something it does not offer.
    #[error("condition {id:?}: collector {collector_id:?} does not offer {what}")]
    NotOffered {
        /// The condition.
        id: String,
        /// The collector.
        collector_id: String,
        /// What it does not offer.
        what: String,
    },
    /// The id is taken.
    #[error("there already is a condition {id:?}")]
    DuplicateCondition {
        /// The id.
        id: String,
    },
    /// The configuration allows no more.
    #[error("there are {limit} conditions, the limit (max_conditions)")]
    TooManyConditions {
        /// The limit.
        limit: usize,
    },
    /// What the condition looks for cannot be understood.
    #[error("condition {id:?}: {reason}")]
    Condition {
        /// The condition.
        id: String,
        /// Why, with the place where there is one.
        reason: String,
    },
}
