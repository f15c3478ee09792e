//! What an event costs on its whole way: source, channel, pump, bus, subscriber. Processor time of all threads.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use collector_core::{
    CollectionEvent, Collector, CollectorConfig, EventSource, EventSubscription, OverflowPolicy,
    ProcessEvent, ProcessEventKind, SourceCaps,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::sync::mpsc;

use self::support::{CpuTime, events};

/// Events of one run; many, so that starting and stopping do not count.
const EVENTS: usize = 100_000;

/// Events a ring reader hands over at once.
const BURST: usize = 100;

/// Sends as a ring reader does: bursts, waiting for place.
struct Bursts;

#[async_trait]
impl EventSource for Bursts {
    fn name(&self) -> &'static str {
        "bursts"
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    async fn start(&self, tx: mpsc::Sender<CollectionEvent>, _: Arc<AtomicBool>) -> anyhow::Result<()> {
        for _ in 0..EVENTS / BURST {
            for permit in tx.reserve_many(BURST).await? {
                let event = ProcessEvent { kind: ProcessEventKind::Exec, ..ProcessEvent::default() };
                permit.send(CollectionEvent::Process(event));
            }
        }
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

async fn run(subscribers: usize) -> usize {
    let mut collector = Collector::new(CollectorConfig::new().with_signal_handling(false));
    collector.register(Box::new(Bursts)).expect("there is place");
    let mut tasks = Vec::new();
    for index in 0..subscribers {
        let subscription = EventSubscription::new(format!("s{index}"))
            .with_overflow(OverflowPolicy::Block { deadline: Duration::from_secs(60) });
        let mut subscription = collector.bus().subscribe(subscription).await.expect("there is place");
        tasks.push(tokio::spawn(async move {
            let (mut received, mut buffer) = (0, Vec::new());
            while subscription.recv_many(&mut buffer, 512).await > 0 {
                received += buffer.len();
                buffer.clear();
            }
            received
        }));
    }
    collector.run().await.expect("the source does not fail");
    let mut received = 0;
    for task in tasks {
        received += task.await.expect("the subscriber does not fail");
    }
    assert_eq!(received, subscribers * EVENTS);
    received
}

fn pipeline(criterion: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let mut group = criterion.benchmark_group("collector");
    group.throughput(events(EVENTS)).sample_size(10);
    for subscribers in [0, 1, 5] {
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter(|| runtime.block_on(run(subscribers)));
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime::new()); targets = pipeline);
criterion_main!(benches);
