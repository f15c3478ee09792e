//! The tracker against a model that compares sets of processes and knows nothing else.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// What can differ of a process: start, image, command line.
type Shape = (u64, u32, u8);

fn event(pid: u32, (start, image, argument): Shape) -> ProcessEvent {
    ProcessEvent {
        command_line: vec![Text::from(argument.to_string().as_str())],
        ..process(pid, start, image)
    }
}

/// What must be reported, by pid: changes in any order.
fn expected(before: &BTreeMap<u32, Shape>, now: &BTreeMap<u32, Shape>) -> Vec<(u32, &'static str)> {
    let mut out = Vec::new();
    for (pid, old) in before {
        if now.get(pid).is_none_or(|new| new.0 != old.0) {
            out.push((*pid, "exited"));
        }
    }
    for (pid, new) in now {
        out.extend(match before.get(pid) {
            None => Some((*pid, "started")),
            Some(old) if old.0 != new.0 => Some((*pid, "pid_reused")),
            Some(old) if old.1 != new.1 => Some((*pid, "exec")),
            Some(old) if old.2 != new.2 => Some((*pid, "command_line_changed")),
            Some(_) => None,
        });
    }
    out.sort_unstable();
    out
}

fn looks() -> impl Strategy<Value = Vec<BTreeMap<u32, Shape>>> {
    let shape = (0..3_u64, 1..4_u32, 0..3_u8);
    vec(btree_map(1..8_u32, shape, 0..8), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_between_two_looks_is_reported_and_nothing_else(looks in looks()) {
        let mut watched = Watched::having_seen(defaults(), &[]);
        let mut before = BTreeMap::new();
        for now in looks {
            let processes: Vec<_> = now.iter().map(|(pid, shape)| event(*pid, *shape)).collect();
            let found = watched.changes(&processes);
            let mut found: Vec<_> = found.iter().map(|(pid, change, _)| (*pid, *change)).collect();
            found.sort_unstable();
            prop_assert_eq!(found, expected(&before, &now));
            before = now;
        }
    }

    #[test]
    fn whatever_fits_is_tracked_and_the_rest_counted(looks in looks(), limit in 1..6_usize) {
        let config = LifecycleTrackingConfig { max_snapshots: limit, ..defaults() };
        let mut watched = Watched::new(config);
        for now in looks {
            let processes: Vec<_> = now.iter().map(|(pid, shape)| event(*pid, *shape)).collect();
            watched.look(&processes);
            let counts = watched.tracker.counts();
            prop_assert_eq!(counts.tracked, now.len().min(limit));
            prop_assert_eq!(counts.tracked + counts.not_tracked, now.len());
        }
    }
}
