//! A clock on the wall that jumps about disturbs neither order nor filters nor deadlines.

use std::time::{Duration, SystemTime};

use super::*;
use crate::Condition;
use crate::condition::Scratch;

/// Today, 1970, long before it, as late as there is, and today again.
fn jumping_clock() -> [SystemTime; 5] {
    let (now, epoch) = (SystemTime::now(), SystemTime::UNIX_EPOCH);
    let ages = Duration::from_secs(1 << 40);
    [now, epoch, epoch - ages, epoch + Duration::from_secs(i64::MAX as u64), now]
}

fn at(pid: u32, timestamp: SystemTime) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent { pid, timestamp, ..ProcessEvent::default() })
}

#[tokio::test]
async fn events_keep_the_order_in_which_they_were_published() {
    let bus = running_bus().await;
    let mut all = bus.subscribe(EventFilter::new()).await.unwrap();
    let clock = jumping_clock();
    for (pid, timestamp) in (0..).zip(clock) {
        bus.publish(at(pid, timestamp)).await.unwrap();
    }
    bus.shutdown().await;
    let mut received = Vec::new();
    while let Some(event) = all.recv().await {
        received.push((event.id, event.event.pid(), event.event.timestamp()));
    }
    let expected = (0..).zip(clock).map(|(pid, timestamp)| (u64::from(pid) + 1, Some(pid), timestamp));
    assert_eq!(received, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn windows_of_time_select_by_what_the_events_say() {
    let clock = jumping_clock();
    let [now, epoch, long_ago, at_the_end, _] = clock;
    for (filter, expected) in [
        (CorrelationFilter::by_time_window(now..), vec![0, 3, 4]),
        (CorrelationFilter::by_time_window(..epoch), vec![2]),
        (CorrelationFilter::by_time_window(long_ago..=epoch), vec![1, 2]),
        (CorrelationFilter::by_time_window(at_the_end..), vec![3]),
        (CorrelationFilter::by_time_window(epoch..at_the_end), vec![0, 1, 4]),
    ] {
        let bus = running_bus().await;
        let by_window = EventFilter::new().with_correlation_filter(filter.clone());
        let mut selected = bus.subscribe(by_window).await.unwrap();
        for (pid, timestamp) in (0..).zip(clock) {
            bus.publish(at(pid, timestamp)).await.unwrap();
        }
        bus.shutdown().await;
        let mut pids = Vec::new();
        while let Some(event) = selected.recv().await {
            pids.extend(event.event.pid());
        }
        assert_eq!(pids, expected, "{filter:?}");
        let counts = bus.statistics();
        assert_eq!(counts.events_dropped, 0);
    }
}

#[test]
fn conditions_on_the_time_know_all_times() {
    let before = Condition::from_sql("time_ns < 0").unwrap();
    let after = Condition::from_sql("time_ns > 9223372036854775807").unwrap();
    let mut scratch = Scratch::default();
    let truths = jumping_clock().map(|timestamp| {
        let event = at(1, timestamp);
        (before.matches(&event, &mut scratch), after.matches(&event, &mut scratch))
    });
    let ordinary = (false, false);
    assert_eq!(truths, [ordinary, ordinary, (true, false), (false, true), ordinary]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_publisher_waits_by_the_monotonic_clock() {
    let bus = running_bus().await;
    let deadline = Duration::from_secs(60);
    let mut stuck = bus.subscribe(small("stuck", 1, OverflowPolicy::Block { deadline })).await.unwrap();
    let begin = Instant::now();
    bus.publish_batch((0..).zip(jumping_clock()).map(|(pid, timestamp)| at(pid, timestamp))).await.unwrap();
    assert!((deadline..2 * deadline).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    let told = stuck.recv().await.unwrap();
    assert_eq!((loss(&told).count, loss(&told).reason), (4, "deadline_exceeded"));
}
