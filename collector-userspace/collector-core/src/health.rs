//! Health: how well the parts of something do, and so the whole.

use std::fmt;
use std::time::SystemTime;

/// How well something does; the greater the worse.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// Not known yet.
    #[default]
    Unknown,
    /// It works in part.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthStatus {
    /// The name in JSON: `healthy`, `unknown`, `degraded` or `unhealthy`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How well one part does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ComponentHealth {
    /// The part, for example `source kernel-file` or `store`.
    pub name: String,
    /// How well it does.
    pub status: HealthStatus,
    /// Why, where it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, where that is known. In files and JSON RFC 3339, as in events.
    #[serde(default, with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub since: Option<SystemTime>,
}

impl ComponentHealth {
    /// A part that works.
    #[must_use]
    pub fn healthy(name: impl Into<String>) -> Self {
        Self { name: name.into(), status: HealthStatus::Healthy, reason: None, since: None }
    }

    /// A part that does not, or not in full.
    #[must_use]
    pub fn not_healthy(name: impl Into<String>, status: HealthStatus, reason: impl Into<String>) -> Self {
        Self { name: name.into(), status, reason: Some(reason.into()), since: None }
    }

    /// Sets [`since`](Self::since).
    #[must_use]
    pub const fn since(mut self, since: SystemTime) -> Self {
        self.since = Some(since);
        self
    }
}

/// How well the whole does: as its worst part.
///
/// ```
/// use collector_core::{ComponentHealth, HealthReport, HealthStatus};
///
/// let report: HealthReport = [
///     ComponentHealth::healthy("output"),
///     ComponentHealth::not_healthy("store", HealthStatus::Unhealthy, "the disk is full"),
/// ]
/// .into_iter()
/// .collect();
/// assert_eq!((report.status, &*report.components[0].name), (HealthStatus::Unhealthy, "store"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HealthReport {
    /// The worst of all parts; unknown if there are none.
    pub status: HealthStatus,
    /// The parts, the worst first, otherwise in the order in which they were given.
    pub components: Vec<ComponentHealth>,
}

impl FromIterator<ComponentHealth> for HealthReport {
    fn from_iter<I: IntoIterator<Item = ComponentHealth>>(components: I) -> Self {
        let mut components: Vec<_> = components.into_iter().collect();
        components.sort_by_key(|component| std::cmp::Reverse(component.status));
        let status = components.first().map_or(HealthStatus::Unknown, |worst| worst.status);
        Self { status, components }
    }
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::json::Rfc3339;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Rfc3339).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let time = text.map(|text| text.parse::<jiff::Timestamp>().map_err(serde::de::Error::custom));
        Ok(time.transpose()?.map(SystemTime::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_counts() {
        use HealthStatus::{Degraded, Healthy, Unhealthy, Unknown};
        let part = |name: &str, status| ComponentHealth { status, ..ComponentHealth::healthy(name) };
        let parts = [("a", Healthy), ("b", Degraded), ("c", Unknown), ("d", Unhealthy), ("e", Degraded)];
        let report: HealthReport = parts.into_iter().map(|(name, status)| part(name, status)).collect();
        let names: String = report.components.iter().map(|part| part.name.as_str()).collect();
        assert_eq!((report.status, &*names), (Unhealthy, "dbeca"));
        assert_eq!(HealthReport::from_iter([]).status, Unknown);
    }

    #[test]
    fn a_report_survives_being_written_and_read() {
        let report = HealthReport::from_iter([
            ComponentHealth::healthy("a"),
            ComponentHealth::not_healthy("b", HealthStatus::Degraded, "slow").since(SystemTime::UNIX_EPOCH),
        ]);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.starts_with(r#"{"status":"degraded","#), "{text}");
        assert!(text.contains(r#""since":"1970-01-01T00:00:00.000000000Z""#), "{text}");
        assert_eq!(serde_json::from_str::<HealthReport>(&text).unwrap(), report);
    }
}
