//! What a restarted monitor knows from its database.

use std::path::Path;
use std::sync::{Arc, Mutex};

use collector_core::monitor::MonitorDatabase as _;
use collector_sources::procmond::ProcmondMonitorCollector;
use collector_store::{DatabaseManager, Limits, Value, query};
use collector_tests::Actor;
use tokio::runtime::Runtime;

use crate::monitor::{Monitor, changed, config, only, process};

/// A monitor with a database, of this process and its descendants.
fn start(path: &Path) -> Monitor {
    let database = Arc::new(Mutex::new(DatabaseManager::new(path).unwrap()));
    let runtime = Runtime::new().unwrap();
    let monitor = runtime.block_on(ProcmondMonitorCollector::new(database, config())).unwrap();
    let monitor = monitor.with_filter(only(std::process::id()));
    let handle = monitor.handle();
    Monitor::of(Box::new(monitor), handle)
}

/// What a monitor says of a process.
fn said_of(monitor: &mut Monitor, pid: u32) -> Vec<String> {
    let events = monitor.take().into_iter().filter_map(process).filter(|event| event.pid == pid);
    events.map(|event| changed(&event).to_owned()).collect()
}

fn count(path: &Path, sql: &str) -> i64 {
    let rows = query(path, sql, &Limits::default()).unwrap().rows;
    match rows[0][0] {
        Value::Integer(count) => count,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn who_came_and_went_while_it_was_away_is_told_and_who_stayed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.db");
    let (stays, goes) = (Actor::new(["wait"]), Actor::new(["wait"]));
    let mut changes = Actor::new(["wait", "title other", "wait"]);
    let mut monitor = start(&path);
    for actor in [&stays, &goes] {
        let there =
            format!("SELECT count(*) FROM events WHERE kind = 'process.snapshot' AND pid = {}", actor.pid());
        monitor.until("storing", |stats| stats.events_sent == stats.lifecycle_events);
        assert_eq!(count(&path, &there), 1);
    }
    let stats = monitor.stats();
    assert_eq!((stats.database_events, stats.database_lost_events), (stats.lifecycle_events, 0));
    monitor.take();
    monitor.end();

    let gone = goes.pid();
    let _ = goes.finish();
    changes.go_on();
    changes.go_on();
    let comes = Actor::new(["wait"]);
    let mut monitor = start(&path);
    let events = monitor.take();
    let said = |pid: u32| -> Vec<&str> {
        let of_it = events.iter().filter(|event| event.pid() == Some(pid));
        of_it
            .filter_map(|event| {
                if let collector_core::CollectionEvent::Process(event) = event {
                    Some(changed(event))
                } else {
                    None
                }
            })
            .collect()
    };
    assert_eq!(said(stays.pid()), [""; 0]);
    assert_eq!(said(gone), ["exited"]);
    assert_eq!(said(comes.pid()), ["started"]);
    assert_eq!(said(changes.pid()), ["command_line_changed"]);
    assert_eq!(
        count(&path, &format!("SELECT count(*) FROM events WHERE kind = 'process.exit' AND pid = {gone}")),
        1
    );
    monitor.end();
    for actor in [stays, changes, comes] {
        let _ = actor.finish();
    }
}

#[test]
fn processes_of_an_earlier_boot_are_forgotten_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.db");
    let actor = Actor::new(["wait"]);
    start(&path).end();
    // As if it had been written in another boot.
    let mut database = DatabaseManager::new(&path).unwrap();
    let states = database.recall("procmond").unwrap();
    assert!(!states.is_empty());
    let memory: Vec<_> = states
        .iter()
        .map(|state| {
            let mut state: serde_json::Value = serde_json::from_str(state).unwrap();
            state["exec_id"][0] = 1.into();
            let pid = state["pid"].as_u64().unwrap() as u32;
            collector_core::monitor::MemoryChange::Remember { pid, state: state.to_string() }
        })
        .collect();
    let batch = collector_core::monitor::MonitorBatch { collector: "procmond", events: &[], memory: &memory };
    database.append(&batch).unwrap();
    drop(database);
    let mut monitor = start(&path);
    assert_eq!(said_of(&mut monitor, actor.pid()), ["present"]);
    assert_eq!(count(&path, "SELECT count(*) FROM events WHERE kind = 'process.exit'"), 0);
    monitor.end();
    let _ = actor.finish();
}

#[test]
fn a_database_that_is_gone_is_counted_and_costs_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.db");
    let mut monitor = start(&path);
    monitor.take();
    std::fs::remove_file(&path).unwrap();
    let actor = Actor::new(["wait"]);
    monitor.see(actor.pid(), "started");
    let stats = monitor.stats();
    assert!(stats.failing_writes > 0 && stats.database_lost_events > 0, "{stats:?}");
    monitor.until_health(|reason| reason.contains("the database refused"));
    monitor.end();
    let _ = actor.finish();
}
