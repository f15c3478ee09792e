//! What all monitors let their users set.

use std::time::Duration;

/// How a monitor polls. Made with the fields that matter and `..Default::default()`.
///
/// ```
/// use collector_core::monitor::MonitorCollectorConfig;
/// use std::time::Duration;
///
/// let config = MonitorCollectorConfig {
///     collection_interval: Duration::from_secs(5),
///     ..Default::default()
/// };
/// assert!(config.validate().is_ok());
/// ```
///
/// In files durations are text such as `"30s"`, and unknown fields are errors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorCollectorConfig {
    /// Time from one look to the next; 1 s to a day. Default 30 s.
    #[serde(with = "crate::config::duration")]
    pub collection_interval: Duration,
    /// Most events made from a look that wait to be taken; 1 to 100,000. What else the look found is kept in its short form
    /// until there is room, and the next look waits for that. Default 1000.
    pub max_events_in_flight: usize,
    /// Whether an event on a bus that says something has changed makes the monitor look early instead of waiting for the
    /// interval. It takes a subscription, given to the monitor; without one nothing is different. At most one look a second comes
    /// of it. Default `true`.
    pub enable_event_driven: bool,
    /// Longest time that handing over what was found may take once the end is wished for; up to 5 min. Default 10 s.
    #[serde(with = "crate::config::duration")]
    pub shutdown_timeout: Duration,
}

impl Default for MonitorCollectorConfig {
    fn default() -> Self {
        Self {
            collection_interval: Duration::from_secs(30),
            max_events_in_flight: 1000,
            enable_event_driven: true,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// A setting of a monitor that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {range}")]
pub struct MonitorConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub range: &'static str,
}

impl MonitorConfigError {
    /// An error about `field`.
    #[must_use]
    pub fn new(field: &'static str, value: impl Into<String>, range: &'static str) -> Self {
        Self { field, value: value.into(), range }
    }
}

impl MonitorCollectorConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first field that cannot work, and what it may be.
    pub fn validate(&self) -> Result<(), MonitorConfigError> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let Self { collection_interval, max_events_in_flight, enable_event_driven: _, shutdown_timeout } =
            self;
        let check = |is_good: bool, field, value: &dyn std::fmt::Debug, range| match is_good {
            true => Ok(()),
            false => Err(MonitorConfigError::new(field, format!("{value:?}"), range)),
        };
        let interval_is_good = (Duration::from_secs(1)..=DAY).contains(collection_interval);
        check(interval_is_good, "collection_interval", collection_interval, "from 1s to 24h")?;
        let count_is_good = (1..=100_000).contains(max_events_in_flight);
        check(count_is_good, "max_events_in_flight", max_events_in_flight, "from 1 to 100000")?;
        let timeout_is_good = !shutdown_timeout.is_zero() && *shutdown_timeout <= Duration::from_secs(300);
        check(timeout_is_good, "shutdown_timeout", shutdown_timeout, "more than 0s and at most 5m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> MonitorCollectorConfig {
        MonitorCollectorConfig::default()
    }

    #[test]
    fn the_defaults_are_valid_and_survive_being_written() {
        base().validate().unwrap();
        let text = serde_json::to_string(&base()).unwrap();
        assert!(text.contains(r#""collection_interval":"30s""#), "{text}");
        assert_eq!(serde_json::from_str::<MonitorCollectorConfig>(&text).unwrap(), base());
        assert!(serde_json::from_str::<MonitorCollectorConfig>(r#"{"interval":"1s"}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named() {
        let cases = [
            (
                MonitorCollectorConfig { collection_interval: Duration::from_millis(999), ..base() },
                "collection_interval is 999ms; it must be from 1s to 24h",
            ),
            (
                MonitorCollectorConfig { collection_interval: Duration::MAX, ..base() },
                "collection_interval is 18446744073709551615.999999999s",
            ),
            (
                MonitorCollectorConfig { max_events_in_flight: 0, ..base() },
                "max_events_in_flight is 0; it must be from 1 to 100000",
            ),
            (
                MonitorCollectorConfig { shutdown_timeout: Duration::ZERO, ..base() },
                "shutdown_timeout is 0ns; it must be more than 0s",
            ),
        ];
        for (config, message) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error} for {message}");
        }
    }
}
