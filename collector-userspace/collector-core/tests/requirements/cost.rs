//! Throughput and processor time.

use std::time::{Duration, Instant};

use collector_core::{Collector, EventFilter, EventSubscription, OverflowPolicy};

use crate::load::{BURST, Load, config, triggers};
use crate::measure::{alone, cpu_time};

/// Runs a load to its end with a subscriber that takes everything and triggers that look at everything. Returns the
/// processor time it took.
fn run(load: Load) -> Duration {
    let events = load.events;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut collector = Collector::new(config());
        collector.register(Box::new(load)).unwrap();
        let patient = OverflowPolicy::Block { deadline: Duration::from_secs(600) };
        let wanted = EventFilter::new().with_event_type("process").with_event_type("file");
        let subscription = EventSubscription::from(wanted).with_overflow(patient);
        let mut subscription = collector.bus().subscribe(subscription).await.unwrap();
        let received = tokio::spawn(async move {
            let (mut received, mut batch) = (0, Vec::new());
            while subscription.recv_many(&mut batch, 256).await > 0 {
                received += batch.drain(..).len() as u64;
            }
            received
        });
        let (triggers, bus) = (triggers(), collector.bus().clone());
        let looking = EventSubscription::new("triggers").with_overflow(patient);
        let served = {
            let triggers = triggers.clone();
            tokio::spawn(async move { triggers.serve(&bus, looking, []).await })
        };
        let before = cpu_time();
        collector.run().await.unwrap();
        assert_eq!(received.await.unwrap(), events, "everything arrives");
        served.await.unwrap().unwrap();
        assert!(triggers.statistics().evaluated >= events, "everything is looked at");
        cpu_time() - before
    })
}

#[test]
fn throughput_is_at_least_1000_events_a_second() {
    // Per second of processor time, so that other programs do not count. Unoptimised, 200,000 are measured: twenty times
    // what is required leaves room for slow machines, and a loss that matters still shows.
    const REQUIRED: f64 = 20.0 * 1000.0;
    const EVENTS: u64 = 100_000;
    let _alone = alone();
    let taken = run(Load { events: EVENTS, pause: None });
    let rate = EVENTS as f64 / taken.as_secs_f64();
    println!("{rate:.0} events per second of processor time");
    assert!(rate >= REQUIRED, "{rate} events a second");
}

#[test]
fn a_sustained_load_takes_at_most_5_percent_of_a_processor() {
    const REQUIRED: f64 = 0.05;
    const RATE: u64 = 1000;
    const SECONDS: u64 = 3;
    let _alone = alone();
    let begin = Instant::now();
    let pause = Some(Duration::from_secs(1) * BURST as u32 / RATE as u32);
    let taken = run(Load { events: RATE * SECONDS, pause });
    // What the events stand for, not what passed: a machine that is busy with something else would hide the cost.
    let share = taken.as_secs_f64() / SECONDS as f64;
    println!("{:.2} % of a processor at {RATE} events a second ({:.1?})", share * 100.0, begin.elapsed());
    assert!(share <= REQUIRED, "{:.1} % of a processor", share * 100.0);
}
