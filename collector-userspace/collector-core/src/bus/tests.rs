//! Behaviour of the bus: delivery, filters, policies, counters.

mod clock;
mod filters;
mod model;
mod stress;
mod subtree;
mod topics;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::event::{ExecId, LossEvent, NetworkEvent, ProcessEvent, ProcessEventKind};

/// Longer than anything here takes; only reached by a failing test.
const AGES: Duration = Duration::from_secs(3600);

fn process(pid: u32) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent { pid, kind: ProcessEventKind::Exec, ..ProcessEvent::default() })
}

fn network(pid: u32) -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent { pid: Some(pid), ..NetworkEvent::default() })
}

async fn running_bus() -> LocalEventBus {
    let bus = LocalEventBus::new(EventBusConfig::default()).await.unwrap();
    bus.start().await.unwrap();
    bus
}

fn small(id: &str, capacity: usize, policy: OverflowPolicy) -> EventSubscription {
    EventSubscription::new(id).with_capacity(capacity).with_overflow(policy)
}

fn pid(event: &BusEvent) -> u32 {
    event.event.pid().unwrap()
}

fn loss(event: &BusEvent) -> &LossEvent {
    match &event.event {
        CollectionEvent::Loss(loss) => loss,
        other => panic!("a loss was due, not {other:?}"),
    }
}

/// Everything that can be received without waiting, as pids.
fn drain(subscription: &mut Subscription) -> Vec<u32> {
    std::iter::from_fn(|| subscription.try_recv().ok()).map(|event| pid(&event)).collect()
}

fn statistics_of(bus: &LocalEventBus, id: &str) -> SubscriberStatistics {
    bus.statistics().subscribers.into_iter().find(|subscriber| subscriber.id == id).unwrap()
}

#[tokio::test]
async fn each_subscriber_gets_what_its_filter_selects() {
    let bus = running_bus().await;
    let exec_id = ExecId { boot: 1, pid: 2, start_ticks: 3, image: 4 };
    let filters = [
        (EventFilter::new(), vec![1, 2, 3]),
        (EventFilter::new().with_event_type(CollectionEvent::Process), vec![1, 3]),
        (EventFilter::new().with_event_type(CollectionEvent::Network), vec![2]),
        (EventFilter::new().with_event_type("network").with_event_type("process.exec"), vec![1, 2]),
        (EventFilter::new().with_event_type(String::from("process.exit")), vec![3]),
        (EventFilter::new().with_pids([3, 2]), vec![2, 3]),
        (EventFilter::new().with_event_type("process").with_pid(2), vec![]),
        (EventFilter::new().with_correlation_filter(CorrelationFilter::by_pid(2)), vec![2]),
        (EventFilter::new().with_correlation_filter(CorrelationFilter::by_exec_id(exec_id)), vec![3]),
    ];
    let mut subscriptions = Vec::new();
    for (filter, expected) in filters {
        subscriptions.push((bus.subscribe(filter.clone()).await.unwrap(), filter, expected));
    }
    bus.publish(process(1)).await.unwrap();
    let exit = ProcessEvent {
        pid: 3,
        kind: ProcessEventKind::Exit,
        exec_id: Some(exec_id),
        ..ProcessEvent::default()
    };
    bus.publish_batch(vec![network(2), CollectionEvent::Process(exit)]).await.unwrap();
    for (subscription, filter, expected) in &mut subscriptions {
        assert_eq!(&drain(subscription), expected, "{filter:?}");
        let statistics = statistics_of(&bus, subscription.id());
        assert_eq!(statistics.matched + statistics.filtered_out, 3);
        assert_eq!(statistics.delivered, expected.len() as u64);
    }
}

