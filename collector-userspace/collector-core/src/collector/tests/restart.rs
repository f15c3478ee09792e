//! Sources that fail and are started again.

use super::*;

/// Sends the number of its start, then fails or panics, as often as `failures` says; then it is done.
fn fails_at_first(failures: usize) -> ScriptedSource {
    let source = ScriptedSource::new("unsteady");
    let control = source.control();
    source.then(move |tx, _| {
        let start = control.starts() - 1;
        async move {
            tx.send(process(u32::try_from(start)?)).await?;
            match start {
                _ if start >= failures => Ok(()),
                odd if odd % 2 == 1 => panic!("start {start}"),
                _ => anyhow::bail!("start {start}"),
            }
        }
    })
}

fn restarting(max_restarts: u32, pause: Duration) -> CollectorConfig {
    let policy = RestartPolicy::default().with_max_restarts(max_restarts).with_pauses(pause, pause);
    quiet().with_restart_policy(policy)
}

#[tokio::test]
async fn a_source_that_fails_is_started_again_and_nothing_it_sent_is_lost() {
    let source = fails_at_first(3);
    let control = source.control();
    let collector = collector_of(restarting(5, Duration::from_millis(1)), [source]);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    collector.run().await.unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [0, 1, 2, 3]);
    assert_eq!(control.stops(), 4, "each start is stopped");
    let stats = handle.statistics().sources.remove(0);
    assert_eq!((stats.state, stats.restarts, stats.errors), (SourceState::Finished, 3, 3));
    assert_eq!(stats.last_error.as_deref(), Some("source unsteady: start 2"));
    assert_eq!(handle.health().status, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_source_that_fails_too_often_has_failed() {
    let source = fails_at_first(usize::MAX);
    let control = source.control();
    let collector = collector_of(restarting(2, Duration::from_millis(1)), [source, patient("other")]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it has failed", || handle.statistics().sources[0].state == SourceState::Failed).await;
    assert_eq!(handle.statistics().sources[1].state, SourceState::Running);
    handle.shutdown();
    let message = "start 2".to_owned();
    assert_eq!(failures(run.await.unwrap()), [SourceFailure::Failed { name: "unsteady", message }]);
    let stats = handle.statistics().sources.remove(0);
    assert_eq!((stats.restarts, stats.errors, stats.events_published), (2, 3, 3));
    assert_eq!(control.stops(), 3);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_restart() {
    let source = fails_at_first(usize::MAX);
    let control = source.control();
    let collector = collector_of(restarting(2, AGES), [source]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it waits", || handle.statistics().sources[0].state == SourceState::Restarting).await;
    handle.shutdown();
    let ended = tokio::time::timeout(SLACK, run).await.expect("it does not wait").unwrap();
    let message = "start 0".to_owned();
    assert_eq!(failures(ended), [SourceFailure::Failed { name: "unsteady", message }]);
    assert_eq!(control.stops(), 1);
}
