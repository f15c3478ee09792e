//! The analyzers that are there from the start: collection, enrichment, detection and alerting.

mod alert;
mod collect;
mod detect;
mod enrich;
mod rule;
#[cfg(test)]
mod tests;

pub(super) use alert::AlertCounters;
pub use alert::{Alert, AlertOutcome, AlertSink, AlertSinkError, AlertStatistics, AlertingAnalyzer};
pub use collect::{CollectedSubject, CollectionAnalyzer, SubjectKind};
pub use detect::{DetectionAnalyzer, Verdict};
pub use enrich::{Enrichment, EnrichmentAnalyzer};
pub use rule::{RuleError, RuleMatch, VerdictRule};
