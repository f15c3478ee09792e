//! What sources leave behind: threads that keep a sender, drops that block or panic, panics with claws.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::*;
use crate::panics::tests::Nasty;

/// Does something when the source that has it in its script is dropped.
struct OnDrop(Box<dyn Fn() + Send + Sync>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Ends at once; then `act` is done when the source is dropped.
fn dropped(name: &'static str, act: impl Fn() + Send + Sync + 'static) -> ScriptedSource {
    let guard = OnDrop(Box::new(act));
    ScriptedSource::new(name).then(move |_, _| {
        let _in_the_script = &guard;
        async { Ok(()) }
    })
}

#[tokio::test]
async fn a_thread_that_keeps_a_sender_does_not_hold_up_the_end() {
    let (keep, kept) = mpsc::channel();
    let source = ScriptedSource::new("a").then(move |tx, _| {
        let keep = keep.clone();
        async move {
            tx.send(process(1)).await?;
            keep.send(tx)?;
            Ok(())
        }
    });
    let collector = collector_of(quiet().with_shutdown_timeout(AGES), [source]);
    let mut subscription = subscribed(&collector).await;
    let run = tokio::spawn(collector.run());
    tokio::time::timeout(SLACK * 4, run).await.unwrap().unwrap().unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [1]);
    let tx = kept.recv().unwrap();
    assert!(tx.try_send(process(2)).is_err(), "who sends afterwards is told that nobody listens");
}

#[tokio::test]
async fn a_task_whose_drop_blocks_does_not_hold_up_the_end() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let source = ScriptedSource::new("a").then(move |_, _| {
        let released = Arc::clone(&released);
        async move {
            let guard = OnDrop(Box::new(move || assert!(released.lock().unwrap().recv().is_err())));
            tokio::spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            Ok(())
        }
    });
    let collector = collector_of(quiet().with_shutdown_timeout(AGES), [source]);
    let run = tokio::spawn(collector.run());
    tokio::time::timeout(SLACK * 4, run).await.unwrap().unwrap().unwrap();
    drop(release);
}

#[tokio::test]
async fn a_source_whose_drop_blocks_is_abandoned() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let source = dropped("a", move || assert!(released.lock().unwrap().recv().is_err()));
    let collector = collector_of(quiet().with_shutdown_timeout(SHORT), [source]);
    let run = tokio::spawn(collector.run());
    let result = tokio::time::timeout(SHORT + SLACK, run).await.unwrap().unwrap();
    assert_eq!(failures(result), [SourceFailure::Abandoned { name: "a" }]);
    drop(release);
}

#[tokio::test]
async fn a_source_is_dropped_before_the_run_ends_and_what_it_can_see_is_remembered() {
    let gone = Arc::new(AtomicBool::new(false));
    let source = {
        let gone = Arc::clone(&gone);
        dropped("a", move || gone.store(true, Ordering::Relaxed)).with_capabilities(SourceCaps::NETWORK)
    };
    let collector = collector_of(quiet(), [source]);
    let handle = collector.handle();
    collector.run().await.unwrap();
    assert!(gone.load(Ordering::Relaxed));
    assert_eq!(handle.statistics().sources[0].capabilities, SourceCaps::NETWORK);
}

#[tokio::test]
async fn a_source_whose_drop_panics_is_reported() {
    let collector = collector_of(quiet(), [dropped("a", || panic!("no")), sender("b", 0..10)]);
    let message = "dropping it panicked: no".to_owned();
    assert_eq!(failures(collector.run().await), [SourceFailure::StopFailed { name: "a", message }]);
}

#[tokio::test]
async fn a_panic_whose_payload_panics_ends_the_source_and_no_more() {
    let source = ScriptedSource::new("a").then(|_, _| async { std::panic::panic_any(Nasty) });
    let collector = collector_of(quiet().with_shutdown_timeout(AGES), [source]);
    let run = tokio::time::timeout(SLACK * 4, collector.run()).await.unwrap();
    let message = "no message".to_owned();
    assert_eq!(failures(run), [SourceFailure::Panicked { name: "a", message }]);
}

/// Says what it can see until it is told not to.
struct Forgetful(Arc<AtomicBool>);

#[async_trait::async_trait]
impl EventSource for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn capabilities(&self) -> SourceCaps {
        assert!(!self.0.load(Ordering::Relaxed), "forgotten");
        SourceCaps::NETWORK
    }

    async fn start(
        &self,
        _: tokio::sync::mpsc::Sender<CollectionEvent>,
        _: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn who_looks_inside_is_not_harmed_by_a_source_that_panics() {
    let forgets = Arc::<AtomicBool>::default();
    let mut collector = Collector::new(quiet());
    collector.register(Box::new(Forgetful(Arc::clone(&forgets)))).unwrap();
    assert_eq!(collector.capabilities(), SourceCaps::NETWORK);
    forgets.store(true, Ordering::Relaxed);
    assert_eq!(collector.capabilities(), SourceCaps::NETWORK, "as it was said last");
    let source = collector.handle().statistics().sources.remove(0);
    assert_eq!(source.last_error.as_deref(), Some("capabilities panicked: forgotten"));
    assert!(source.errors > 0);
    collector.run().await.unwrap();
}
