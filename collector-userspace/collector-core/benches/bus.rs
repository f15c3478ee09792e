//! What the bus costs per event: publishing, and receiving it again.
//!
//! Processor time; everything runs on one thread.
//! The payload's own allocations are freed within the measured time: that is what 0 subscribers cost.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

mod support;

use collector_core::{
    CollectionEvent, EventBusConfig, EventFilter, EventSubscription, LocalEventBus, ProcessEvent,
    ProcessEventKind, Subscription,
};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use self::support::{CpuTime, events};

/// The size of batch the collector uses at most.
const BATCH: usize = 100;

fn exec(pid: u32) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid,
        name: "git".to_owned(),
        executable_path: Some("/usr/bin/git".into()),
        command_line: vec!["git".into(), "status".into()],
        kind: ProcessEventKind::Exec,
        ..ProcessEvent::default()
    })
}

/// A running bus with so many subscribers.
async fn bus_with(subscribers: usize, filter: &EventFilter) -> (LocalEventBus, Vec<Subscription>) {
    let bus = LocalEventBus::new(EventBusConfig::default()).await.expect("the defaults are valid");
    bus.start().await.expect("a new bus starts");
    let mut subscriptions = Vec::new();
    for _ in 0..subscribers {
        let subscription = EventSubscription::from(filter.clone());
        subscriptions.push(bus.subscribe(subscription).await.expect("there is place"));
    }
    (bus, subscriptions)
}

/// Publishes the events and takes them out of every queue.
async fn round(bus: &LocalEventBus, subscriptions: &mut [Subscription], events: Vec<CollectionEvent>) {
    let mut received = Vec::with_capacity(BATCH);
    bus.publish_batch(events).await.expect("the bus runs");
    for subscription in subscriptions {
        subscription.recv_many(&mut received, BATCH).await;
        received.clear();
    }
}

fn publish(criterion: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    for (name, size) in [("bus/batch", BATCH), ("bus/single", 1)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(events(size));
        for subscribers in [0, 1, 10, 50] {
            let (bus, mut subscriptions) = runtime.block_on(bus_with(subscribers, &EventFilter::new()));
            group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
                bencher.iter_batched(
                    || (0..size as u32).map(exec).collect::<Vec<_>>(),
                    |events| runtime.block_on(round(&bus, &mut subscriptions, events)),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

fn filter(criterion: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let uninteresting = EventFilter::new().with_event_type("network").with_pids(0..100);
    let (bus, _subscriptions) = runtime.block_on(bus_with(50, &uninteresting));
    let mut group = criterion.benchmark_group("bus/filtered_out");
    group.throughput(events(BATCH));
    group.bench_function(BenchmarkId::from_parameter(50), |bencher| {
        bencher.iter_batched(
            || (0..BATCH as u32).map(exec).collect::<Vec<_>>(),
            |events| runtime.block_on(round(&bus, &mut [], events)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime::new()); targets = publish, filter);
criterion_main!(benches);
