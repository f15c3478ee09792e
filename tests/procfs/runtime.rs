//! The monitor as a source of a collector: how it begins, ends, waits and wakes.

use std::time::Duration;

use collector_core::monitor::MonitorCollectorConfig;
use collector_core::{
    CollectionEvent, EventBusConfig, EventFilter, EventSource as _, LocalEventBus, ProcessEvent,
    ProcessEventKind, SourceCaps,
};
use collector_sources::Filter;
use collector_sources::procmond::ProcmondMonitorCollector;
use collector_tests::Actor;

use crate::monitor::{Monitor, config, only};

#[test]
fn it_ends_within_a_second_whatever_its_interval() {
    let actor = Actor::new(["wait"]);
    let mut monitor = Monitor::watching(config(), only(actor.pid()));
    assert_eq!(monitor.take().len(), 1);
    let stats = monitor.stats();
    assert_eq!((stats.collection_errors, stats.seen, stats.events_in_flight), (0, 1, 0), "{stats:?}");
    let took = monitor.end();
    // Longer than the promise, because machines that run tests are busy.
    assert!(took < Duration::from_secs(5), "{took:?}");
    let _ = actor.finish();
}

#[test]
fn it_claims_to_be_neither_realtime_nor_in_the_kernel() {
    let caps =
        |filter| ProcmondMonitorCollector::without_database("x", config(), filter).unwrap().capabilities();
    assert_eq!(caps(Filter::default()), SourceCaps::PROCESS | SourceCaps::SYSTEM_WIDE);
    assert_eq!(caps(only(1)), SourceCaps::PROCESS);
}

#[test]
fn it_says_that_it_works() {
    let actor = Actor::new(["wait"]);
    let monitor = Monitor::watching(config(), only(actor.pid()));
    monitor.until_health(str::is_empty);
    monitor.end();
    let _ = actor.finish();
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let mut wrong = config();
    wrong.base_config.collection_interval = Duration::ZERO;
    let error = ProcmondMonitorCollector::without_database("x", wrong, Filter::default()).unwrap_err();
    assert!(error.to_string().starts_with("collection_interval is 0ns"), "{error}");
    let mut wrong = config();
    wrong.process_config.max_processes = 0;
    let error = ProcmondMonitorCollector::without_database("x", wrong, Filter::default()).unwrap_err();
    assert!(error.to_string().starts_with("max_processes is 0"), "{error}");
}

#[test]
fn events_on_a_bus_make_it_look_early_if_they_are_to() {
    for (is_on, source, is_early) in
        [(true, "kernel-process", true), (true, "procfs-process", false), (false, "kernel-process", false)]
    {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bus = runtime.block_on(LocalEventBus::new(EventBusConfig::default())).unwrap();
        runtime.block_on(bus.start()).unwrap();
        let events = runtime.block_on(bus.subscribe(EventFilter::new())).unwrap();
        let mut config = config();
        config.base_config.enable_event_driven = is_on;
        let actor = Actor::new(["wait"]);
        let source_of_polling =
            ProcmondMonitorCollector::without_database("procfs-process", config, only(actor.pid()))
                .unwrap()
                .with_events(events);
        let handle = source_of_polling.handle();
        let monitor = Monitor::of(Box::new(source_of_polling), handle);
        let mut event = ProcessEvent { pid: 1, kind: ProcessEventKind::Exec, ..Default::default() };
        event.meta.source = source;
        runtime.block_on(bus.publish(CollectionEvent::Process(event))).unwrap();
        if is_early {
            monitor.until("early look", |stats| stats.early_cycles == 1);
        } else {
            // deadline: that nothing happens shows only after the time in which it would.
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(monitor.stats().collection_cycles, 1, "{source}");
        }
        monitor.end();
        let _ = actor.finish();
    }
}

#[test]
fn it_looks_by_itself_at_its_interval() {
    let actor = Actor::new(["wait"]);
    let mut config = config();
    config.base_config =
        MonitorCollectorConfig { collection_interval: Duration::from_secs(1), ..Default::default() };
    let monitor = Monitor::watching(config, only(actor.pid()));
    monitor.until("second look", |stats| stats.collection_cycles == 2);
    assert_eq!(monitor.stats().early_cycles, 0);
    monitor.end();
    let _ = actor.finish();
}

#[test]
fn more_events_than_may_be_in_flight_all_arrive() {
    let mut config = config();
    config.base_config.max_events_in_flight = 2;
    let actor = Actor::new(["fork", "fork", "fork", "fork", "wait", "end", "end", "end", "end"]);
    let mut monitor = Monitor::watching(config, only(actor.pid()));
    monitor.take();
    let mut actor = actor;
    actor.go_on();
    let found = monitor.processes();
    assert_eq!(found.iter().filter(|event| event.kind == ProcessEventKind::Fork).count(), 4, "{found:?}");
    assert_eq!(monitor.stats().events_in_flight, 0);
    monitor.end();
    let _ = actor.finish();
}
