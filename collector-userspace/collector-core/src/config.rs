//! Configuration of a collector.

pub(crate) mod duration;

use std::time::Duration;

use crate::bus::{BusConfigError, EventBusConfig};
use crate::collector::RestartPolicy;

/// Longest name of a component, in bytes.
const MAX_COMPONENT_NAME: usize = 128;

/// Shortest time from one health check to the next.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// Longest duration that is taken for meant: a year. Far from where clocks overflow.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Most of anything that memory is needed for.
const MAX_COUNT: usize = 1 << 24;

/// How a [`Collector`](crate::Collector) behaves. Every default is valid, and every field can be changed alone.
///
/// ```
/// use collector_core::CollectorConfig;
/// use std::time::Duration;
///
/// fn create_config() -> CollectorConfig {
///     CollectorConfig::new()
///         .with_max_event_sources(32)
///         .with_event_buffer_size(2000)
///         .with_shutdown_timeout(Duration::from_secs(60))
///         .with_health_check_interval(Duration::from_secs(120))
///         .with_debug_logging(true)
/// }
/// # create_config().validate().unwrap();
/// ```
///
/// In files durations are text such as `"30s"`, `"500ms"` or `"2m 30s"`, and unknown fields are errors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CollectorConfig {
    /// Name of this component in logs and health reports. Default `collector-core`.
    pub component_name: String,
    /// Most sources that may be registered. Default 16.
    pub max_event_sources: usize,
    /// Events each source may be ahead of the bus before it has to wait; up to 16,777,216. Default 1000.
    pub event_buffer_size: usize,
    /// Most events handed to the bus in one go; up to 16,777,216. Default 100. It does not delay events: a batch is what is there.
    pub max_batch_size: usize,
    /// Longest time from the wish to stop until [`run`](crate::Collector::run) returns. Default 30 s.
    #[serde(with = "duration")]
    pub shutdown_timeout: Duration,
    /// Time between two health checks of each source; also the longest time a check may take. Default 60 s.
    #[serde(with = "duration")]
    pub health_check_interval: Duration,
    /// How long a source may take until it [is started](crate::EventSource::is_started). A source that takes longer is
    /// reported as unhealthy until it is; it is never stopped for it. Default 10 s.
    #[serde(with = "duration")]
    pub startup_timeout: Duration,
    /// Whether and when a source that failed is started again.
    pub restart: RestartPolicy,
    /// Whether the runtime logs every batch, at debug level. Default `false`.
    pub enable_debug_logging: bool,
    /// Whether `run` stops on SIGINT and SIGTERM. Default `true`; embedders with signal handling of their own turn it off.
    pub handle_signals: bool,
    /// The event bus.
    pub event_bus: EventBusConfig,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            component_name: "collector-core".to_owned(),
            max_event_sources: 16,
            event_buffer_size: 1000,
            max_batch_size: 100,
            shutdown_timeout: Duration::from_secs(30),
            health_check_interval: Duration::from_secs(60),
            startup_timeout: Duration::from_secs(10),
            restart: RestartPolicy::default(),
            enable_debug_logging: false,
            handle_signals: true,
            event_bus: EventBusConfig::default(),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number or duration that must not be zero is.
    #[error("{field} is 0; it must be at least {least}")]
    Zero {
        /// The field.
        field: &'static str,
        /// The smallest sensible value.
        least: &'static str,
    },
    /// A number is so large that it must be a mistake.
    #[error("{field} is {value}; it may be {most} at most")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The value.
        value: usize,
        /// The largest allowed value.
        most: usize,
    },
    /// A duration is so short that nothing else would be done.
    #[error("{field} is shorter than {least}, which it must be at least")]
    TooShort {
        /// The field.
        field: &'static str,
        /// The smallest sensible value.
        least: &'static str,
    },
    /// A duration is so long that it must be a mistake.
    #[error("{field} is {seconds} s; it may be a year at most")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The value, in seconds.
        seconds: u64,
    },
    /// The component name is empty, too long, or has control characters in it.
    #[error(
        "component_name {name:?} is not a name: it must have 1 to {MAX_COMPONENT_NAME} bytes without control characters"
    )]
    ComponentName {
        /// The name.
        name: String,
    },
    /// The bus cannot work like this.
    #[error("event_bus: {0}")]
    EventBus(#[from] BusConfigError),
}

