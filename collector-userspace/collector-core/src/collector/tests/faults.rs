//! Sources and subscribers that fail, block or flood.

use tokio::sync::mpsc::Sender;

use super::*;

#[tokio::test]
async fn a_source_that_fails_or_panics_is_reported_and_disturbs_no_other() {
    let failing = ScriptedSource::new("failing")
        .then(|_tx, _| async { Err(anyhow::anyhow!("inner").context("outer")) });
    let panicking = ScriptedSource::new("panicking").then_panic("at the disco");
    let collector = collector_of(quiet(), [failing, panicking, sender("good", 0..100)]);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    let expected = [
        SourceFailure::Failed { name: "failing", message: "outer: inner".to_owned() },
        SourceFailure::Panicked { name: "panicking", message: "at the disco".to_owned() },
    ];
    let error = collector.run().await.unwrap_err();
    assert!(error.to_string().starts_with("2 failure(s) in 3 sources: source failing: outer"), "{error}");
    assert_eq!(failures(Err(error)), expected);
    assert_eq!(pids_until_the_end(&mut subscription).await.len(), 100);
    assert_eq!(handle.statistics().errors_total, 2);
    assert_eq!(handle.health().status, HealthStatus::Unhealthy);
}

#[tokio::test]
async fn a_source_whose_stop_fails_or_panics_is_reported() {
    let failing = patient("a").whose_stop_fails("stuck");
    let panicking = patient("b").whose_stop_panics("no");
    let collector = collector_of(quiet(), [failing, panicking]);
    collector.handle().shutdown();
    let names = ["a", "b"].into_iter().zip(["stuck", "no"]);
    let expected = names.map(|(name, text)| SourceFailure::StopFailed { name, message: text.to_owned() });
    assert_eq!(failures(collector.run().await), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn sources_that_block_their_thread_for_ever_are_stopped_from_outside_then_abandoned() {
    let blocked = ScriptedSource::new("blocked").then_block();
    let control = blocked.control();
    let hangs_in_stop = patient("hangs-in-stop").whose_stop_blocks();
    let collector = collector_of(quiet().with_shutdown_timeout(SHORT), [blocked, hangs_in_stop]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("both are started", || {
        let states = handle.statistics().sources.into_iter().map(|source| source.state);
        states.eq([SourceState::Starting, SourceState::Running])
    })
    .await;
    let start = Instant::now();
    handle.shutdown();
    let expected = ["blocked", "hangs-in-stop"].map(|name| SourceFailure::Abandoned { name });
    assert_eq!(failures(run.await.unwrap()), expected);
    assert!(start.elapsed() < SHORT + SLACK, "{:?}", start.elapsed());
    // On a thread of its own, which may be late; and once, however long one waits.
    eventually("it was stopped", || control.stops() > 0).await;
    assert_eq!(control.stops(), 1);
    assert_eq!(handle.statistics().sources[0].state, SourceState::Abandoned);
}

#[tokio::test]
async fn a_stop_that_unblocks_start_saves_the_source() {
    let blocked = ScriptedSource::new("blocked");
    let control = blocked.control();
    let blocked = blocked.then(move |tx, _| {
        let control = control.clone();
        async move {
            while control.stops() == 0 {
                std::thread::sleep(Duration::from_millis(1)); // deadline: polls until the condition holds
            }
            tx.send(process(7)).await?;
            Ok(())
        }
    });
    // The timeout is long, as nothing may end it but `stop`; the half of it after which `stop` comes is waited for.
    let collector = collector_of(quiet().with_shutdown_timeout(Duration::from_secs(2)), [blocked]);
    let mut subscription = subscribed(&collector).await;
    collector.handle().shutdown();
    collector.run().await.unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [7]);
}

#[tokio::test]
async fn a_source_that_floods_and_ignores_the_signal_is_abandoned_in_time() {
    let timeout = Duration::from_secs(1);
    let floods = |tx: Sender<CollectionEvent>, _| async move {
        while tx.send(process(1)).await.is_ok() {}
        Ok(())
    };
    let flood = ScriptedSource::new("flood").then(floods).then_block();
    let collector = collector_of(quiet().with_shutdown_timeout(timeout), [flood]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("events flow", || handle.statistics().events_processed > 10_000).await;
    let start = Instant::now();
    handle.shutdown();
    assert_eq!(failures(run.await.unwrap()), [SourceFailure::Abandoned { name: "flood" }]);
    assert!(start.elapsed() < timeout + SLACK);
    let source = handle.statistics().sources.remove(0);
    assert!(source.events_received > 10_000);
    assert_eq!((source.events_published, source.events_lost_at_shutdown), (source.events_received, 0));
}

#[tokio::test]
async fn a_subscriber_that_blocks_for_ever_does_not_hold_up_the_end_and_its_losses_are_counted() {
    // A tenth of it is left to the pump to count what it leaves.
    let timeout = Duration::from_secs(2);
    let collector = collector_of(quiet().with_shutdown_timeout(timeout), [sender("a", 0..100)]);
    let mut stuck = cramped(&collector, AGES).await;
    let handle = collector.handle();
    let start = Instant::now();
    collector.run().await.unwrap();
    assert!(start.elapsed() < timeout + SLACK);
    let source = handle.statistics().sources.remove(0);
    let told = stuck.recv().await.unwrap();
    let CollectionEvent::Loss(loss) = &told.event else { panic!("a loss was due, not {told:?}") };
    assert_eq!(loss.reason, "publish_cancelled");
    assert_eq!(1 + loss.count + source.events_lost_at_shutdown, 100);
    assert_eq!(pids_until_the_end(&mut stuck).await, [0]);
}
