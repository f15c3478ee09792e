//! What the server says it can do, and which tasks it therefore takes.

use std::fmt;
use std::sync::Arc;

use super::proto::{AdvancedCapabilities, CollectionCapabilities, MonitoringDomain, ProtoTaskType};
use crate::collector::CollectorHandle;
use crate::source::SourceCaps;

/// Where a server learns what it can do: fixed [`SourceCaps`], the sources of a running collector, or a function. It is asked
/// for each task, so what changes takes effect at once.
#[derive(Clone)]
pub struct IpcCapabilities(Arc<dyn Fn() -> SourceCaps + Send + Sync>);

impl IpcCapabilities {
    /// What `current` returns whenever it is asked. It must not block.
    #[must_use]
    pub fn from_fn(current: impl Fn() -> SourceCaps + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// What can be done now.
    #[must_use]
    pub fn current(&self) -> SourceCaps {
        (self.0)()
    }
}

impl From<SourceCaps> for IpcCapabilities {
    fn from(caps: SourceCaps) -> Self {
        Self::from_fn(move || caps)
    }
}

impl From<CollectorHandle> for IpcCapabilities {
    fn from(collector: CollectorHandle) -> Self {
        Self::from_fn(move || collector.capabilities())
    }
}

impl fmt::Debug for IpcCapabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IpcCapabilities").finish_non_exhaustive()
    }
}

/// Why a task cannot be done with these capabilities, in the words of DaemonEye's servers.
pub(super) const fn missing_for(task: ProtoTaskType, caps: SourceCaps) -> Option<&'static str> {
    let (needed, message) = match task {
        ProtoTaskType::EnumerateProcesses
        | ProtoTaskType::CheckProcessHash
        | ProtoTaskType::MonitorProcessTree
        | ProtoTaskType::VerifyExecutable => (SourceCaps::PROCESS, "Process monitoring not supported"),
        ProtoTaskType::MonitorNetworkConnections => (SourceCaps::NETWORK, "Network monitoring not supported"),
        ProtoTaskType::TrackFileOperations => (SourceCaps::FILESYSTEM, "Filesystem monitoring not supported"),
        ProtoTaskType::CollectPerformanceMetrics => {
            (SourceCaps::PERFORMANCE, "Performance monitoring not supported")
        }
    };
    if caps.contains(needed) { None } else { Some(message) }
}

/// Capabilities as clients are told them.
pub(super) fn to_wire(caps: SourceCaps) -> CollectionCapabilities {
    let domains = [
        (SourceCaps::PROCESS, MonitoringDomain::Process),
        (SourceCaps::NETWORK, MonitoringDomain::Network),
        (SourceCaps::FILESYSTEM, MonitoringDomain::Filesystem),
        (SourceCaps::PERFORMANCE, MonitoringDomain::Performance),
    ];
    let supported = domains.into_iter().filter(|(cap, _)| caps.contains(*cap));
    CollectionCapabilities {
        supported_domains: supported.map(|(_, domain)| domain.into()).collect(),
        advanced: Some(AdvancedCapabilities {
            kernel_level: caps.contains(SourceCaps::KERNEL_LEVEL),
            realtime: caps.contains(SourceCaps::REALTIME),
            system_wide: caps.contains(SourceCaps::SYSTEM_WIDE),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_task_needs_its_domain() {
        let domains =
            [SourceCaps::PROCESS, SourceCaps::NETWORK, SourceCaps::FILESYSTEM, SourceCaps::PERFORMANCE];
        for (number, domain) in [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3)] {
            let task = ProtoTaskType::try_from(number).unwrap();
            assert_eq!(missing_for(task, domains[domain]), None);
            let others = SourceCaps::all().difference(domains[domain]);
            let names = ["Process", "Network", "Filesystem", "Performance"];
            let message = format!("{} monitoring not supported", names[domain]);
            assert_eq!(missing_for(task, others), Some(&*message));
        }
    }

    #[test]
    fn clients_are_told_domains_and_how() {
        let told = to_wire(SourceCaps::NETWORK | SourceCaps::KERNEL_LEVEL);
        assert_eq!(told.supported_domains, [MonitoringDomain::Network as i32]);
        let advanced = AdvancedCapabilities { kernel_level: true, realtime: false, system_wide: false };
        assert_eq!(told.advanced, Some(advanced));
    }
}
