//! Behaviour of the collector: sources of every temper, shutdown, statistics.

mod hold;
mod restart;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;

use super::*;
use crate::HealthStatus;
use crate::bus::{EventFilter, EventSubscription, OverflowPolicy, Subscription};
use crate::event::{CollectionEvent, ProcessEvent};

/// Longer than anything here takes; only reached by a failing test.
const AGES: Duration = Duration::from_secs(3600);
/// The shutdown timeout of tests that use it up.
const SHORT: Duration = Duration::from_millis(200);
/// What a run may take beyond its shutdown timeout on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;
type Flag = Arc<AtomicBool>;

/// A source made of closures.
struct Script {
    name: &'static str,
    capabilities: SourceCaps,
    start: Box<dyn Fn(Sender<CollectionEvent>, Flag) -> Running + Send + Sync>,
    stop: Box<dyn Fn() -> Running + Send + Sync>,
    health: Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    is_started: Box<dyn Fn() -> bool + Send + Sync>,
    stops: Arc<AtomicUsize>,
}

impl Script {
    fn new<R>(
        name: &'static str,
        start: impl Fn(Sender<CollectionEvent>, Flag) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            name,
            capabilities: SourceCaps::PROCESS,
            start: Box::new(move |tx, flag| Box::pin(start(tx, flag))),
            stop: Box::new(|| Box::pin(async { Ok(()) })),
            health: Box::new(|| Ok(())),
            is_started: Box::new(|| true),
            stops: Arc::default(),
        }
    }

    fn on_stop(mut self, stop: impl Fn() -> Running + Send + Sync + 'static) -> Self {
        self.stop = Box::new(stop);
        self
    }
}

#[async_trait]
impl EventSource for Script {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> SourceCaps {
        self.capabilities
    }

    async fn start(&self, tx: Sender<CollectionEvent>, shutdown_signal: Flag) -> anyhow::Result<()> {
        (self.start)(tx, shutdown_signal).await
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.stops.fetch_add(1, Ordering::SeqCst);
        (self.stop)().await
    }

    fn is_started(&self) -> bool {
        (self.is_started)()
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        (self.health)()
    }
}

fn process(pid: u32) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent { pid, ..ProcessEvent::default() })
}

/// Sends processes with these pids, then ends.
fn sender(name: &'static str, pids: std::ops::Range<u32>) -> Script {
    Script::new(name, move |tx, _| {
        let pids = pids.clone();
        async move {
            for pid in pids {
                tx.send(process(pid)).await?;
            }
            Ok(())
        }
    })
}

async fn shutdown_of(flag: Flag) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await; // deadline: polls until the condition holds
    }
}

