//! Queues, concurrency, history, registration and progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::support::*;
use crate::analysis::*;
use crate::event::TriggerPriority;

fn config() -> AnalysisChainConfig {
    AnalysisChainConfig::default()
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_counts_it() {
    let (stuck, mut asked) = Script::stuck("stuck");
    let config = config().with_max_concurrent_workflows(1).with_max_waiting_workflows(2);
    let coordinator = coordinator(config, [stuck]);
    let handles: Vec<_> = (0..3).map(|_| coordinator.submit(chain(&["stuck"])).unwrap()).collect();
    let error = coordinator.submit(chain(&["stuck"])).unwrap_err();
    assert!(matches!(error, AnalysisChainError::QueueFull { limit: 2 }), "{error}");
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.submitted, statistics.refused), (3, 1));
    assert_eq!((statistics.running, statistics.waiting), (1, 2));

    // A place that becomes free is used.
    handles[1].cancel();
    assert_eq!(handles[1].report().state, WorkflowState::Cancelled);
    coordinator.submit(chain(&["stuck"])).unwrap();
    asked.recv().await.unwrap();
    handles[0].cancel();
    ended(&handles[0]).await;
    tokio::time::timeout(SECOND, asked.recv()).await.unwrap();
    assert_eq!(handles[2].report().state, WorkflowState::Running);
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first_and_equals_in_order() {
    let (tx, mut order) = mpsc::channel(16);
    let notes = Script::new("notes", move |input, _| {
        let tx = tx.clone();
        async move {
            tx.send(input.correlation_id.to_string()).await.unwrap();
            Ok(AnalysisOutput::Json(true.into()))
        }
    });
    let (stuck, _asked) = Script::stuck("stuck");
    let coordinator = coordinator(config().with_max_concurrent_workflows(1), [notes, stuck]);
    let first = coordinator.submit(chain(&["stuck"])).unwrap();
    use TriggerPriority::{Critical, High, Low, Normal};
    for (id, priority) in [("a", Low), ("b", Normal), ("c", Critical), ("d", Normal), ("e", High)] {
        let subject = AnalysisSubject::default().with_correlation_id(id);
        coordinator.submit(chain(&["notes"]).with_priority(priority).with_subject(subject)).unwrap();
    }
    first.cancel();
    let mut seen = String::new();
    while seen.len() < 5 {
        seen += &order.recv().await.unwrap();
    }
    assert_eq!(seen, "cebda");
}

/// Runs 6 stages that wait for nothing, twice, and returns how many were at work at one time.
async fn most_at_once(config: AnalysisChainConfig) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, highest) = (Arc::clone(&now), Arc::clone(&most));
    let busy = Script::new("busy", move |_, _| {
        let (count, highest) = (Arc::clone(&count), Arc::clone(&highest));
        async move {
            highest.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // deadline: virtual time, so that all that may be at work are
            tokio::time::sleep(SECOND).await;
            count.fetch_sub(1, Ordering::SeqCst);
            Ok(AnalysisOutput::Json(true.into()))
        }
    });
    let coordinator = coordinator(config, [busy]);
    let wide = (0..6).fold(AnalysisWorkflowDefinition::new(), |workflow, at| {
        workflow.with_stage_after(at.to_string(), stage("busy"), [""; 0])
    });
    let (one, two) =
        tokio::join!(coordinator.execute_workflow(wide.clone()), coordinator.execute_workflow(wide));
    one.unwrap();
    two.unwrap();
    assert_eq!(now.load(Ordering::SeqCst), 0);
    most.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_used_and_limited() {
    let config = |workflows, stages| {
        config().with_max_concurrent_workflows(workflows).with_max_parallel_stages(stages)
    };
    assert_eq!(most_at_once(config(1, 1)).await, 1);
    assert_eq!(most_at_once(config(1, 4)).await, 4);
    assert_eq!(most_at_once(config(2, 2)).await, 4);
    assert_eq!(most_at_once(config(9, 9)).await, 12);
}

#[tokio::test(start_paused = true)]
async fn reports_are_kept_by_number_and_by_age() {
    let coordinator = coordinator(config().with_completed(3, 60 * SECOND), [Script::good("good")]);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(coordinator.execute_workflow(chain(&["good"])).await.unwrap().id);
    }
    let kept: Vec<_> = coordinator.completed().iter().map(|report| report.id).collect();
    assert_eq!(kept, ids[2..]);
    assert!(coordinator.report(ids[1]).is_none());
    let report = coordinator.report(ids[4]).unwrap();
    assert!(matches!(report.output("good"), Some(AnalysisOutput::Json(value)) if value == "good"));
    assert!(report.started >= Some(report.submitted) && report.finished >= report.started);

    tokio::time::advance(61 * SECOND).await;
    assert!(coordinator.report(ids[4]).is_none());
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.reports_kept, statistics.reports_dropped), (0, 5));
}

