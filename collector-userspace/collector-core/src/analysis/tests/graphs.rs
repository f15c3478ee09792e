//! Validation of workflows, and random graphs.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::analysis::plan::Plan;
use crate::analysis::*;

fn check(workflow: impl Borrow<AnalysisWorkflowDefinition>, message: &str) {
    let error = Plan::of(workflow.borrow(), 8).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}\nfor\n{message}");
}

#[test]
fn what_is_wrong_with_a_workflow_is_named() {
    let workflow = AnalysisWorkflowDefinition::new;
    let after = |ids: &[(&str, &[&str])]| {
        ids.iter().fold(workflow(), |workflow, (id, after)| {
            workflow.with_stage_after(*id, AnalysisStage::Detection, after.iter().copied())
        })
    };
    check(workflow(), "the workflow has no stages");
    check(chain(&["a", "b", "a"]), "two stages have the id \"a\"");
    check(after(&[("a", &["z"])]), "stage \"a\" waits for \"z\", which is no stage of the workflow");
    check(after(&[("a", &["a"])]), "stages wait for each other: a -> a");
    check(
        after(&[("x", &[]), ("a", &["x", "c"]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"])]),
        "stages wait for each other: a -> c -> b -> a",
    );
    check(after(&[("", &[])]), "stage id \"\" is not a name");
    check(after(&[("a\nb", &[])]), "stage id \"a\\nb\" is not a name");
    check(
        chain(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        "the workflow has 9 stages; max_stages allows 8",
    );
    check(chain(&["a"]).with_timeout(Duration::ZERO), "the workflow has a timeout of 0");
    let hasty = StageDefinition::new("a", stage("a")).with_timeout(Duration::ZERO);
    check(workflow().with_definition(hasty), "stage \"a\" has a timeout of 0");
    check(chain(&["a"]).with_name("n".repeat(257)), "the name of the workflow has 257 bytes");
    let large = AnalysisSubject::default().with_metadata("k", "v".repeat(64 << 10));
    check(chain(&["a"]).with_subject(large), "the metadata of the subject has 1 entries and 65537 bytes");
    let many =
        (0..101).fold(AnalysisSubject::default(), |subject, at| subject.with_metadata(at.to_string(), ""));
    check(chain(&["a"]).with_subject(many), "the metadata of the subject has 101 entries");
}

/// For each stage what it waits for, all of it earlier in a hidden order; `shuffle` is the order of definition.
fn dags() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<usize>)> {
    (1..20_usize).prop_flat_map(|count| {
        let edges: Vec<_> = (0..count)
            .map(|at| proptest::sample::subsequence((0..at).collect::<Vec<_>>(), 0..=at.min(4)))
            .collect();
        (edges, Just((0..count).collect::<Vec<_>>()).prop_shuffle())
    })
}

fn define(edges: &[Vec<usize>], order: &[usize]) -> AnalysisWorkflowDefinition {
    order.iter().fold(AnalysisWorkflowDefinition::new(), |workflow, at| {
        workflow.with_stage_after(at.to_string(), stage("any"), edges[*at].iter().map(usize::to_string))
    })
}

/// Executes the graph and returns begins and ends, as (stage, whether it is an end).
fn execute(
    workflow: AnalysisWorkflowDefinition,
    parallel: usize,
) -> (Arc<ExecutionReport>, Vec<(usize, bool)>) {
    let log: Arc<Mutex<Vec<(usize, bool)>>> = Arc::default();
    let noted = Arc::clone(&log);
    let any = Script::new("any", move |input, _| {
        let log = Arc::clone(&noted);
        async move {
            let at: usize = input.stage_id.parse().unwrap();
            log.lock().unwrap().push((at, false));
            for _ in 0..at % 3 {
                tokio::task::yield_now().await;
            }
            log.lock().unwrap().push((at, true));
            Ok(AnalysisOutput::Json(at.into()))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let report = runtime.block_on(async {
        let config = AnalysisChainConfig::default().with_max_parallel_stages(parallel);
        coordinator(config, [any]).execute_workflow(workflow).await.unwrap()
    });
    let log = log.lock().unwrap().clone();
    (report, log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_stage_runs_once_after_all_it_waits_for((edges, order) in dags(), parallel in 1..5_usize) {
        let (report, log) = execute(define(&edges, &order), parallel);
        prop_assert!(report.stages.iter().all(|stage| stage.state == StageState::Done));
        prop_assert_eq!(log.len(), 2 * edges.len(), "each begins once and ends once");
        let place: HashMap<_, _> = log.iter().enumerate().map(|(place, what)| (*what, place)).collect();
        prop_assert_eq!(place.len(), log.len());
        let mut at_work = 0_usize;
        for (_, is_end) in &log {
            at_work = if *is_end { at_work - 1 } else { at_work + 1 };
            prop_assert!(at_work <= parallel);
        }
        for (at, after) in edges.iter().enumerate() {
            for before in after {
                prop_assert!(place[&(*before, true)] < place[&(at, false)]);
            }
        }
    }

    #[test]
    fn a_cycle_anywhere_is_found_and_told(
        (edges, order) in dags(),
        ends in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let mut edges = edges;
        // An edge against the hidden order, and a path with it, make a cycle.
        let (one, other) = (ends.0.index(edges.len()), ends.1.index(edges.len()));
        let (low, high) = (one.min(other), one.max(other));
        edges[low].push(high);
        if low != high {
            edges[high].push(low);
        }
        let result = Plan::of(&define(&edges, &order), 64);
        let Err(WorkflowError::Cycle { path }) = result else { panic!("{result:?}") };
        prop_assert!(path.len() >= 2 && path.first() == path.last());
        for pair in path.windows(2) {
            let (at, before): (usize, usize) = (pair[0].parse().unwrap(), pair[1].parse().unwrap());
            prop_assert!(edges[at].contains(&before), "{at} does not wait for {before}");
        }
    }
}