#[tokio::test]
async fn a_filter_for_a_type_that_does_not_exist_is_refused() {
    let bus = running_bus().await;
    let error = bus.subscribe(EventFilter::new().with_event_type("proces")).await.unwrap_err();
    assert_eq!(error, EventBusError::UnknownEventType { name: "proces".to_owned() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_each_publisher_arrive_in_its_order() {
    let bus = running_bus().await;
    let policy = OverflowPolicy::Block { deadline: AGES };
    let mut subscription = bus.subscribe(small("all", 8, policy)).await.unwrap();
    let publishers = [0, 1, 2].map(|publisher| {
        let bus = bus.clone();
        tokio::spawn(async move {
            for start in (0..1000).step_by(10) {
                let batch = (start..start + 10).map(|n| process(publisher * 10_000 + n));
                bus.publish_batch(batch.collect::<Vec<_>>()).await.unwrap();
            }
        })
    });
    let mut next = [0; 3];
    for _ in 0..3000 {
        let pid = pid(&subscription.recv().await.unwrap());
        let (publisher, n) = (pid / 10_000, pid % 10_000);
        assert_eq!(n, next[publisher as usize], "publisher {publisher} out of order");
        next[publisher as usize] += 1;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let statistics = statistics_of(&bus, "all");
    assert_eq!((statistics.delivered, statistics.dropped, statistics.queued), (3000, 0, 0));
    assert!(statistics.high_water_mark <= 8, "{statistics:?}");
}

#[tokio::test]
async fn dropping_the_oldest_keeps_the_newest_and_tells_what_is_missing() {
    let bus = running_bus().await;
    let mut slow = bus.subscribe(small("slow", 2, OverflowPolicy::DropOldest)).await.unwrap();
    bus.publish_batch((1..=5).map(process).collect::<Vec<_>>()).await.unwrap();
    let first = slow.recv().await.unwrap();
    assert_eq!(first.id, 0);
    let told = loss(&first);
    assert_eq!((told.domain, told.kind, told.reason), ("subscriber", Some("process.exec"), "queue_full"));
    assert_eq!(told.count, 3);
    assert_eq!(drain(&mut slow), [4, 5]);
    let statistics = statistics_of(&bus, "slow");
    assert_eq!((statistics.matched, statistics.delivered, statistics.dropped), (5, 2, 3));
    assert_eq!(statistics.dropped_by_kind["process.exec"], 3);
    assert_eq!(statistics.high_water_mark, 2);
    // Told once.
    bus.publish(process(6)).await.unwrap();
    assert_eq!(pid(&slow.recv().await.unwrap()), 6);
}

#[tokio::test]
async fn dropping_the_newest_keeps_the_oldest_and_tells_each_kind() {
    let bus = running_bus().await;
    let mut slow = bus.subscribe(small("slow", 1, OverflowPolicy::DropNewest)).await.unwrap();
    bus.publish_batch(vec![process(1), network(2), process(3), network(4)]).await.unwrap();
    let mut received = Vec::new();
    assert_eq!(slow.recv_many(&mut received, 10).await, 3);
    let told: Vec<_> = received[..2].iter().map(|event| (loss(event).kind, loss(event).count)).collect();
    assert_eq!(told, [(Some("network.connect"), 2), (Some("process.exec"), 1)]);
    assert_eq!(pid(&received[2]), 1);
}

#[tokio::test]
async fn an_overflow_ends_a_subscription_that_asked_for_it() {
    let bus = running_bus().await;
    let mut strict = bus.subscribe(small("strict", 1, OverflowPolicy::Disconnect)).await.unwrap();
    bus.publish_batch(vec![process(1), process(2), process(3)]).await.unwrap();
    bus.publish(process(4)).await.unwrap();
    assert_eq!(loss(&strict.recv().await.unwrap()).count, 2);
    assert_eq!(pid(&strict.recv().await.unwrap()), 1);
    assert!(strict.recv().await.is_none());
    let statistics = bus.statistics();
    assert_eq!((statistics.active_subscribers, statistics.events_dropped), (0, 2));
}

#[tokio::test]
async fn a_blocking_subscriber_gets_everything_from_a_publisher_that_waits() {
    let bus = running_bus().await;
    let policy = OverflowPolicy::Block { deadline: AGES };
    let mut store = bus.subscribe(small("store", 2, policy)).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish_batch((0..10).map(process).collect::<Vec<_>>()).await }
    });
    for expected in 0..10 {
        assert_eq!(pid(&store.recv().await.unwrap()), expected);
    }
    publisher.await.unwrap().unwrap();
    assert_eq!(statistics_of(&bus, "store").dropped, 0);
}

#[tokio::test]
async fn others_have_the_event_while_the_publisher_waits_for_a_blocked_one() {
    let bus = running_bus().await;
    let policy = OverflowPolicy::Block { deadline: AGES };
    let _stuck = bus.subscribe(small("stuck", 1, policy)).await.unwrap();
    let mut slow = bus.subscribe(small("slow", 1, policy)).await.unwrap();
    let mut quick = bus.subscribe(EventFilter::new()).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish_batch(vec![process(1), process(2), process(3)]).await }
    });
    for expected in 1..=3 {
        assert_eq!(pid(&quick.recv().await.unwrap()), expected);
    }
    // Blocked as well, but it takes its events and so gets the rest, whatever the stuck one does.
    for expected in 1..=3 {
        assert_eq!(pid(&slow.recv().await.unwrap()), expected);
    }
    assert!(!publisher.is_finished());
    publisher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_stuck_costs_one_deadline_and_is_told_when_it_comes_back() {
    let bus = running_bus().await;
    let deadline = Duration::from_millis(500);
    let mut stuck = bus.subscribe(small("stuck", 1, OverflowPolicy::Block { deadline })).await.unwrap();
    let start = Instant::now();
    for n in 0..100 {
        bus.publish(process(n)).await.unwrap();
    }
    assert!((deadline..deadline * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    let statistics = statistics_of(&bus, "stuck");
    assert!(statistics.stalled);
    assert_eq!((statistics.dropped, statistics.dropped_by_reason["deadline_exceeded"]), (99, 99));

    let told = stuck.recv().await.unwrap();
    assert_eq!((loss(&told).reason, loss(&told).count), ("deadline_exceeded", 99));
    assert_eq!(pid(&stuck.recv().await.unwrap()), 0);
    assert!(!statistics_of(&bus, "stuck").stalled);
    bus.publish(process(100)).await.unwrap();
    assert_eq!(drain(&mut stuck), [100]);
}

#[tokio::test]
async fn what_a_cancelled_publisher_could_not_deliver_is_counted() {
    let bus = running_bus().await;
    let policy = OverflowPolicy::Block { deadline: AGES };
    let mut slow = bus.subscribe(small("slow", 1, policy)).await.unwrap();
    let mut quick = bus.subscribe(EventFilter::new()).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish_batch(vec![process(1), process(2), process(3)]).await }
    });
    quick.recv().await.unwrap();
    publisher.abort();
    assert!(publisher.await.unwrap_err().is_cancelled());
    let told = slow.recv().await.unwrap();
    assert_eq!((loss(&told).reason, loss(&told).count), ("publish_cancelled", 2));
    assert_eq!(drain(&mut slow), [1]);
}

