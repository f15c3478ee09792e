//! Which changes are reported.

use crate::monitor::MonitorConfigError;

/// Which changes a [`LifecycleTracker`](super::LifecycleTracker) reports. Made with the fields that matter and
/// `..Default::default()`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleTrackingConfig {
    /// Whether starts, ends and execs are reported, and at first who is there. Default `true`.
    pub track_process_lifecycle: bool,
    /// Whether [suspicious](super::Suspicion) findings are reported, also where nothing else is. Default `true`.
    pub detect_suspicious_events: bool,
    /// Whether a new process under the pid of one that has just ended is called `pid_reused` instead of `started`. In either
    /// case the old one has ended and the new one is new. Default `true`.
    pub detect_pid_reuse: bool,
    /// Whether a command line that changes without an exec is reported. Default `true`.
    pub track_command_line_changes: bool,
    /// Whether a path of the executable that changes without an exec, or that ceases to exist, is reported. Default `true`.
    pub track_executable_changes: bool,
    /// Whether a real or effective user that changes without an exec is reported. Default `true`.
    pub track_credential_changes: bool,
    /// Whether a change of resident memory is reported. Default `false`.
    pub track_memory_changes: bool,
    /// By how many percent memory must differ from what was reported last, and by 1 MiB at least. Default 50.
    pub memory_change_threshold: f64,
    /// Whether a change of processor usage is reported. Default `false`.
    pub track_cpu_changes: bool,
    /// By how many percent of one processor usage must differ from what was reported last. Default 25.
    pub cpu_change_threshold: f64,
    /// Most processes tracked; what is beyond is counted and not reported. Default 10,000.
    pub max_snapshots: usize,
}

impl Default for LifecycleTrackingConfig {
    fn default() -> Self {
        Self {
            track_process_lifecycle: true,
            detect_suspicious_events: true,
            detect_pid_reuse: true,
            track_command_line_changes: true,
            track_executable_changes: true,
            track_credential_changes: true,
            track_memory_changes: false,
            memory_change_threshold: 50.0,
            track_cpu_changes: false,
            cpu_change_threshold: 25.0,
            max_snapshots: 10_000,
        }
    }
}

impl LifecycleTrackingConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first field that cannot work, and what it may be.
    pub fn validate(&self) -> Result<(), MonitorConfigError> {
        let thresholds = [
            ("memory_change_threshold", self.memory_change_threshold),
            ("cpu_change_threshold", self.cpu_change_threshold),
        ];
        if let Some((field, value)) =
            thresholds.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0))
        {
            return Err(MonitorConfigError::new(field, value.to_string(), "more than 0"));
        }
        if !(1..=1_000_000).contains(&self.max_snapshots) {
            let value = self.max_snapshots.to_string();
            return Err(MonitorConfigError::new("max_snapshots", value, "from 1 to 1000000"));
        }
        Ok(())
    }
}
