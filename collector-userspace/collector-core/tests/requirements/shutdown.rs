//! A shutdown ends within its timeout, whatever sources and subscribers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use collector_core::{
    CollectionEvent, Collector, CollectorHandle, EventSource, EventSubscription, OverflowPolicy,
    ProcessEvent, RunError, SourceCaps, SourceFailure, SourceStats,
};
use tokio::sync::mpsc;

use crate::load::config;
use crate::measure::alone;

const TIMEOUT: Duration = Duration::from_secs(1);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(5);

/// How a source behaves that is asked to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Ends.
    Obeys,
    /// Sends on as fast as it can, and does not look at the signal.
    Floods,
    /// Blocks its thread in `start`, from its first event on.
    Blocks,
    /// Ends, and blocks its thread in `stop`.
    BlocksInStop,
    /// Never ends, without blocking anything.
    Hangs,
    /// Ends, and its `stop` never does.
    HangsInStop,
}

struct Source(Manner);

fn block() -> ! {
    loop {
        std::thread::park();
    }
}

#[async_trait]
impl EventSource for Source {
    fn name(&self) -> &'static str {
        match self.0 {
            Manner::Obeys => "obeys",
            Manner::Floods => "floods",
            Manner::Blocks => "blocks",
            Manner::BlocksInStop => "blocks-in-stop",
            Manner::Hangs => "hangs",
            Manner::HangsInStop => "hangs-in-stop",
        }
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        loop {
            tx.send(CollectionEvent::Process(ProcessEvent::default())).await?;
            match self.0 {
                Manner::Blocks => block(),
                Manner::Floods => {}
                Manner::Hangs => std::future::pending().await,
                Manner::Obeys | Manner::BlocksInStop | Manner::HangsInStop => {
                    if shutdown_signal.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await; // deadline: a source that polls
                }
            }
        }
    }

    async fn stop(&self) -> anyhow::Result<()> {
        match self.0 {
            Manner::BlocksInStop => block(),
            Manner::HangsInStop => std::future::pending().await,
            Manner::Obeys | Manner::Floods | Manner::Blocks | Manner::Hangs => Ok(()),
        }
    }
}

/// All sources have sent something.
async fn all_at_work(handle: &CollectorHandle) {
    let begin = Instant::now();
    while handle.statistics().sources.iter().any(|source| source.events_received == 0) {
        assert!(begin.elapsed() < 4 * SLACK, "sources do not start: {:?}", handle.statistics());
        tokio::time::sleep(Duration::from_millis(1)).await; // deadline: polls until the condition holds
    }
}

/// What all sources published, once what did not get through is counted as well: a pump that was not scheduled in time,
/// because the machine is busy, counts when it is dropped.
async fn published_in_the_end(handle: &CollectorHandle) -> u64 {
    let begin = Instant::now();
    loop {
        let sources = handle.statistics().sources;
        let is_complete = |source: &SourceStats| {
            source.events_received == source.events_published + source.events_lost_at_shutdown
        };
        if sources.iter().all(is_complete) {
            return sources.iter().map(|source| source.events_published).sum();
        }
        assert!(begin.elapsed() < SLACK, "events that are neither published nor lost: {sources:?}");
        tokio::time::sleep(Duration::from_millis(1)).await; // deadline: polls until the condition holds
    }
}

/// Runs sources of these manners and a subscriber that is stuck, and asks for the end. Returns who was abandoned.
async fn shut_down(manners: &[Manner]) -> Vec<&'static str> {
    let mut collector = Collector::new(config().with_shutdown_timeout(TIMEOUT));
    for manner in manners {
        collector.register(Box::new(Source(*manner))).unwrap();
    }
    let for_ever = OverflowPolicy::Block { deadline: Duration::from_secs(3600) };
    let stuck = EventSubscription::new("stuck").with_capacity(1).with_overflow(for_ever);
    let mut stuck = collector.bus().subscribe(stuck).await.unwrap();
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    all_at_work(&handle).await;
    let begin = Instant::now();
    handle.shutdown();
    let ended = tokio::time::timeout(TIMEOUT + SLACK, run).await.expect("it ends in time").unwrap();
    println!("{manners:?}: ended after {:.2?} of {TIMEOUT:?}", begin.elapsed());

    let events = published_in_the_end(&handle).await;
    let mut told = 0;
    while let Some(event) = stuck.recv().await {
        told += if let CollectionEvent::Loss(loss) = &event.event { loss.count } else { 1 };
    }
    assert_eq!(told, events, "a subscriber that is stuck is told what it lost");
    let failures = ended.err().map(|error| error.downcast::<RunError>().unwrap().failures);
    let abandoned = |failure| match failure {
        SourceFailure::Abandoned { name } => Some(name),
        _ => None,
    };
    failures.into_iter().flatten().filter_map(abandoned).collect()
}

#[test]
fn a_shutdown_ends_within_its_timeout() {
    use Manner::{Blocks, BlocksInStop, Floods, Hangs, HangsInStop, Obeys};
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (manners, abandoned) in [
        (&[Obeys][..], &[][..]),
        (&[Obeys, Floods], &["floods"]),
        (&[Blocks, Obeys], &["blocks"]),
        (&[BlocksInStop, Obeys], &["blocks-in-stop"]),
        (&[Obeys, Hangs], &["hangs"]),
        (&[HangsInStop, Obeys], &["hangs-in-stop"]),
        (&[Blocks, Floods, BlocksInStop, Obeys], &["blocks", "floods", "blocks-in-stop"]),
    ] {
        assert_eq!(runtime.block_on(shut_down(manners)), abandoned, "{manners:?}");
    }
}