#[tokio::test]
async fn what_was_published_before_shutdown_is_received_after_it() {
    let bus = running_bus().await;
    let mut subscription = bus.subscribe(EventFilter::new()).await.unwrap();
    bus.publish(process(1)).await.unwrap();
    bus.shutdown().await;
    assert_eq!(bus.publish(process(2)).await, Err(EventBusError::Closed));
    assert_eq!(bus.start().await, Err(EventBusError::Closed));
    assert_eq!(bus.subscribe(EventFilter::new()).await.unwrap_err(), EventBusError::Closed);
    assert_eq!(pid(&subscription.recv().await.unwrap()), 1);
    assert!(subscription.recv().await.is_none());
    assert_eq!(subscription.try_recv().unwrap_err(), TryRecvError::Closed);
}

#[tokio::test]
async fn a_waiting_subscriber_notices_the_end_however_it_comes() {
    let bus = running_bus().await;
    let waiting = |mut subscription: Subscription| tokio::spawn(async move { subscription.recv().await });
    let shut_down = waiting(bus.subscribe(EventSubscription::new("a")).await.unwrap());
    let unsubscribed = waiting(bus.subscribe(EventSubscription::new("b")).await.unwrap());
    let other = running_bus().await;
    let dropped = waiting(other.subscribe(EventFilter::new()).await.unwrap());
    tokio::task::yield_now().await;

    bus.unsubscribe("b").await.unwrap();
    assert!(unsubscribed.await.unwrap().is_none());
    bus.shutdown().await;
    assert!(shut_down.await.unwrap().is_none());
    drop(other);
    assert!(dropped.await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_a_subscription_unsubscribes() {
    let bus = running_bus().await;
    let mut subscription = bus.subscribe(EventSubscription::new("once")).await.unwrap();
    bus.publish_batch(vec![process(1), process(2)]).await.unwrap();
    subscription.recv().await.unwrap();
    drop(subscription);
    bus.publish(process(3)).await.unwrap();
    let statistics = bus.statistics();
    assert_eq!(statistics.active_subscribers, 0);
    assert_eq!((statistics.events_published, statistics.events_delivered), (3, 1));
    bus.subscribe(EventSubscription::new("once")).await.unwrap();
}

#[tokio::test]
async fn what_is_received_or_lost_after_the_subscription_ended_is_counted_too() {
    let bus = running_bus().await;
    let mut ended = bus.subscribe(small("ended", 2, OverflowPolicy::Disconnect)).await.unwrap();
    bus.publish_batch((1..=3).map(process).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(bus.statistics().active_subscribers, 0);
    assert_eq!(loss(&ended.recv().await.unwrap()).count, 1);
    assert_eq!(drain(&mut ended), [1, 2]);
    let policy = OverflowPolicy::Block { deadline: AGES };
    let slow = bus.subscribe(small("slow", 1, policy)).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish_batch(vec![process(4), process(5), process(6)]).await }
    });
    while statistics_of(&bus, "slow").queued == 0 {
        tokio::task::yield_now().await;
    }
    bus.unsubscribe("slow").await.unwrap();
    publisher.await.unwrap().unwrap();
    drop(slow);
    let statistics = bus.statistics();
    assert_eq!((statistics.events_delivered, statistics.events_dropped), (2, 1 + 2));
}