impl CollectorConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`component_name`](Self::component_name).
    #[must_use]
    pub fn with_component_name(mut self, name: impl Into<String>) -> Self {
        self.component_name = name.into();
        self
    }

    /// Sets [`max_event_sources`](Self::max_event_sources).
    #[must_use]
    pub const fn with_max_event_sources(mut self, count: usize) -> Self {
        self.max_event_sources = count;
        self
    }

    /// Sets [`event_buffer_size`](Self::event_buffer_size), in events. Nothing else has to be changed with it.
    #[must_use]
    pub const fn with_event_buffer_size(mut self, events: usize) -> Self {
        self.event_buffer_size = events;
        self
    }

    /// Sets [`max_batch_size`](Self::max_batch_size), in events.
    #[must_use]
    pub const fn with_max_batch_size(mut self, events: usize) -> Self {
        self.max_batch_size = events;
        self
    }

    /// Sets [`shutdown_timeout`](Self::shutdown_timeout).
    #[must_use]
    pub const fn with_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets [`health_check_interval`](Self::health_check_interval).
    #[must_use]
    pub const fn with_health_check_interval(mut self, interval: Duration) -> Self {
        self.health_check_interval = interval;
        self
    }

    /// Sets [`startup_timeout`](Self::startup_timeout).
    #[must_use]
    pub const fn with_startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = timeout;
        self
    }

    /// Sets [`restart`](Self::restart).
    #[must_use]
    pub const fn with_restart_policy(mut self, policy: RestartPolicy) -> Self {
        self.restart = policy;
        self
    }

    /// Sets [`enable_debug_logging`](Self::enable_debug_logging).
    #[must_use]
    pub const fn with_debug_logging(mut self, enable: bool) -> Self {
        self.enable_debug_logging = enable;
        self
    }

    /// Sets [`handle_signals`](Self::handle_signals).
    #[must_use]
    pub const fn with_signal_handling(mut self, enable: bool) -> Self {
        self.handle_signals = enable;
        self
    }

    /// Sets [`event_bus`](Self::event_bus).
    #[must_use]
    pub const fn with_event_bus(mut self, event_bus: EventBusConfig) -> Self {
        self.event_bus = event_bus;
        self
    }

    /// Checks the whole configuration; [`Collector::run`](crate::Collector::run) does it first.
    ///
    /// # Errors
    /// The first field that cannot work, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self {
            component_name,
            max_event_sources,
            event_buffer_size,
            max_batch_size,
            shutdown_timeout,
            health_check_interval,
            startup_timeout,
            restart: RestartPolicy { max_restarts: _, initial_pause, longest_pause, forgive_after },
            enable_debug_logging: _,
            handle_signals: _,
            event_bus,
        } = self;
        let named = (1..=MAX_COMPONENT_NAME).contains(&component_name.len());
        if !named || component_name.chars().any(char::is_control) {
            return Err(ConfigError::ComponentName { name: component_name.clone() });
        }
        let numbers = [
            ("max_event_sources", *max_event_sources),
            ("event_buffer_size", *event_buffer_size),
            ("max_batch_size", *max_batch_size),
        ];
        if let Some((field, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return Err(ConfigError::Zero { field, least: "1" });
        }
        // A limit alone needs no memory.
        let large = numbers.into_iter().skip(1).find(|(_, number)| *number > MAX_COUNT);
        if let Some((field, value)) = large {
            return Err(ConfigError::TooLarge { field, value, most: MAX_COUNT });
        }
        let durations = [
            ("shutdown_timeout", shutdown_timeout),
            ("health_check_interval", health_check_interval),
            ("startup_timeout", startup_timeout),
            ("restart.initial_pause", initial_pause),
            ("restart.longest_pause", longest_pause),
            ("restart.forgive_after", forgive_after),
        ];
        if let Some((field, _)) = durations.into_iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ConfigError::Zero { field, least: "1ms" });
        }
        if *health_check_interval < MIN_INTERVAL {
            return Err(ConfigError::TooShort { field: "health_check_interval", least: "1ms" });
        }
        if let Some((field, long)) = durations.into_iter().find(|(_, duration)| **duration > MAX_DURATION) {
            return Err(ConfigError::TooLong { field, seconds: long.as_secs() });
        }
        Ok(event_bus.validate()?)
    }
}