/// Runs until it is told to stop.
fn patient(name: &'static str) -> Script {
    Script::new(name, |_tx, flag| async {
        shutdown_of(flag).await;
        Ok(())
    })
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

fn quiet() -> CollectorConfig {
    CollectorConfig::new().with_signal_handling(false).with_restart_policy(RestartPolicy::never())
}

fn collector_of(config: CollectorConfig, sources: impl IntoIterator<Item = Script>) -> Collector {
    let mut collector = Collector::new(config);
    for source in sources {
        collector.register(Box::new(source)).unwrap();
    }
    collector
}

async fn subscribed(collector: &Collector) -> Subscription {
    let patient = OverflowPolicy::Block { deadline: AGES };
    collector.bus().subscribe(EventSubscription::new("test").with_overflow(patient)).await.unwrap()
}

async fn pids_until_the_end(subscription: &mut Subscription) -> Vec<u32> {
    let mut pids = Vec::new();
    while let Some(event) = subscription.recv().await {
        pids.push(event.event.pid().unwrap());
    }
    pids
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

#[tokio::test]
async fn everything_the_sources_sent_arrives_and_then_the_stream_ends() {
    let sources = [sender("a", 0..1000), sender("b", 10_000..11_000)];
    let stops = sources.each_ref().map(|source| Arc::clone(&source.stops));
    let collector = collector_of(quiet().with_event_buffer_size(10).with_max_batch_size(7), sources);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    collector.run().await.unwrap();

    let pids = pids_until_the_end(&mut subscription).await;
    let (a, b): (Vec<_>, Vec<_>) = pids.into_iter().partition(|pid| *pid < 10_000);
    assert_eq!(a, (0..1000).collect::<Vec<_>>());
    assert_eq!(b, (10_000..11_000).collect::<Vec<_>>());
    assert_eq!(stops.map(|stops| stops.load(Ordering::SeqCst)), [1, 1]);
    let statistics = handle.statistics();
    assert_eq!((statistics.events_processed, statistics.active_sources), (2000, 0));
    for source in statistics.sources {
        assert_eq!((source.events_received, source.events_published), (1000, 1000));
        assert!(source.batches >= 1000 / 7, "{source:?}");
        assert_eq!(source.state, SourceState::Finished);
    }
}

#[tokio::test]
async fn events_carry_the_name_of_their_source() {
    let collector = collector_of(quiet(), [sender("somebody", 1..2)]);
    let mut subscription = subscribed(&collector).await;
    collector.run().await.unwrap();
    assert_eq!(subscription.recv().await.unwrap().event.meta().unwrap().source, "somebody");
}

#[tokio::test]
async fn a_handle_stops_the_run_and_stop_is_called_once_for_each_source() {
    let sources = [patient("a"), patient("b")];
    let stops = sources.each_ref().map(|source| Arc::clone(&source.stops));
    let collector = collector_of(quiet(), sources);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("both run", || handle.statistics().active_sources == 2).await;
    handle.shutdown();
    run.await.unwrap().unwrap();
    assert_eq!(stops.map(|stops| stops.load(Ordering::SeqCst)), [1, 1]);
}

#[tokio::test]
async fn a_stop_asked_for_before_the_run_is_not_forgotten() {
    let collector = collector_of(quiet(), [patient("a")]);
    collector.handle().shutdown();
    collector.run().await.unwrap();
}

#[test]
fn registration_checks_names_and_number() {
    let mut collector = collector_of(quiet().with_max_event_sources(2), [patient("a")]);
    let refused = collector.register(Box::new(patient("a"))).unwrap_err();
    assert!(matches!(refused, CollectorError::DuplicateSource { name: "a" }));
    let refused = collector.register(Box::new(patient(""))).unwrap_err();
    assert!(matches!(refused, CollectorError::UnnamedSource));
    let network = SourceCaps::NETWORK | SourceCaps::REALTIME;
    collector.register(Box::new(Script { capabilities: network, ..patient("b") })).unwrap();
    let refused = collector.register(Box::new(patient("c"))).unwrap_err();
    assert!(matches!(refused, CollectorError::TooManySources { limit: 2 }));
    assert_eq!(collector.source_count(), 2);
    assert_eq!(collector.capabilities(), SourceCaps::PROCESS | network);
}

#[tokio::test]
async fn a_run_that_cannot_begin_says_why_and_closes_the_bus() {
    let error = collector_of(quiet(), []).run().await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(CollectorError::NoSources)));

    let collector = collector_of(quiet().with_event_buffer_size(0), [patient("a")]);
    let mut subscription = subscribed(&collector).await;
    let error = collector.run().await.unwrap_err();
    assert_eq!(error.to_string(), "configuration: event_buffer_size is 0; it must be at least 1");
    assert!(subscription.recv().await.is_none());
}

#[tokio::test]
async fn a_source_that_fails_or_panics_is_reported_and_disturbs_no_other() {
    let failing = Script::new("failing", |_tx, _| async { Err(anyhow::anyhow!("inner").context("outer")) });
    let panicking = Script::new("panicking", |_tx, _| async { panic!("at the disco") });
    let collector = collector_of(quiet(), [failing, panicking, sender("good", 0..100)]);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    let expected = [
        SourceFailure::Failed { name: "failing", message: "outer: inner".to_owned() },
        SourceFailure::Panicked { name: "panicking", message: "at the disco".to_owned() },
    ];
    let error = collector.run().await.unwrap_err();
    assert!(error.to_string().starts_with("2 failure(s) in 3 sources: source failing: outer"), "{error}");
    assert_eq!(failures(Err(error)), expected);
    assert_eq!(pids_until_the_end(&mut subscription).await.len(), 100);
    assert_eq!(handle.statistics().errors_total, 2);
    assert_eq!(handle.health().status, HealthStatus::Unhealthy);
}