#[tokio::test]
async fn a_dropped_subscription_frees_a_publisher_that_waits_for_it() {
    let bus = running_bus().await;
    let policy = OverflowPolicy::Block { deadline: AGES };
    let slow = bus.subscribe(small("slow", 1, policy)).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish_batch(vec![process(1), process(2)]).await }
    });
    while statistics_of(&bus, "slow").queued == 0 {
        tokio::task::yield_now().await;
    }
    drop(slow);
    publisher.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_bus_refuses_what_cannot_work() {
    let config = EventBusConfig::default().with_max_subscribers(2);
    let bus = LocalEventBus::new(config).await.unwrap();
    assert_eq!(bus.publish(process(1)).await, Err(EventBusError::NotStarted));
    assert_eq!(bus.publish_batch(vec![process(1)]).await, Err(EventBusError::NotStarted));
    let _first = bus.subscribe(EventSubscription::new("a")).await.unwrap();
    let refused = bus.subscribe(EventSubscription::new("a")).await.unwrap_err();
    assert_eq!(refused, EventBusError::DuplicateSubscriber { id: "a".to_owned() });
    let refused = bus.subscribe(small("b", 0, OverflowPolicy::DropNewest)).await.unwrap_err();
    assert_eq!(refused, EventBusError::ZeroCapacity { id: "b".to_owned() });
    let _second = bus.subscribe(EventFilter::new()).await.unwrap();
    let refused = bus.subscribe(EventFilter::new()).await.unwrap_err();
    assert_eq!(refused, EventBusError::TooManySubscribers { limit: 2 });
    let refused = bus.unsubscribe("c").await.unwrap_err();
    assert_eq!(refused, EventBusError::UnknownSubscriber { id: "c".to_owned() });
    let refused = LocalEventBus::new(EventBusConfig::default().with_buffer_size(0)).await.unwrap_err();
    assert_eq!(refused.to_string(), "buffer_size is 0; it must be at least 1");
}

