//! A database as monitors use it.

use collector_core::monitor::{MemoryChange, MonitorBatch, MonitorDatabase as _};
use collector_store::DatabaseManager;

use super::{Fixture, samples};

fn remember(pid: u32, state: &str) -> MemoryChange {
    MemoryChange::Remember { pid, state: state.to_owned() }
}

fn batch<'a>(memory: &'a [MemoryChange], events: &'a [collector_core::CollectionEvent]) -> MonitorBatch<'a> {
    MonitorBatch { collector: "procmond", events, memory }
}

#[test]
fn events_and_memory_are_there_after_a_restart() {
    let fixture = Fixture::new();
    let open = || DatabaseManager::open(&fixture.config, &samples::lines()).unwrap();
    let mut database = open();
    let events: Vec<_> = (0..3).map(samples::exec).collect();
    let memory = [remember(5, "five"), remember(6, "six"), remember(7, "seven")];
    database.append(&batch(&memory, &events)).unwrap();
    database.append(&batch(&[MemoryChange::Forget { pid: 5 }, remember(6, "SIX")], &[])).unwrap();
    drop(database);
    let mut database = open();
    assert_eq!(database.recall("procmond").unwrap(), ["SIX", "seven"]);
    assert_eq!(database.recall("netmond").unwrap(), [""; 0], "another collector has another memory");
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 3);
}

#[test]
fn a_batch_that_cannot_be_stored_changes_nothing() {
    let fixture = Fixture::new();
    let mut database = DatabaseManager::open(&fixture.config, &samples::lines()).unwrap();
    database.append(&batch(&[remember(5, "five")], &[])).unwrap();
    std::fs::remove_file(fixture.path()).unwrap();
    let events: Vec<_> = (0..1).map(samples::exec).collect();
    let error = database.append(&batch(&[remember(5, "FIVE")], &events)).unwrap_err();
    assert!(error.to_string().contains("was removed or replaced"), "{error}");
    assert_eq!(database.recall("procmond").unwrap(), ["five"]);
}

#[test]
fn events_of_the_new_database_name_this_host() {
    let fixture = Fixture::new();
    let mut database = DatabaseManager::new(fixture.path()).unwrap();
    // Of now: the retention of the defaults would delete an old one.
    let event =
        collector_core::ProcessEvent { timestamp: std::time::SystemTime::now(), ..Default::default() };
    database.append(&batch(&[], &[collector_core::CollectionEvent::Process(event)])).unwrap();
    let named =
        "SELECT count(*) FROM events WHERE length(event ->> '$.boot_id') = 36 AND event ->> '$.host' <> ''";
    assert_eq!(fixture.number(named), 1);
}
