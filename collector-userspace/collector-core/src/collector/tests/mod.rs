//! Behaviour of the collector: sources of every temper, shutdown, statistics.

mod faults;
mod flow;
mod health;
mod hold;
mod life;
mod remains;
mod restart;

use std::ops::Range;
use std::time::{Duration, Instant};

use super::*;
use crate::HealthStatus;
use crate::bus::{BusEvent, EventFilter, EventSubscription, OverflowPolicy, Subscription};
use crate::event::{CollectionEvent, ProcessEvent};
use crate::testing::{ScriptedSource, collect, collect_all, subscribe};

/// Longer than anything here takes; only reached by a failing test.
const AGES: Duration = Duration::from_secs(3600);
/// The shutdown timeout of tests that use it up.
const SHORT: Duration = Duration::from_millis(200);
/// What a run may take beyond its shutdown timeout on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

fn process(pid: u32) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent { pid, ..ProcessEvent::default() })
}

/// Sends processes with these pids, then ends.
fn sender(name: &'static str, pids: Range<u32>) -> ScriptedSource {
    ScriptedSource::new(name).then_send(pids.map(process))
}

/// Runs until it is told to stop.
fn patient(name: &'static str) -> ScriptedSource {
    ScriptedSource::new(name).then_idle()
}

fn quiet() -> CollectorConfig {
    CollectorConfig::new().with_signal_handling(false).with_restart_policy(RestartPolicy::never())
}

fn collector_of(config: CollectorConfig, sources: impl IntoIterator<Item = ScriptedSource>) -> Collector {
    let mut collector = Collector::new(config);
    for source in sources {
        collector.register(Box::new(source)).unwrap();
    }
    collector
}

async fn subscribed(collector: &Collector) -> Subscription {
    subscribe(&collector.bus(), EventFilter::new()).await.unwrap()
}

/// A subscriber with room for one event; the bus waits for it until the deadline.
async fn cramped(collector: &Collector, deadline: Duration) -> Subscription {
    let policy = OverflowPolicy::Block { deadline };
    let subscription = EventSubscription::new("cramped").with_capacity(1).with_overflow(policy);
    collector.bus().subscribe(subscription).await.unwrap()
}

fn pids_of(events: &[Arc<BusEvent>]) -> Vec<u32> {
    events.iter().map(|event| event.event.pid().unwrap()).collect()
}

async fn pids_until_the_end(subscription: &mut Subscription) -> Vec<u32> {
    pids_of(&collect_all(subscription, SLACK * 4).await.unwrap())
}

async fn eventually(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < SLACK * 4, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await; // deadline: polls until the condition holds
    }
}

fn failures(result: anyhow::Result<()>) -> Vec<SourceFailure> {
    result.unwrap_err().downcast::<RunError>().unwrap().failures
}