#[tokio::test(start_paused = true)]
async fn progress_can_be_watched() {
    let (go, gate) = tokio::sync::watch::channel(0);
    let gated = Script::new("gated", move |input, _| {
        let mut gate = gate.clone();
        async move {
            let step = input.attempt;
            gate.wait_for(|open| *open >= step).await.unwrap();
            if step == 1 {
                Err(AnalysisError::transient("once more"))
            } else {
                Ok(AnalysisOutput::Json(1.into()))
            }
        }
    });
    let coordinator = coordinator(config(), [gated, Script::good("good")]);
    let handle = coordinator.submit(chain(&["gated", "good"])).unwrap();
    assert_eq!(handle.progress().borrow().state, WorkflowState::Waiting);
    let running = seen(&handle, |report| report.stages[0].attempts == 1).await;
    assert_eq!(states(&running), [StageState::Running, StageState::Pending]);
    assert!(running.stages[0].started.is_some() && running.stages[0].finished.is_none());
    go.send(1).unwrap();
    let again = seen(&handle, |report| report.stages[0].attempts == 2).await;
    assert_eq!(again.stages[0].error.as_ref().unwrap().to_string(), "once more (attempt 1)");
    go.send(2).unwrap();
    let last = seen(&handle, |report| report.state.is_final()).await;
    assert_eq!(states(&last), [StageState::Done, StageState::Done]);
    assert_eq!(coordinator.report(handle.id()).unwrap().state, WorkflowState::Completed);
}

#[tokio::test(start_paused = true)]
async fn stages_see_what_came_before_them_in_order() {
    let looks = Script::new("looks", |input, _| async move {
        let ids: Vec<_> = input.outputs.iter().map(|(id, _)| id.clone()).collect();
        Ok(AnalysisOutput::Json(ids.into()))
    });
    let coordinator = coordinator(config(), [looks]);
    // Defined backwards, so that the order of definition does not help.
    let workflow = AnalysisWorkflowDefinition::new()
        .with_stage_after("d", stage("looks"), ["b", "c"])
        .with_stage_after("c", stage("looks"), ["a"])
        .with_stage_after("b", stage("looks"), ["a", "a"])
        .with_stage_after("a", stage("looks"), [""; 0])
        .with_stage_after("alone", stage("looks"), [""; 0]);
    let report = coordinator.execute_workflow(workflow).await.unwrap();
    let saw = |id: &str| match report.output(id) {
        Some(AnalysisOutput::Json(ids)) => ids.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(saw("a"), "[]");
    assert_eq!(saw("b"), r#"["a"]"#);
    assert_eq!(saw("d"), r#"["a","c","b"]"#);
    assert_eq!(saw("alone"), "[]");
}

#[tokio::test(start_paused = true)]
async fn analyzers_have_names_and_stages_of_their_own() {
    let coordinator = coordinator(config(), [Script::good("one")]);
    let error = coordinator.register(Script::good("one")).unwrap_err();
    assert_eq!(error.to_string(), "one is run by \"one\" already; use replace to put another in its place");
    let error = coordinator.register(Script::good("detection")).unwrap_err();
    assert_eq!(error.to_string(), "there already is an analyzer \"detection\"");
    let error = coordinator.register(Script::good("")).unwrap_err();
    assert!(matches!(error, RegisterError::Name { .. }), "{error}");

    coordinator.execute_workflow(chain(&["one"])).await.unwrap();
    let other = Script::new("one", |_, _| async { Ok(AnalysisOutput::Json("other".into())) });
    coordinator.replace(other).unwrap();
    let report = coordinator.execute_workflow(chain(&["one"])).await.unwrap();
    assert!(matches!(report.output("one"), Some(AnalysisOutput::Json(value)) if value == "other"));
    assert_eq!(check_books(&coordinator).analyzers["one"].runs, 1, "the counters are those of the new one");

    let error = coordinator.submit(chain(&["two"])).unwrap_err();
    assert_eq!(error.to_string(), "no analyzer runs two (stage \"two\"); register one");
    let limit = (0..1000).find_map(|at| {
        coordinator
            .register(Script::new(&format!("x{at}"), |_, _| async {
                Err(AnalysisError::permanent("never asked"))
            }))
            .err()
    });
    assert!(matches!(limit, Some(RegisterError::TooMany { limit: 256 })), "{limit:?}");
}
