//! Bounded growth under continuous load: subscribers that are stuck, whatever their policy, and an analysis that never
//! ends cost what their bounds say and no more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use collector_core::{
    AncestryMode, Collector, CollectorHandle, EventBusConfig, EventSubscription, OverflowPolicy,
    Subscription, TriggerHandler, TriggerManager, TriggerRequest, TriggerResourceLimits,
};
use tokio::task::JoinHandle;

use crate::load::{Load, config, triggers};
use crate::measure::{alone, cpu_time, resident, rise};

/// Events of a run without `COLLECTOR_SOAK_EVENTS`: seconds, even when nothing is optimised.
const EVENTS: u64 = 400_000;

/// Samples of the resident memory in a run.
const SAMPLES: u64 = 200;

/// The part of a run in which bounds are reached: queues, the index of processes and the memory for repetitions fill up,
/// and the allocator finds its arenas.
const WARM_UP: f64 = 0.2;

/// What a line through the resident memory may rise from the end of the warm-up to the end of the run, in bytes. Measured
/// are some hundred KiB in either direction; a leak of 16 bytes an event is more than this in the short run already.
const MOST_RISE: f64 = (4 << 20) as f64;

/// Places in the queue of each stuck subscriber.
const CAPACITY: usize = 2_000;

/// Places for those who keep up: few, because when they fill is a matter of luck and not a leak.
const SMALL: usize = 500;

fn events() -> u64 {
    let events = std::env::var("COLLECTOR_SOAK_EVENTS").ok();
    events.map_or(EVENTS, |events| events.parse().expect("COLLECTOR_SOAK_EVENTS is a number"))
}

/// Subscribers that never take anything, one of each policy that can stall.
async fn stuck(collector: &Collector) -> Vec<Subscription> {
    let mut stuck = Vec::new();
    for (id, policy) in [
        ("blocks", OverflowPolicy::Block { deadline: Duration::from_millis(50) }),
        ("drops-oldest", OverflowPolicy::DropOldest),
        ("drops-newest", OverflowPolicy::DropNewest),
        ("is-disconnected", OverflowPolicy::Disconnect),
    ] {
        let subscription = EventSubscription::new(id).with_capacity(CAPACITY).with_overflow(policy);
        stuck.push(collector.bus().subscribe(subscription).await.unwrap());
    }
    stuck
}

/// One that takes everything, and looks at the memory now and then: (events, bytes).
async fn live(collector: &Collector, events: u64) -> JoinHandle<(u64, Vec<(f64, f64)>)> {
    let patient = OverflowPolicy::Block { deadline: Duration::from_secs(600) };
    let subscription = EventSubscription::new("live").with_capacity(SMALL).with_overflow(patient);
    let mut subscription = collector.bus().subscribe(subscription).await.unwrap();
    tokio::spawn(async move {
        let (mut received, mut samples, mut batch) = (0, Vec::new(), Vec::new());
        while subscription.recv_many(&mut batch, 256).await > 0 {
            received += batch.iter().filter(|event| event.event.kind() != "trigger.request").count() as u64;
            batch.clear();
            if received >= events / SAMPLES * (samples.len() as u64 + 1) {
                samples.push((received as f64, resident() as f64));
            }
        }
        (received, samples)
    })
}

/// An analysis that never ends.
struct Stuck;

#[async_trait]
impl TriggerHandler for Stuck {
    fn collector_id(&self) -> &str {
        "hasher"
    }

    async fn handle(
        &self,
        _: TriggerRequest,
        _: TriggerResourceLimits,
    ) -> Result<(), collector_core::trigger::TriggerHandlerError> {
        std::future::pending().await
    }
}

fn serve(triggers: &TriggerManager, collector: &Collector) -> JoinHandle<()> {
    let (triggers, bus) = (triggers.clone(), collector.bus().clone());
    let patient = OverflowPolicy::Block { deadline: Duration::from_secs(600) };
    let subscription = EventSubscription::new("triggers").with_capacity(SMALL).with_overflow(patient);
    tokio::spawn(async move {
        let handler: Arc<dyn TriggerHandler> = Arc::new(Stuck);
        triggers.serve(&bus, subscription, [handler]).await.unwrap();
    })
}

/// What was lost is counted, and what waits is within its bounds.
fn check_counters(handle: &CollectorHandle, triggers: &TriggerManager, events: u64) {
    let bus = handle.statistics().event_bus;
    let stuck: Vec<_> =
        bus.subscribers.iter().filter(|stats| stats.id != "live" && stats.id != "triggers").collect();
    assert_eq!(stuck.len(), 3, "one has been disconnected: {stuck:?}");
    for stats in stuck {
        assert_eq!(stats.high_water_mark, CAPACITY, "{}", stats.id);
        assert_eq!(stats.matched, stats.queued as u64 + stats.dropped, "{}", stats.id);
        assert!(stats.matched >= events, "{}", stats.id);
    }
    let counts = triggers.statistics().totals();
    assert!(counts.running <= 2 && counts.pending <= 1000, "{counts:?}");
    assert!(counts.requested > 1000 && counts.queue_full + counts.expired > 0, "{counts:?}");
    let ends = counts.deduplicated + counts.rate_limited + counts.queue_full + counts.requested;
    assert_eq!(counts.matched, ends, "{counts:?}");
}

#[test]
fn memory_is_bounded_under_continuous_load_with_stuck_subscribers() {
    let _alone = alone();
    let events = events();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let samples = runtime.block_on(async {
        let bus = EventBusConfig::default().with_ancestry(AncestryMode::Always);
        let mut collector = Collector::new(config().with_event_bus(bus));
        collector.register(Box::new(Load { events, pause: None })).unwrap();
        let handle = collector.handle();
        let _never_received = stuck(&collector).await;
        let live = live(&collector, events).await;
        let triggers = triggers();
        let served = serve(&triggers, &collector);
        let before = cpu_time();
        collector.run().await.unwrap();
        let (received, samples) = live.await.unwrap();
        assert_eq!(received, events, "a stuck subscriber takes nothing from a live one");
        check_counters(&handle, &triggers, events);
        served.abort();
        println!("{events} events: {:.2?} of processor time each", (cpu_time() - before) / events as u32);
        samples
    });
    let warm = (samples.len() as f64 * WARM_UP) as usize;
    let risen = rise(&samples[warm..]);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let at = |place: usize| mib(samples[place.min(samples.len() - 1)].1);
    println!(
        "resident: {:.1} MiB at the first sample, {:.1} warm, {:.1} at the end; a line rises {:.2}",
        at(0),
        at(warm),
        at(usize::MAX),
        mib(risen)
    );
    assert!(risen < MOST_RISE, "memory rises {:.1} MiB after warm-up: {samples:?}", mib(risen));
}