#[cfg(test)]
mod round_trip;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_those_documented() {
        let config = CollectorConfig::new();
        config.validate().unwrap();
        assert_eq!((config.max_event_sources, config.event_buffer_size), (16, 1000));
        assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
        assert_eq!(config.component_name, "collector-core");
    }

    #[test]
    fn each_setting_alone_stays_valid() {
        for size in [1, 7, 800, 1_000_000] {
            CollectorConfig::new().with_event_buffer_size(size).validate().unwrap();
            CollectorConfig::new().with_max_batch_size(size).validate().unwrap();
            CollectorConfig::new().with_max_event_sources(size).validate().unwrap();
        }
        let tiny = Duration::from_millis(1);
        CollectorConfig::new().with_shutdown_timeout(tiny).validate().unwrap();
        CollectorConfig::new().with_health_check_interval(tiny).validate().unwrap();
        CollectorConfig::new().with_startup_timeout(tiny).validate().unwrap();
    }

    #[test]
    fn what_cannot_work_is_named() {
        let none = Duration::ZERO;
        let cases = [
            (CollectorConfig::new().with_max_event_sources(0), "max_event_sources is 0"),
            (CollectorConfig::new().with_event_buffer_size(0), "event_buffer_size is 0"),
            (CollectorConfig::new().with_max_batch_size(0), "max_batch_size is 0"),
            (
                CollectorConfig::new().with_event_buffer_size(usize::MAX),
                "event_buffer_size is 18446744073709551615; it may be 16777216 at most",
            ),
            (CollectorConfig::new().with_max_batch_size(MAX_COUNT + 1), "max_batch_size is 16777217; it may"),
            (CollectorConfig::new().with_shutdown_timeout(none), "shutdown_timeout is 0"),
            (CollectorConfig::new().with_health_check_interval(none), "health_check_interval is 0"),
            (
                CollectorConfig::new().with_health_check_interval(Duration::from_nanos(1)),
                "health_check_interval is shorter than 1ms",
            ),
            (CollectorConfig::new().with_startup_timeout(none), "startup_timeout is 0"),
            (
                CollectorConfig::new().with_startup_timeout(Duration::MAX),
                "startup_timeout is 18446744073709551615 s",
            ),
            (CollectorConfig::new().with_component_name(""), "component_name \"\" is not a name"),
            (CollectorConfig::new().with_component_name("a\nb"), "component_name \"a\\nb\" is not a name"),
            (
                CollectorConfig::new().with_event_bus(EventBusConfig::default().with_buffer_size(0)),
                "event_bus: buffer_size is 0",
            ),
        ];
        for (config, message) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error} for {message}");
        }
    }

    #[test]
    fn a_configuration_survives_being_written_and_read() {
        let config = CollectorConfig::new()
            .with_shutdown_timeout(Duration::from_millis(2500))
            .with_debug_logging(true)
            .with_component_name("procmond");
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""shutdown_timeout":"2s 500ms""#), "{text}");
        assert_eq!(serde_json::from_str::<CollectorConfig>(&text).unwrap(), config);
    }

    #[test]
    fn unknown_fields_and_wrong_durations_are_errors() {
        let error = serde_json::from_str::<CollectorConfig>(r#"{"shutdown_timout":"1s"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `shutdown_timout`"), "{error}");
        for wrong in ["1 parsec", "-1s", ""] {
            let text = serde_json::json!({ "shutdown_timeout": wrong }).to_string();
            assert!(serde_json::from_str::<CollectorConfig>(&text).is_err(), "{wrong:?}");
        }
    }
}
