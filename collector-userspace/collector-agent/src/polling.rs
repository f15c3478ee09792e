//! Polling `/proc`: what is left of a capture where the kernel takes no programs.

use collector_sources::procfs::{ProcfsCapture, ProcfsConfig};
use collector_sources::procmond::ProcmondMonitorConfig;
use collector_sources::{Domain, Filter};

use crate::capture::PlannedKind;
use crate::config::{Capture, Source};
use crate::failure::{Failure, Kind};

/// What polling cannot do, whatever it sees.
const BETWEEN: &str = "what begins and ends between two looks: polled from /proc";

/// Starts polling what the configuration asks for, as far as polling can see it.
pub(crate) fn start(capture: &Capture, filter: Filter) -> Result<ProcfsCapture, Failure> {
    let mut monitor = ProcmondMonitorConfig::default();
    monitor.base_config.collection_interval = capture.poll_interval.0;
    monitor.process_config.max_processes = capture.max_processes;
    monitor.process_config.max_command_line = usize::try_from(capture.argv_max.0).unwrap_or(usize::MAX);
    let domains = capture.sources.iter().filter_map(|source| match source {
        Source::Process => Some(Domain::Process),
        Source::Network => Some(Domain::Network),
        Source::File | Source::Performance => None,
    });
    let config = ProcfsConfig { domains: domains.collect(), filter, monitor };
    ProcfsCapture::new(&config).map_err(|error| Failure::new(Kind::Failed, error))
}

/// How the kinds of these sources fare by polling.
pub(crate) fn plan(sources: &[Source]) -> Vec<PlannedKind> {
    let of = |source, kinds: &[&str], captured: bool, lack: &str| -> Vec<PlannedKind> {
        let wanted = if sources.contains(&source) { kinds } else { &[] };
        let planned = wanted.iter().map(|kind| PlannedKind {
            kind: (*kind).to_owned(),
            captured,
            tier: if captured { "C".to_owned() } else { String::new() },
            lacks: vec![lack.to_owned()],
            no_better: String::new(),
        });
        planned.collect()
    };
    let processes = ["process.exec", "process.fork", "process.exit"];
    let connections = ["network.connect", "network.accept", "network.listen", "network.close"];
    let files = [
        "file.create",
        "file.open",
        "file.modify",
        "file.delete",
        "file.rename",
        "file.link",
        "file.attributes",
    ];
    [
        of(Source::Process, &processes, true, BETWEEN),
        of(Source::Network, &connections, true, BETWEEN),
        of(Source::Network, &["network.send"], false, "polling /proc shows no datagrams"),
        of(Source::File, &files, false, "polling /proc shows no files"),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_kernel_plan_is_captured_or_said_to_be_missing() {
        let sources = [Source::Process, Source::Network, Source::File];
        let mut planned: Vec<String> = plan(&sources).into_iter().map(|kind| kind.kind).collect();
        let kernel = collector_sources::plan::rows().flat_map(|row| row.kinds);
        let mut expected: Vec<String> = kernel.map(|kind| kind.name().to_owned()).collect();
        expected.sort();
        expected.dedup();
        planned.sort();
        assert_eq!(planned, expected);
        assert!(plan(&[Source::Process]).iter().all(|kind| kind.kind.starts_with("process.")));
    }
}
