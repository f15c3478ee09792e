//! Registration, the start and the end of a run.

use super::*;

#[test]
fn registration_checks_names_and_number() {
    let mut collector = collector_of(quiet().with_max_event_sources(2), [patient("a")]);
    let refused = collector.register(Box::new(patient("a"))).unwrap_err();
    assert!(matches!(refused, CollectorError::DuplicateSource { name: "a" }));
    let refused = collector.register(Box::new(patient(""))).unwrap_err();
    assert!(matches!(refused, CollectorError::UnnamedSource));
    let network = SourceCaps::NETWORK | SourceCaps::REALTIME;
    collector.register(Box::new(patient("b").with_capabilities(network))).unwrap();
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
async fn a_handle_stops_the_run_and_stop_is_called_once_for_each_source() {
    let sources = [patient("a"), patient("b")];
    let controls = sources.each_ref().map(ScriptedSource::control);
    let collector = collector_of(quiet(), sources);
    let handle = collector.handle();
    let run = tokio::spawn(collector.run());
    eventually("both run", || handle.statistics().active_sources == 2).await;
    handle.shutdown();
    run.await.unwrap().unwrap();
    assert_eq!(controls.map(|control| control.stops()), [1, 1]);
}

#[tokio::test]
async fn a_stop_asked_for_before_the_run_is_not_forgotten() {
    let collector = collector_of(quiet(), [patient("a")]);
    collector.handle().shutdown();
    collector.run().await.unwrap();
}

#[tokio::test]
async fn capabilities_are_those_of_the_sources_that_are_left() {
    let network = sender("short", 0..1).with_capabilities(SourceCaps::NETWORK);
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
    let control = source.control();
    let collector = collector_of(quiet(), [source]);
    let handle = collector.handle();
    let mut subscription = collector.bus().subscribe(EventFilter::new()).await.unwrap();
    let run = tokio::spawn(collector.run());
    eventually("it runs", || handle.statistics().active_sources == 1).await;
    run.abort();
    assert!(subscription.recv().await.is_none());
    eventually("it was stopped", || control.stops() == 1).await;
}

#[tokio::test]
async fn a_collector_that_is_dropped_without_a_run_keeps_nobody_waiting() {
    type End = fn(Collector);
    let ends: [End; 2] = [drop, |collector| drop(collector.run())];
    for end in ends {
        let collector = collector_of(quiet(), [patient("a")]);
        let (_handle, hold) = (collector.handle(), collector.hold_bus_open());
        let mut subscription = subscribed(&collector).await;
        end(collector);
        assert!(tokio::time::timeout(SLACK, subscription.recv()).await.unwrap().is_none());
        tokio::time::timeout(SLACK, hold.sources_ended()).await.unwrap();
    }
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
