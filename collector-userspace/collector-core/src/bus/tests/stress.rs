//! Many publishers and subscribers at once, under every policy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const PUBLISHERS: u32 = 4;
const PER_PUBLISHER: u32 = 4000;

/// What a reader saw: events, losses it was told of, and the last number of each publisher.
#[derive(Default)]
struct Seen {
    events: u64,
    told: u64,
    last: HashMap<u32, u32>,
}

impl Seen {
    fn take(&mut self, event: &BusEvent) {
        if let CollectionEvent::Loss(loss) = &event.event {
            self.told += loss.count;
            return;
        }
        self.events += 1;
        let (publisher, number) = (pid(event) / PER_PUBLISHER, pid(event) % PER_PUBLISHER);
        if let Some(last) = self.last.insert(publisher, number) {
            assert!(last < number, "publisher {publisher}: {number} after {last}");
        }
    }
}

/// Publishes its numbers in order, singly and in batches of changing size.
async fn publish(bus: LocalEventBus, publisher: u32) {
    let mut number = 0;
    while number < PER_PUBLISHER {
        let size = if number % 3 == 0 { 1 } else { (number % 37 + 1).min(PER_PUBLISHER - number) };
        let mut events = (number..number + size).map(|n| process(publisher * PER_PUBLISHER + n));
        if size == 1 {
            bus.publish(events.next().unwrap()).await.unwrap();
        } else {
            bus.publish_batch(events).await.unwrap();
        }
        number += size;
    }
}

fn policies() -> [OverflowPolicy; 5] {
    [
        OverflowPolicy::DropOldest,
        OverflowPolicy::DropNewest,
        OverflowPolicy::Disconnect,
        OverflowPolicy::Block { deadline: Duration::from_millis(1) },
        OverflowPolicy::Block { deadline: AGES },
    ]
}

/// Subscribes, reads some, leaves; again and again with another policy and filter.
async fn come_and_go(bus: LocalEventBus, reader: usize, stop: &AtomicBool) -> u64 {
    let exec_id = ExecId { boot: 1, pid: 1, start_ticks: 1, image: 1 };
    let mut received = 0;
    for round in reader.. {
        if stop.load(Ordering::Relaxed) {
            return received;
        }
        let filter = match round % 4 {
            0 => EventFilter::new().with_topic("events/process/#"),
            1 => EventFilter::new().with_pids(0..100),
            2 => EventFilter::new().with_correlation_filter(CorrelationFilter::by_subtree(exec_id)),
            _ => EventFilter::new(),
        };
        let policy = policies()[round % 5];
        let wanted = EventSubscription::from(filter).with_capacity(round % 7 + 1).with_overflow(policy);
        let mut subscription = bus.subscribe(wanted).await.unwrap();
        let mut seen = Seen::default();
        for _ in 0..20 {
            match subscription.try_recv() {
                Ok(event) => seen.take(&event),
                Err(TryRecvError::Empty) => tokio::task::yield_now().await,
                Err(TryRecvError::Closed) => break,
            }
        }
        received += seen.events;
    }
    received
}

/// Reads all there is, slowly at times.
async fn read(mut subscription: Subscription, slow: bool) -> Seen {
    let (mut seen, mut buffer) = (Seen::default(), Vec::new());
    while subscription.recv_many(&mut buffer, 5).await > 0 {
        for event in buffer.drain(..) {
            seen.take(&event);
        }
        if slow {
            tokio::task::yield_now().await;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_event_is_delivered_or_counted_while_subscribers_come_and_go() {
    let bus = running_bus().await;
    let published = u64::from(PUBLISHERS * PER_PUBLISHER);
    let mut readers = Vec::new();
    for (index, policy) in policies().into_iter().enumerate() {
        if policy == OverflowPolicy::Disconnect {
            continue; // Ends at its first loss; it is among those that come and go.
        }
        let subscription = bus.subscribe(small(&format!("stays-{index}"), 32, policy)).await.unwrap();
        readers.push((policy, tokio::spawn(read(subscription, index % 2 == 0))));
    }
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..3)
        .map(|reader| {
            let (bus, stop) = (bus.clone(), stop.clone());
            tokio::spawn(async move { come_and_go(bus, reader, &stop).await })
        })
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS).map(|n| tokio::spawn(publish(bus.clone(), n))).collect();
    let all = async {
        for publisher in publishers {
            publisher.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the publishers come to an end");
    stop.store(true, Ordering::Relaxed);
    let mut visited = 0;
    for visitor in visitors {
        visited += visitor.await.unwrap();
    }
    bus.shutdown().await;
    let mut delivered = 0;
    for (policy, reader) in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.events + seen.told, published, "{policy:?}: {} received", seen.events);
        if policy == (OverflowPolicy::Block { deadline: AGES }) {
            assert_eq!(seen.told, 0, "a patient publisher loses nothing");
        }
        delivered += seen.events;
    }
    let statistics = bus.statistics();
    assert_eq!(statistics.events_published, published);
    assert_eq!(statistics.events_delivered, delivered + visited);
    assert_eq!(statistics.active_subscribers, 0);
    assert_eq!(statistics.ancestry.subtrees, 0);
}