#[tokio::test]
async fn a_source_whose_stop_fails_or_panics_is_reported() {
    let failing = patient("a").on_stop(|| Box::pin(async { anyhow::bail!("stuck") }));
    let panicking = patient("b").on_stop(|| Box::pin(async { panic!("no") }));
    let collector = collector_of(quiet(), [failing, panicking]);
    collector.handle().shutdown();
    let names = ["a", "b"].into_iter().zip(["stuck", "no"]);
    let expected = names.map(|(name, text)| SourceFailure::StopFailed { name, message: text.to_owned() });
    assert_eq!(failures(collector.run().await), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn sources_that_block_their_thread_for_ever_are_stopped_from_outside_then_abandoned() {
    let blocked = Script::new("blocked", |_tx, _| async { forever() });
    let stops = Arc::clone(&blocked.stops);
    let hangs_in_stop = patient("hangs-in-stop").on_stop(|| Box::pin(async { forever() }));
    let collector = collector_of(quiet().with_shutdown_timeout(SHORT), [blocked, hangs_in_stop]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("both are started", || {
        let states = handle.statistics().sources.into_iter().map(|source| source.state);
        states.eq([SourceState::Starting, SourceState::Running])
    })
    .await;
    let start = Instant::now();
    handle.shutdown();
    let expected = ["blocked", "hangs-in-stop"].map(|name| SourceFailure::Abandoned { name });
    assert_eq!(failures(run.await.unwrap()), expected);
    assert!(start.elapsed() < SHORT + SLACK, "{:?}", start.elapsed());
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    assert_eq!(handle.statistics().sources[0].state, SourceState::Abandoned);
}

#[tokio::test]
async fn what_a_source_sent_before_it_blocks_its_thread_arrives_meanwhile() {
    let (unblock, blocked) = std_mpsc::channel::<()>();
    let blocked = Mutex::new(Some(blocked));
    let source = Script::new("blocks", move |tx, _| {
        let blocked = blocked.lock().unwrap().take().unwrap();
        async move {
            for pid in 0..3 {
                tx.try_send(process(pid))?;
            }
            // Until the test has seen the events; nothing is awaited here.
            let _ = blocked.recv();
            tx.send(process(3)).await?;
            Ok(())
        }
    });
    let collector = collector_of(quiet(), [source]);
    let mut subscription = subscribed(&collector).await;
    let run = tokio::spawn(collector.run());
    for pid in 0..3 {
        let event = tokio::time::timeout(SLACK, subscription.recv()).await.unwrap().unwrap();
        assert_eq!(event.event.pid(), Some(pid));
    }
    unblock.send(()).unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [3]);
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waits_for_a_full_subscriber_outlives_its_source() {
    let collector = collector_of(quiet(), [sender("short", 0..100)]);
    let patient = OverflowPolicy::Block { deadline: AGES };
    let subscription = EventSubscription::new("slow").with_capacity(1).with_overflow(patient);
    let mut subscription = collector.bus().subscribe(subscription).await.unwrap();
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("the source has ended", || handle.statistics().sources[0].state == SourceState::Finished)
        .await;
    assert_eq!(pids_until_the_end(&mut subscription).await, (0..100).collect::<Vec<_>>());
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_deadline_passes_while_the_source_blocks_its_thread() {
    let (unblock, blocked) = std_mpsc::channel::<()>();
    let blocked = Mutex::new(Some(blocked));
    let source = Script::new("blocks", move |tx, _| {
        let blocked = blocked.lock().unwrap().take().unwrap();
        async move {
            for pid in 0..10 {
                tx.send(process(pid)).await?;
            }
            // The pump has begun to wait for the subscriber.
            tokio::task::yield_now().await;
            let _ = blocked.recv();
            Ok(())
        }
    });
    let collector = collector_of(quiet(), [source]);
    let policy = OverflowPolicy::Block { deadline: Duration::from_millis(300) };
    let subscription = EventSubscription::new("stuck").with_capacity(1).with_overflow(policy);
    let _never_received = collector.bus().subscribe(subscription).await.unwrap();
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("the deadline has passed", || handle.statistics().event_bus.events_dropped == 9).await;
    unblock.send(()).unwrap();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_that_unblocks_start_saves_the_source() {
    let (release, gate) = std_mpsc::channel::<()>();
    let (release, gate) = (Mutex::new(Some(release)), Arc::new(Mutex::new(gate)));
    let blocked = Script::new("blocked", move |tx, _| {
        let gate = Arc::clone(&gate);
        async move {
            let _released = gate.lock().unwrap().recv();
            tx.send(process(7)).await?;
            Ok(())
        }
    })
    .on_stop(move || {
        release.lock().unwrap().take();
        Box::pin(async { Ok(()) })
    });
    // The timeout is long, as nothing may end it but `stop`; the half of it after which `stop` comes is waited for.
    let collector = collector_of(quiet().with_shutdown_timeout(Duration::from_secs(2)), [blocked]);
    let mut subscription = subscribed(&collector).await;
    collector.handle().shutdown();
    collector.run().await.unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [7]);
}

#[tokio::test]
async fn a_source_that_floods_and_ignores_the_signal_is_abandoned_in_time() {
    let timeout = Duration::from_secs(1);
    let flood = Script::new("flood", |tx, _| async move {
        while tx.send(process(1)).await.is_ok() {}
        forever()
    });
    let collector = collector_of(quiet().with_shutdown_timeout(timeout), [flood]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("events flow", || handle.statistics().events_processed > 10_000).await;
    let start = Instant::now();
    handle.shutdown();
    assert_eq!(failures(run.await.unwrap()), [SourceFailure::Abandoned { name: "flood" }]);
    assert!(start.elapsed() < timeout + SLACK);
    let source = handle.statistics().sources.remove(0);
    assert!(source.events_received > 10_000);
    assert_eq!((source.events_published, source.events_lost_at_shutdown), (source.events_received, 0));
}

#[tokio::test]
async fn a_subscriber_that_blocks_for_ever_does_not_hold_up_the_end_and_its_losses_are_counted() {
    let collector = collector_of(quiet().with_shutdown_timeout(SHORT), [sender("a", 0..100)]);
    let policy = OverflowPolicy::Block { deadline: AGES };
    let subscription = EventSubscription::new("stuck").with_capacity(1).with_overflow(policy);
    let mut stuck = collector.bus().subscribe(subscription).await.unwrap();
    let handle = collector.handle();
    let start = Instant::now();
    collector.run().await.unwrap();
    assert!(start.elapsed() < SHORT + SLACK);
    let source = handle.statistics().sources.remove(0);
    let told = stuck.recv().await.unwrap();
    let CollectionEvent::Loss(loss) = &told.event else { panic!("a loss was due, not {told:?}") };
    assert_eq!(loss.reason, "publish_cancelled");
    assert_eq!(1 + loss.count + source.events_lost_at_shutdown, 100);
    assert_eq!(pids_until_the_end(&mut stuck).await, [0]);
}

#[tokio::test]
async fn a_slow_start_is_reported_and_not_killed() {
    let (release, gate) = std_mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let slow = Script::new("slow", move |tx, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.lock().unwrap().recv()?;
            tx.send(process(7)).await?;
            Ok(())
        }
    });
    let collector = collector_of(quiet().with_startup_timeout(Duration::from_millis(1)), [slow]);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    let run = tokio::spawn(collector.run());
    eventually("it is overdue", || handle.health().status == HealthStatus::Unhealthy).await;
    let reason = handle.health().sources[0].reason.clone().unwrap();
    assert!(reason.starts_with("it has not started within"), "{reason}");
    release.send(()).unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [7]);
    assert_eq!(handle.health().status, HealthStatus::Healthy);
}

#[tokio::test]
async fn a_source_is_started_when_it_says_so() {
    let ready = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&ready);
    let mut connects_first = patient("connects-first");
    connects_first.is_started = Box::new(move || says.load(Ordering::SeqCst));
    let collector = collector_of(quiet().with_startup_timeout(Duration::from_millis(1)), [connects_first]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it is overdue", || handle.health().status == HealthStatus::Unhealthy).await;
    assert_eq!(handle.statistics().sources[0].state, SourceState::Starting);
    ready.store(true, Ordering::SeqCst);
    eventually("it is started", || handle.statistics().sources[0].state == SourceState::Running).await;
    assert_eq!(handle.health().status, HealthStatus::Healthy);
    handle.shutdown();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_follows_what_the_source_says() {
    let sick = Arc::new(AtomicBool::new(false));
    let source = {
        let sick = Arc::clone(&sick);
        let health = move || {
            anyhow::ensure!(!sick.load(Ordering::SeqCst), "the ring is gone");
            Ok(())
        };
        Script { health: Box::new(health), ..patient("a") }
    };
    let config = quiet().with_health_check_interval(Duration::from_millis(20));
    let collector = collector_of(config, [source]);
    let handle = collector.handle();
    assert_eq!(handle.health().status, HealthStatus::Unknown);
    let run = tokio::spawn(collector.run());
    eventually("it is healthy", || handle.health().status == HealthStatus::Healthy).await;
    sick.store(true, Ordering::SeqCst);
    // On a busy machine a check of a healthy source may also be late, which is another reason.
    let reason = || handle.health().sources.remove(0).reason;
    eventually("it says why not", || reason().as_deref() == Some("the ring is gone")).await;
    assert_eq!(handle.health().status, HealthStatus::Unhealthy);
    assert!(handle.statistics().errors_total > 0);
    sick.store(false, Ordering::SeqCst);
    eventually("it is again", || handle.health().status == HealthStatus::Healthy).await;
    handle.shutdown();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_source_that_blocks_while_it_runs_does_not_answer_health_checks() {
    let blocks_later = Script::new("blocks-later", |_tx, _| async {
        tokio::task::yield_now().await;
        forever()
    });
    let config = quiet().with_health_check_interval(Duration::from_millis(2)).with_shutdown_timeout(SHORT);
    let collector = collector_of(config, [blocks_later]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("it is unhealthy", || handle.health().status == HealthStatus::Unhealthy).await;
    let reason = handle.health().sources[0].reason.clone().unwrap();
    assert!(reason.contains("health check"), "{reason}");
    handle.shutdown();
    assert_eq!(failures(run.await.unwrap()).len(), 1);
}

#[tokio::test]
async fn capabilities_are_those_of_the_sources_that_are_left() {
    let network = Script { capabilities: SourceCaps::NETWORK, ..sender("short", 0..1) };
    let collector = collector_of(quiet(), [network, patient("long")]);
    let handle = collector.handle();
    assert_eq!(handle.capabilities(), SourceCaps::PROCESS | SourceCaps::NETWORK);
    let run = tokio::spawn(collector.run());
    eventually("one has ended", || handle.capabilities() == SourceCaps::PROCESS).await;
    handle.shutdown();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_run_stops_the_sources_and_ends_the_stream() {
    let source = patient("a");
    let stops = Arc::clone(&source.stops);
    let collector = collector_of(quiet(), [source]);
    let handle = collector.handle();
    let mut subscription = collector.bus().subscribe(EventFilter::new()).await.unwrap();
    let run = tokio::spawn(collector.run());
    eventually("it runs", || handle.statistics().active_sources == 1).await;
    run.abort();
    assert!(subscription.recv().await.is_none());
    eventually("it was stopped", || stops.load(Ordering::SeqCst) == 1).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_termination_signal_ends_the_run() {
    let collector = collector_of(CollectorConfig::new(), [patient("a")]);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    // Signals are handled before sources start.
    eventually("it runs", || handle.statistics().active_sources == 1).await;
    let own_pid = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &own_pid]).status().unwrap().success());
    run.await.unwrap().unwrap();
}
