//! What the bus costs per event: publishing, and receiving it again.
//!
//! Processor time; everything runs on one thread.
//! The payload's own allocations are freed within the measured time: that is what 0 subscribers cost.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

mod support;

use std::sync::Arc;

use collector_core::{
    AncestryMode, BusEvent, CollectionEvent, CorrelationFilter, EventBusConfig, EventFilter,
    EventSubscription, ExecId, FilesystemEvent, FilesystemEventKind, LocalEventBus, ProcessEvent,
    ProcessEventKind, ProcessRef, Subscription,
};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use self::support::{CpuTime, events};

/// The size of batch the collector uses at most.
const BATCH: usize = 100;

/// The only image of a process.
const fn image(pid: u32) -> ExecId {
    ExecId { boot: 1, pid, start_ticks: 1, image: 1 }
}

fn exec(pid: u32) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid,
        exec_id: Some(image(pid)),
        parent_exec_id: Some(image(pid / 2)),
        name: "git".to_owned(),
        executable_path: Some("/usr/bin/git".into()),
        command_line: vec!["git".into(), "status".into()],
        kind: ProcessEventKind::Exec,
        ..ProcessEvent::default()
    })
}

fn open(pid: u32) -> CollectionEvent {
    let process = ProcessRef {
        pid,
        exec_id: Some(image(pid)),
        name: "git".into(),
        executable: Some("/usr/bin/git".into()),
        uid: Some(1000),
        container_id: None,
    };
    CollectionEvent::Filesystem(FilesystemEvent {
        pid: Some(pid),
        path: "/usr/lib/git-core/templates/description".into(),
        process: Some(process.into()),
        kind: FilesystemEventKind::Open,
        ..FilesystemEvent::default()
    })
}

/// A running bus with so many subscribers.
async fn bus_with(
    config: EventBusConfig,
    subscribers: usize,
    filter: &EventFilter,
) -> (LocalEventBus, Vec<Subscription>) {
    let bus = LocalEventBus::new(config).await.expect("the configuration is valid");
    bus.start().await.expect("a new bus starts");
    let mut subscriptions = Vec::new();
    for _ in 0..subscribers {
        let subscription = EventSubscription::from(filter.clone());
        subscriptions.push(bus.subscribe(subscription).await.expect("there is place"));
    }
    (bus, subscriptions)
}

/// Publishes the events and takes them out of every queue.
async fn round(
    bus: &LocalEventBus,
    subscriptions: &mut [Subscription],
    received: &mut Vec<Arc<BusEvent>>,
    mut events: Vec<CollectionEvent>,
) {
    match events.pop() {
        Some(event) if events.is_empty() => bus.publish(event).await.expect("the bus runs"),
        last => bus.publish_batch(events.into_iter().chain(last)).await.expect("the bus runs"),
    }
    for subscription in subscriptions {
        subscription.recv_many(received, BATCH).await;
        received.clear();
    }
}

fn publish(criterion: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let mut received = Vec::with_capacity(BATCH);
    for (name, size) in [("bus/batch", BATCH), ("bus/single", 1)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(events(size));
        for subscribers in [0, 1, 10, 50] {
            let (bus, mut subscriptions) =
                runtime.block_on(bus_with(EventBusConfig::default(), subscribers, &EventFilter::new()));
            group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
                bencher.iter_batched(
                    || (0..size as u32).map(exec).collect::<Vec<_>>(),
                    |events| runtime.block_on(round(&bus, &mut subscriptions, &mut received, events)),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

/// Publishes batches to subscribers with a filter and takes out what they get.
fn publish_filtered(
    criterion: &mut Criterion<CpuTime>,
    name: &str,
    config: EventBusConfig,
    (subscribers, filter): (usize, &EventFilter),
    event: impl Fn(u32) -> CollectionEvent,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let (bus, mut subscriptions) = runtime.block_on(bus_with(config, subscribers, filter));
    let mut received = Vec::with_capacity(BATCH);
    let mut group = criterion.benchmark_group(name);
    group.throughput(events(BATCH));
    group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
        bencher.iter_batched(
            || (0..BATCH as u32).map(&event).collect::<Vec<_>>(),
            |events| {
                runtime.block_on(bus.publish_batch(events)).expect("the bus runs");
                for subscription in &mut subscriptions {
                    while subscription.try_recv().map(|event| received.push(event)).is_ok() {}
                    received.clear();
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Filters that select nothing of what is published, so that only they are measured.
fn filter(criterion: &mut Criterion<CpuTime>) {
    let config = EventBusConfig::default;
    let by_kind = EventFilter::new().with_event_type("network").with_pids(0..100);
    publish_filtered(criterion, "bus/filtered_out", config(), (50, &by_kind), exec);
    let by_topic = EventFilter::new().with_topic("events/network/#").with_topic("events/+/exit");
    publish_filtered(criterion, "bus/filtered_out/topic", config(), (10, &by_topic), exec);
    let by_actor = EventFilter::new()
        .with_process_name("bash")
        .with_process_name("sh")
        .with_executable_prefix("/usr/sbin/")
        .with_uid(0);
    publish_filtered(criterion, "bus/filtered_out/actor", config(), (10, &by_actor), exec);
    let by_path = EventFilter::new().with_path_prefix("/etc/").with_path_prefix("/usr/lib/systemd/");
    publish_filtered(criterion, "bus/filtered_out/path", config(), (10, &by_path), open);
}

/// What it costs to know who descends from whom: nothing selected, so that only the index is measured.
fn ancestry(criterion: &mut Criterion<CpuTime>) {
    let always = || EventBusConfig::default().with_ancestry(AncestryMode::Always);
    let by_subtree = EventFilter::new().with_correlation_filter(CorrelationFilter::by_subtree(image(9999)));
    let nobody = EventFilter::new();
    publish_filtered(criterion, "bus/ancestry/kept/exec", always(), (0, &nobody), exec);
    publish_filtered(criterion, "bus/ancestry/kept/open", always(), (0, &nobody), open);
    publish_filtered(criterion, "bus/ancestry/subtree/exec", always(), (10, &by_subtree), exec);
    publish_filtered(criterion, "bus/ancestry/subtree/open", always(), (10, &by_subtree), open);
    // Each process is new, so that with every one another is forgotten.
    let pid = std::cell::Cell::new(0);
    let new = |_| {
        pid.set(pid.get() + 1);
        exec(pid.get())
    };
    publish_filtered(criterion, "bus/ancestry/subtree/new_processes", always(), (10, &by_subtree), new);
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::new());
    targets = publish, filter, ancestry
);
criterion_main!(benches);
