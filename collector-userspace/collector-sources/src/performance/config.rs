//! What is sampled, how often, and of which processes.

use std::time::Duration;

/// Settings of the performance source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerformanceConfig {
    /// Time from one sample to the next, from 100 ms to an hour. The cost grows with the number of samples.
    pub interval: Duration,
    /// How many processes are reported for their processor time, and how many for their memory; at most 1,000 each.
    pub max_processes: usize,
    /// Percent of one processor from which on a process is reported in any case; at least 1.
    pub cpu_threshold: u32,
    /// Resident bytes from which on a process is reported in any case; at least a megabyte.
    pub memory_threshold: u64,
}

impl Default for PerformanceConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            max_processes: 10,
            cpu_threshold: 80,
            memory_threshold: 2 << 30,
        }
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: it must be {range}")]
pub struct PerformanceConfigError {
    /// Name of the field.
    pub key: &'static str,
    /// What it was.
    pub value: String,
    /// What it may be.
    pub range: &'static str,
}

impl PerformanceConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first one that cannot work.
    pub fn check(&self) -> Result<(), PerformanceConfigError> {
        let Self { interval, max_processes, cpu_threshold, memory_threshold } = *self;
        let hour = Duration::from_secs(3_600);
        let checks = [
            (
                "interval",
                (Duration::from_millis(100)..=hour).contains(&interval),
                format!("{interval:?}"),
                "between 100ms and 1h",
            ),
            ("max_processes", max_processes <= 1_000, max_processes.to_string(), "at most 1000"),
            ("cpu_threshold", cpu_threshold >= 1, cpu_threshold.to_string(), "at least 1 percent"),
            ("memory_threshold", memory_threshold >= 1 << 20, memory_threshold.to_string(), "at least 1MiB"),
        ];
        match checks.into_iter().find(|(_, works, ..)| !works) {
            Some((key, _, value, range)) => Err(PerformanceConfigError { key, value, range }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_work_are_named() {
        let default = PerformanceConfig::default();
        assert_eq!(default.check(), Ok(()));
        for (config, message) in [
            (
                PerformanceConfig { interval: Duration::from_millis(99), ..default },
                "interval is 99ms: it must be between 100ms and 1h",
            ),
            (
                PerformanceConfig { interval: Duration::from_secs(3_601), ..default },
                "interval is 3601s: it must be between 100ms and 1h",
            ),
            (
                PerformanceConfig { max_processes: 1_001, ..default },
                "max_processes is 1001: it must be at most 1000",
            ),
            (
                PerformanceConfig { cpu_threshold: 0, ..default },
                "cpu_threshold is 0: it must be at least 1 percent",
            ),
            (
                PerformanceConfig { memory_threshold: 5, ..default },
                "memory_threshold is 5: it must be at least 1MiB",
            ),
        ] {
            assert_eq!(config.check().unwrap_err().to_string(), message);
        }
    }
}
