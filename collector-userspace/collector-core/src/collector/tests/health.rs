//! How well the sources do, from their start on.

use std::sync::{Mutex, mpsc as std_mpsc};

use super::*;

#[tokio::test]
async fn a_slow_start_is_reported_and_not_killed() {
    let (release, gate) = std_mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let slow = ScriptedSource::new("slow").then(move |tx, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.lock().unwrap().recv()?;
            tx.send(process(7)).await?;
            Ok(())
        }
    });
    let collector = collector_of(quiet().with_startup_timeout(Duration::from_millis(1)), [slow]);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    let run = tokio::spawn(collector.run());
    eventually("it is overdue", || handle.health().status == HealthStatus::Unhealthy).await;
    let reason = handle.health().sources[0].reason.clone().unwrap();
    assert!(reason.starts_with("it has not started within"), "{reason}");
    release.send(()).unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [7]);
    assert_eq!(handle.health().status, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_source_is_started_when_it_says_so() {
    let connects_first = patient("connects-first");
    let control = connects_first.control();
    control.set_started(false);
    let collector = collector_of(quiet().with_startup_timeout(Duration::from_millis(1)), [connects_first]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it is overdue", || handle.health().status == HealthStatus::Unhealthy).await;
    // Its thread may not even have begun when it is overdue.
    eventually("it starts", || handle.statistics().sources[0].state == SourceState::Starting).await;
    control.set_started(true);
    eventually("it is started", || handle.statistics().sources[0].state == SourceState::Running).await;
    assert_eq!(handle.health().status, HealthStatus::Healthy);
    handle.shutdown();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_follows_what_the_source_says() {
    let source = patient("a");
    let control = source.control();
    let config = quiet().with_health_check_interval(Duration::from_millis(20));
    let collector = collector_of(config, [source]);
    let handle = collector.handle();
    assert_eq!(handle.health().status, HealthStatus::Unknown);
    let run = tokio::spawn(collector.run());
    eventually("it is healthy", || handle.health().status == HealthStatus::Healthy).await;
    control.set_unhealthy("the ring is gone");
    // On a busy machine a check of a healthy source may also be late, which is another reason.
    let reason = || handle.health().sources.remove(0).reason;
    eventually("it says why not", || reason().as_deref() == Some("the ring is gone")).await;
    assert_eq!(handle.health().status, HealthStatus::Unhealthy);
    assert!(handle.statistics().errors_total > 0);
    control.set_healthy();
    eventually("it is again", || handle.health().status == HealthStatus::Healthy).await;
    handle.shutdown();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_source_that_blocks_while_it_runs_does_not_answer_health_checks() {
    let blocks_later = patient("blocks-later").then_block();
    let control = blocks_later.control();
    let config = quiet().with_health_check_interval(Duration::from_millis(2)).with_shutdown_timeout(SHORT);
    let collector = collector_of(config, [blocks_later]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it runs", || handle.statistics().sources[0].state == SourceState::Running).await;
    control.go_on();
    eventually("it is unhealthy", || handle.health().status == HealthStatus::Unhealthy).await;
    let reason = handle.health().sources[0].reason.clone().unwrap();
    assert!(reason.contains("health check"), "{reason}");
    handle.shutdown();
    assert_eq!(failures(run.await.unwrap()).len(), 1);
}
