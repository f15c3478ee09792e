//! What the users of the monitor set.

use collector_core::analysis::HasherConfig;
use collector_core::monitor::{LifecycleTrackingConfig, MonitorCollectorConfig, MonitorConfigError};

/// Configuration of a [`ProcmondMonitorCollector`](super::ProcmondMonitorCollector).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcmondMonitorConfig {
    /// How it polls.
    pub base_config: MonitorCollectorConfig,
    /// Which processes it reads, and how much of them.
    pub process_config: ProcessCollectionConfig,
    /// Which changes it reports.
    pub lifecycle_config: LifecycleTrackingConfig,
}

/// Which processes are read, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessCollectionConfig {
    /// Whether events have current directory, audit login and session, namespaces, control group and container as well: eight
    /// more files, read when a process is new or something about it has changed. Default `true`.
    pub collect_enhanced_metadata: bool,
    /// Whether events of processes that are new, or have a new image, have the SHA-256 of the executable's content. Default
    /// `false`.
    pub compute_executable_hashes: bool,
    /// Limits of that.
    pub hasher: HasherConfig,
    /// Most processes read in one look; who is beyond, those not known first, is counted and left out. Default 10,000.
    pub max_processes: usize,
    /// Bytes of a command line to keep. Default 4096.
    pub max_command_line: usize,
    /// Whether processes of the system are left out: threads of the kernel, and those of users below 1000 that no login started
    /// (`login_uid` is absent). Default `false`.
    pub skip_system_processes: bool,
    /// Whether threads of the kernel are left out. Default `false`.
    pub skip_kernel_threads: bool,
}

impl Default for ProcessCollectionConfig {
    fn default() -> Self {
        Self {
            collect_enhanced_metadata: true,
            compute_executable_hashes: false,
            hasher: HasherConfig::default(),
            max_processes: 10_000,
            max_command_line: 4096,
            skip_system_processes: false,
            skip_kernel_threads: false,
        }
    }
}

impl ProcmondMonitorConfig {
    /// Checks the settings, those of the hasher aside.
    ///
    /// # Errors
    /// The first field that cannot work, and what it may be.
    pub fn validate(&self) -> Result<(), MonitorConfigError> {
        self.base_config.validate()?;
        self.lifecycle_config.validate()?;
        let ProcessCollectionConfig { max_processes, max_command_line, .. } = &self.process_config;
        if !(1..=1_000_000).contains(max_processes) {
            let value = max_processes.to_string();
            return Err(MonitorConfigError::new("max_processes", value, "from 1 to 1000000"));
        }
        if *max_command_line > 1 << 20 {
            let value = max_command_line.to_string();
            return Err(MonitorConfigError::new("max_command_line", value, "1048576 at most"));
        }
        Ok(())
    }
}