#[tokio::test]
async fn a_thread_receives_without_a_runtime() {
    let bus = running_bus().await;
    let mut subscription = bus.subscribe(EventFilter::new()).await.unwrap();
    let thread = std::thread::spawn(move || {
        let mut received = Vec::new();
        let nothing = subscription.recv_blocking_many(&mut received, 10, Duration::from_millis(1));
        let mut ends = vec![nothing];
        while let Ok(count) = subscription.recv_blocking_many(&mut received, 10, AGES) {
            assert!((1..=10).contains(&count));
        }
        ends.push(subscription.recv_blocking_many(&mut received, 10, AGES));
        (received.iter().map(|event| pid(event)).collect::<Vec<_>>(), ends)
    });
    // Published one by one and in batches, so that the thread is woken as well as found awake.
    for n in 0..50 {
        bus.publish(process(n)).await.unwrap();
        tokio::task::yield_now().await;
    }
    bus.publish_batch((50..100).map(process).collect::<Vec<_>>()).await.unwrap();
    bus.shutdown().await;
    let (received, ends) = thread.join().unwrap();
    assert_eq!(received, (0..100).collect::<Vec<_>>());
    assert_eq!(ends[1], Err(TryRecvError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_accounted_for_under_load() {
    let bus = running_bus().await;
    let policies = [
        OverflowPolicy::DropOldest,
        OverflowPolicy::DropNewest,
        OverflowPolicy::Block { deadline: Duration::from_millis(1) },
        OverflowPolicy::Block { deadline: AGES },
    ];
    let mut readers = Vec::new();
    for (index, policy) in policies.into_iter().enumerate() {
        let mut subscription = bus.subscribe(small(&format!("s{index}"), 16, policy)).await.unwrap();
        readers.push(tokio::spawn(async move {
            let (mut events, mut told, mut buffer) = (0, 0, Vec::new());
            while subscription.recv_many(&mut buffer, 7).await > 0 {
                for event in buffer.drain(..) {
                    match &event.event {
                        CollectionEvent::Loss(loss) => told += loss.count,
                        _ => events += 1,
                    }
                }
            }
            (events, told)
        }));
    }
    let publishers = [3, 10, 40].map(|size| {
        let bus = bus.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                bus.publish_batch((0..size).map(process).collect::<Vec<_>>()).await.unwrap();
            }
        })
    });
    for publisher in publishers {
        publisher.await.unwrap();
    }
    bus.shutdown().await;
    let published = 200 * (3 + 10 + 40);
    assert_eq!(bus.statistics().events_published, published);
    for (index, reader) in readers.into_iter().enumerate() {
        let (events, told) = reader.await.unwrap();
        assert_eq!(events + told, published, "subscriber {index}: received {events}, told of {told}");
        if index == 3 {
            assert_eq!(told, 0, "a patient publisher loses nothing");
        }
    }
}

#[tokio::test]
async fn a_full_queue_does_not_keep_other_tasks_from_running() {
    let bus = running_bus().await;
    let mut subscription = bus.subscribe(EventFilter::new()).await.unwrap();
    bus.publish_batch((0..5000).map(process).collect::<Vec<_>>()).await.unwrap();
    let other = tokio::spawn(async {});
    let mut received = 0;
    while !other.is_finished() {
        subscription.recv().await.unwrap();
        received += 1;
    }
    assert!(received < 5000);
}

#[test]
fn a_policy_with_an_unknown_setting_is_refused() {
    let read = |text: &str| serde_json::from_str::<OverflowPolicy>(text);
    let deadline = Duration::from_secs(1);
    assert_eq!(read(r#"{"block":{"deadline":"1s"}}"#).unwrap(), OverflowPolicy::Block { deadline });
    let error = read(r#"{"block":{"deadline":"1s","dedline":"2s"}}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `dedline`"), "{error}");
}
