//! The header: where and by what a capture was made.

use std::time::SystemTime;

use collector_common::Kind;
use serde::{Deserialize, Serialize};

use crate::identity::{Boot, clock_ticks};

/// Where and by what a capture was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureHeader {
    /// Name of the host.
    pub host: String,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// Release of the kernel.
    pub kernel_release: String,
    /// Architecture.
    pub architecture: String,
    /// When the capture began, nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// Version of the collector.
    pub collector_version: String,
    /// Clock ticks in a second, the unit of start times.
    pub clock_ticks: u64,
    /// Kinds of events that the capture was to give. It may hold records of others, for the identity of processes. Empty, as
    /// in older captures: all.
    #[serde(default)]
    pub kinds: Vec<String>,
}

impl CaptureHeader {
    /// A capture that begins here and now. What cannot be read is empty.
    #[must_use]
    pub fn of_this_host() -> Self {
        let system = rustix::system::uname();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            host: system.nodename().to_string_lossy().into_owned(),
            boot_id: boot_id.trim().to_owned(),
            kernel_release: system.release().to_string_lossy().into_owned(),
            architecture: system.machine().to_string_lossy().into_owned(),
            started_unix_ns: u64::try_from(started.as_nanos()).unwrap_or(0),
            collector_version: env!("CARGO_PKG_VERSION").to_owned(),
            clock_ticks: clock_ticks(),
            kinds: Vec::new(),
        }
    }

    /// Names the kinds of events that the capture is to give, see [`Kind::bit`].
    #[must_use]
    pub fn of_kinds(mut self, kinds: u64) -> Self {
        self.kinds = Kind::ALL
            .iter()
            .filter(|kind| kinds & kind.bit() != 0)
            .map(|kind| kind.name().to_owned())
            .collect();
        self
    }

    /// The kinds of events that a replay gives. Those this version does not know it cannot decode either.
    pub(super) fn published(&self) -> u64 {
        for name in self.kinds.iter().filter(|name| Kind::ALL.iter().all(|kind| kind.name() != **name)) {
            tracing::warn!(
                kind = name,
                "the capture was made by another version: its events of this kind are left out"
            );
        }
        let named = Kind::ALL.iter().filter(|kind| self.kinds.iter().any(|name| name == kind.name()));
        if self.kinds.is_empty() { u64::MAX } else { named.fold(0, |kinds, kind| kinds | kind.bit()) }
    }

    /// The boot its processes belong to.
    #[must_use]
    pub fn boot(&self) -> Boot {
        Boot::new(&self.boot_id, self.clock_ticks)
    }
}
