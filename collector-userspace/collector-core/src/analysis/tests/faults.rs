//! Analyzers that fail, hang and panic; executions that are cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::support::*;
use crate::analysis::*;

use StageState::{Cancelled, Done, Failed, Skipped};

fn config() -> AnalysisChainConfig {
    AnalysisChainConfig::default().with_retries(3, SECOND, 3 * SECOND)
}

/// Executes a workflow that does not end well.
async fn fails(
    coordinator: &AnalysisChainCoordinator,
    workflow: AnalysisWorkflowDefinition,
) -> ExecutionReport {
    match coordinator.execute_workflow(workflow).await {
        Err(AnalysisChainError::Unsuccessful { report }) => (*report).clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_takes_too_long_fails_and_its_threads_are_told() {
    let (slow, mut asked) = Script::stuck("slow");
    let after = Script::good("after");
    let coordinator = coordinator(config(), [slow, after.clone()]);
    let since = Instant::now();
    let workflow = AnalysisWorkflowDefinition::new()
        .with_definition(StageDefinition::new("slow", stage("slow")).with_timeout(7 * SECOND))
        .with_stage(stage("after"));
    let report = fails(&coordinator, workflow).await;

    assert_eq!(since.elapsed().as_secs(), 7);
    assert_eq!(states(&report), [Failed, Skipped]);
    assert_eq!(report.stages[0].error, Some(StageError::TimedOut { timeout: 7 * SECOND }));
    assert_eq!(report.stages[0].attempts, 1, "a timeout is not repeated");
    assert_eq!(report.stages[0].run_time.as_secs(), 7);
    assert_eq!(report.stages[1].error, Some(StageError::DependencyFailed { dependency: "slow".to_owned() }));
    assert_eq!(after.calls(), 0);
    assert!(asked.recv().await.unwrap().is_cancelled());
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.failed, statistics.analyzers["slow"].timeouts), (1, 1));
    assert_eq!(statistics.analyzers["slow"].run_time.as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn transient_errors_are_retried_with_growing_pauses() {
    let flaky = Script::new("flaky", |input, _| async move {
        assert_eq!(input.attempts_left, 4 - input.attempt);
        match input.attempt {
            1 | 2 => Err(AnalysisError::transient("not yet")),
            _ => Ok(AnalysisOutput::Json(input.attempt.into())),
        }
    });
    let coordinator = coordinator(config(), [flaky.clone(), Script::good("after")]);
    let since = Instant::now();
    let report = coordinator.execute_workflow(chain(&["flaky", "after"])).await.unwrap();

    assert_eq!(since.elapsed().as_secs(), 1 + 2, "pauses of one second and two");
    assert_eq!(states(&report), [Done, Done]);
    assert_eq!((report.stages[0].attempts, &report.stages[0].error), (3, &None));
    let statistics = check_books(&coordinator).analyzers["flaky"];
    assert_eq!(
        (statistics.runs, statistics.failures, statistics.retries, statistics.successes),
        (3, 2, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn retries_end() {
    let never = Script::new("never", |_, _| async { Err(AnalysisError::transient("still not")) });
    let coordinator = coordinator(config(), [never.clone()]);
    let since = Instant::now();
    let report = fails(&coordinator, chain(&["never"])).await;
    assert_eq!(since.elapsed().as_secs(), 1 + 2 + 3, "the last pause is cut to the limit");
    assert_eq!((never.calls(), report.stages[0].attempts), (4, 4));

    let once = AnalysisWorkflowDefinition::new()
        .with_definition(StageDefinition::new("once", stage("never")).with_retries(0));
    let report = fails(&coordinator, once).await;
    assert_eq!(report.stages[0].attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_skips_what_waits_for_it_and_nothing_else() {
    let bad = Script::new("bad", |_, _| async { Err(AnalysisError::permanent("no such thing")) });
    let coordinator = coordinator(config(), [bad.clone(), Script::good("good")]);
    let workflow = AnalysisWorkflowDefinition::new()
        .with_stage_after("bad", stage("bad"), [""; 0])
        .with_stage_after("beside", stage("good"), [""; 0])
        .with_stage_after("below", stage("good"), ["bad", "beside"])
        .with_stage_after("further below", stage("good"), ["below"])
        .with_stage_after("beside too", stage("good"), ["beside"]);
    let error = coordinator.execute_workflow(workflow).await.unwrap_err();
    assert_eq!(error.to_string(), "execution analysis-1 failed: stage \"bad\": no such thing (attempt 1)",);
    let AnalysisChainError::Unsuccessful { report } = error else { panic!("{error}") };
    assert_eq!(states(&report), [Failed, Done, Skipped, Skipped, Done]);
    assert_eq!(bad.calls(), 1, "a permanent error is not repeated");
    check_books(&coordinator);
}

#[tokio::test(start_paused = true)]
async fn an_optional_stage_may_fail() {
    let bad = Script::new("bad", |_, _| async { Err(AnalysisError::permanent("no")) });
    let last = Script::new("last", |input, _| async move {
        assert!(input.output("bad").is_none() && input.output("good").is_some());
        Ok(AnalysisOutput::Json(true.into()))
    });
    let coordinator = coordinator(config(), [bad, Script::good("good"), last]);
    let workflow = AnalysisWorkflowDefinition::new()
        .with_stage(stage("good"))
        .with_definition(StageDefinition::new("bad", stage("bad")).after(["good"]).optional())
        .with_stage(stage("last"));
    let report = coordinator.execute_workflow(workflow).await.unwrap();
    assert_eq!(states(&report), [Done, Failed, Done]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_stage_and_harms_nobody() {
    let panics = Script::new("panics", |_, _| async { panic!("of {}", "fear") });
    let coordinator = coordinator(config(), [panics, Script::good("good")]);
    let workflow = AnalysisWorkflowDefinition::new()
        .with_stage_after("panics", stage("panics"), [""; 0])
        .with_stage_after("good", stage("good"), [""; 0]);
    let report = fails(&coordinator, workflow).await;
    assert_eq!(states(&report), [Failed, Done]);
    assert_eq!(report.stages[0].error, Some(StageError::Panicked { message: "of fear".to_owned() }));
    coordinator.execute_workflow(chain(&["good"])).await.unwrap();
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.analyzers["panics"].panics, statistics.failed, statistics.completed), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_what_runs_and_keeps_what_is_done() {
    let (stuck, mut asked) = Script::stuck("stuck");
    let last = Script::good("last");
    let coordinator = Arc::new(coordinator(config(), [Script::good("first"), stuck, last.clone()]));
    let handle = coordinator.submit(chain(&["first", "stuck", "last"])).unwrap();
    let token = asked.recv().await.unwrap();
    // A task of its own, so that it looks at the books as soon as it is told.
    let (waits, books) = (handle.clone(), Arc::clone(&coordinator));
    let waiter = tokio::spawn(async move { (ended(&waits).await, check_books(&books)) });
    tokio::task::yield_now().await;
    assert!(coordinator.cancel(handle.id()));
    let (report, statistics) = waiter.await.unwrap();

    assert!(token.is_cancelled());
    assert_eq!(report.state, WorkflowState::Cancelled);
    assert_eq!(states(&report), [Done, Cancelled, Cancelled]);
    assert_eq!(last.calls(), 0);
    assert!(!coordinator.cancel(handle.id()), "it has ended");
    assert_eq!((statistics.cancelled, statistics.analyzers["stuck"].cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_between_attempts_can_be_cancelled() {
    let never = Script::new("never", |_, _| async { Err(AnalysisError::transient("not yet")) });
    let coordinator = coordinator(config().with_retries(9, 7200 * SECOND, 7200 * SECOND), [never]);
    let since = Instant::now();
    let handle = coordinator.submit(chain(&["never"])).unwrap();
    seen(&handle, |report| report.stages[0].error.is_some()).await;
    handle.cancel();
    let report = ended(&handle).await;
    assert_eq!((states(&report), since.elapsed().as_secs()), (vec![Cancelled], 0));
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_takes_too_long_as_a_whole_ends() {
    let (stuck, _asked) = Script::stuck("stuck");
    let coordinator = coordinator(config(), [stuck]);
    let since = Instant::now();
    let report = fails(&coordinator, chain(&["stuck"]).with_timeout(9 * SECOND)).await;
    assert_eq!((report.state, since.elapsed().as_secs()), (WorkflowState::TimedOut, 9));
    assert_eq!(states(&report), [Cancelled]);
    assert_eq!(check_books(&coordinator).timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_what_runs_and_what_waits_and_takes_nothing_new() {
    let (stuck, mut asked) = Script::stuck("stuck");
    let coordinator = coordinator(config().with_max_concurrent_workflows(1), [stuck]);
    let runs = coordinator.submit(chain(&["stuck"])).unwrap();
    let waits = coordinator.submit(chain(&["stuck"])).unwrap();
    let token = asked.recv().await.unwrap();
    tokio::time::timeout(3600 * SECOND, coordinator.shutdown()).await.unwrap();

    assert!(token.is_cancelled());
    for handle in [runs, waits] {
        assert_eq!(handle.report().state, WorkflowState::Cancelled, "at once, not some time later");
    }
    assert!(matches!(coordinator.submit(chain(&["stuck"])), Err(AnalysisChainError::ShutDown)));
    assert_eq!(check_books(&coordinator).cancelled, 2);
    assert!(asked.try_recv().is_err(), "the one that waited was never begun");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_coordinator_or_the_future_cancels() {
    let (stuck, mut asked) = Script::stuck("stuck");
    let coordinator = coordinator(config(), [stuck]);
    let handle = coordinator.submit(chain(&["stuck"])).unwrap();
    asked.recv().await.unwrap();
    let second = async {
        let token = asked.recv().await.unwrap();
        assert!(!token.is_cancelled());
        token
    };
    let token = tokio::select! {
        _ = coordinator.execute_workflow(chain(&["stuck"])) => panic!("it is stuck"),
        token = second => token,
    };
    assert!(token.is_cancelled(), "with the future");
    while coordinator.statistics().cancelled == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(coordinator.report(ExecutionId(2)).unwrap().state, WorkflowState::Cancelled);
    assert_eq!(handle.report().state, WorkflowState::Running, "the other one goes on");
    drop(coordinator);
    assert_eq!(ended(&handle).await.state, WorkflowState::Cancelled);
}

#[test]
fn executions_end_with_their_runtime_and_others_take_their_places() {
    let (stuck, mut asked) = Script::stuck("stuck");
    let coordinator = coordinator(
        config().with_max_concurrent_workflows(1).with_max_waiting_workflows(20_001),
        [stuck, Script::good("good")],
    );
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    assert!(matches!(coordinator.submit(chain(&["good"])), Err(AnalysisChainError::NoRuntime)));

    let (short, long) = (runtime(), runtime());
    let with_it: Vec<_> = short.block_on(async {
        let runs = coordinator.submit(chain(&["stuck"])).unwrap();
        asked.recv().await.unwrap();
        // Long enough to overflow the stack if each started the next from within.
        let waiting = (0..20_000).map(|_| coordinator.submit(chain(&["stuck"])).unwrap());
        [runs].into_iter().chain(waiting).collect()
    });
    let other = long.block_on(async { coordinator.submit(chain(&["good"])).unwrap() });
    drop(short);
    assert!(with_it.iter().all(|handle| handle.report().state == WorkflowState::Cancelled));
    assert_eq!(long.block_on(ended(&other)).state, WorkflowState::Completed);
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.cancelled, statistics.completed), (20_001, 1));
}

#[tokio::test(start_paused = true)]
async fn an_analyzer_that_does_not_look_at_its_token_cannot_hold_anybody_up() {
    static STEPS: AtomicUsize = AtomicUsize::new(0);
    let deaf = Script::new("deaf", |_, _| async {
        loop {
            STEPS.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let coordinator = coordinator(config(), [deaf]);
    let handle = coordinator.submit(chain(&["deaf"])).unwrap();
    seen(&handle, |report| report.stages[0].attempts == 1).await;
    coordinator.shutdown().await;
    tokio::task::yield_now().await;
    let steps = STEPS.load(Ordering::SeqCst);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(STEPS.load(Ordering::SeqCst), steps, "its task is gone");
}
