//! The bus stays open for what the last events lead to.

use std::time::Duration;

use tokio::time::timeout;

use super::*;

/// What runs beside a collector and answers its events with others.
async fn answering(collector: &Collector) -> tokio::task::JoinHandle<usize> {
    let (bus, hold) = (collector.bus(), collector.hold_bus_open());
    let mut events = bus.subscribe(EventSubscription::new("answering")).await.unwrap();
    tokio::spawn(async move {
        hold.sources_ended().await;
        bus.unsubscribe("answering").await.unwrap();
        let mut answered = 0;
        while let Some(event) = events.recv().await {
            let pid = event.event.pid().unwrap() + 1000;
            bus.publish(process(pid)).await.unwrap();
            answered += 1;
        }
        answered
    })
}

#[tokio::test]
async fn what_the_last_events_lead_to_is_published_before_the_bus_closes() {
    let collector = collector_of(quiet(), [sender("a", 1..4)]);
    let mut seen = subscribed(&collector).await;
    let answering = answering(&collector).await;
    collector.run().await.unwrap();
    assert_eq!(answering.await.unwrap(), 3);
    assert_eq!(pids_until_the_end(&mut seen).await, [1, 2, 3, 1001, 1002, 1003]);
}

#[tokio::test]
async fn a_hold_that_is_never_dropped_ends_with_the_shutdown_timeout() {
    let config = quiet().with_shutdown_timeout(Duration::from_millis(200));
    let collector = collector_of(config, [sender("a", 1..2)]);
    let hold = collector.hold_bus_open();
    timeout(Duration::from_secs(10), collector.run()).await.expect("in time").unwrap();
    timeout(Duration::from_secs(10), hold.sources_ended()).await.expect("in time");
}

#[tokio::test]
async fn a_run_that_cannot_begin_ends_the_waiting_for_its_sources() {
    let collector = collector_of(quiet(), []);
    let hold = collector.hold_bus_open();
    let _handle = collector.handle();
    collector.run().await.unwrap_err();
    timeout(Duration::from_secs(10), hold.sources_ended()).await.expect("in time");
}

#[tokio::test]
async fn a_hold_taken_after_the_end_holds_nothing() {
    let collector = collector_of(quiet(), [sender("a", 1..2)]);
    let shared = Arc::clone(&collector.shared);
    collector.run().await.unwrap();
    let hold = shared.holds().hold();
    timeout(Duration::from_secs(10), hold.sources_ended()).await.expect("in time");
}
