//! What a source sends arrives, whatever the source and its subscribers do meanwhile.

use std::sync::{Mutex, mpsc as std_mpsc};

use super::*;

#[tokio::test]
async fn everything_the_sources_sent_arrives_and_then_the_stream_ends() {
    let sources = [sender("a", 0..1000), sender("b", 10_000..11_000)];
    let controls = sources.each_ref().map(ScriptedSource::control);
    let collector = collector_of(quiet().with_event_buffer_size(10).with_max_batch_size(7), sources);
    let handle = collector.handle();
    let mut subscription = subscribed(&collector).await;
    collector.run().await.unwrap();

    let pids = pids_until_the_end(&mut subscription).await;
    let (a, b): (Vec<_>, Vec<_>) = pids.into_iter().partition(|pid| *pid < 10_000);
    assert_eq!(a, (0..1000).collect::<Vec<_>>());
    assert_eq!(b, (10_000..11_000).collect::<Vec<_>>());
    assert_eq!(controls.map(|control| control.stops()), [1, 1]);
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
async fn what_a_source_sent_before_it_blocks_its_thread_arrives_meanwhile() {
    let (unblock, blocked) = std_mpsc::channel::<()>();
    let blocked = Mutex::new(Some(blocked));
    let source = ScriptedSource::new("blocks").then(move |tx, _| {
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
    let events = collect(&mut subscription, 3, SLACK).await.unwrap();
    assert_eq!(pids_of(&events), [0, 1, 2]);
    unblock.send(()).unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [3]);
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_source_that_has_blocked_its_thread_for_a_while_is_heard_to_its_end() {
    let (unblock, blocked) = std_mpsc::channel::<()>();
    let blocked = Mutex::new(Some(blocked));
    let source = ScriptedSource::new("blocks").then(move |tx, _| {
        let blocked = blocked.lock().unwrap().take().unwrap();
        async move {
            tx.try_send(process(0))?;
            let _ = blocked.recv();
            // Time for everything that waits on this thread to go on.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            tx.send(process(1)).await?;
            Ok(())
        }
    });
    let collector = collector_of(quiet().with_shutdown_timeout(AGES), [source]);
    let mut subscription = subscribed(&collector).await;
    let run = tokio::spawn(collector.run());
    assert_eq!(pids_of(&collect(&mut subscription, 1, SLACK).await.unwrap()), [0]);
    unblock.send(()).unwrap();
    assert_eq!(pids_until_the_end(&mut subscription).await, [1]);
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waits_for_a_full_subscriber_outlives_its_source() {
    let collector = collector_of(quiet(), [sender("short", 0..100)]);
    let mut subscription = cramped(&collector, AGES).await;
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
    let source = ScriptedSource::new("blocks").then(move |tx, _| {
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
    let _never_received = cramped(&collector, Duration::from_millis(300)).await;
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("the deadline has passed", || handle.statistics().event_bus.events_dropped == 9).await;
    unblock.send(()).unwrap();
    run.await.unwrap().unwrap();
}
