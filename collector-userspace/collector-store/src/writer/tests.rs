//! The writer on disks that fail, with the real bus in front of it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use collector_core::bus::{EventBusConfig, EventSubscription, LocalEventBus};

use super::*;
use crate::query::{Limits, Value, query};
use samples::{lines, mixed};

#[path = "../../tests/store/samples.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the integration tests and benches")]
mod samples;

/// A bus with the writer as its only subscriber. Dropping it closes the bus.
struct Bus {
    bus: LocalEventBus,
    runtime: tokio::runtime::Runtime,
}

impl Bus {
    fn new() -> (Self, Subscription) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (bus, events) = runtime.block_on(async {
            let bus = LocalEventBus::new(EventBusConfig::default()).await.unwrap();
            bus.start().await.unwrap();
            let events = bus.subscribe(EventSubscription::new("store")).await.unwrap();
            (bus, events)
        });
        (Self { bus, runtime }, events)
    }

    fn send(&self, numbers: std::ops::Range<u64>) {
        self.runtime.block_on(self.bus.publish_batch(numbers.map(mixed))).unwrap();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.runtime.block_on(self.bus.shutdown());
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    config: StoreConfig,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::new(directory.path().join("events.db")).keep_everything();
        config.batch_delay = Duration::from_millis(5);
        config.busy_timeout = Duration::from_millis(20);
        config.retry_min = Duration::from_millis(1);
        config.retry_max = Duration::from_millis(10);
        Self { directory, config }
    }

    fn start(&self) -> (StoreWriter, Bus, Arc<AtomicU32>) {
        let writer = Writer::new(self.config.clone(), lines());
        let page_limit = Arc::clone(&writer.page_limit);
        let (bus, events) = Bus::new();
        (writer.spawn(events).unwrap(), bus, page_limit)
    }

    fn number(&self, sql: &str) -> i64 {
        number(&self.config.path, sql)
    }
}

fn number(path: &Path, sql: &str) -> i64 {
    match query(path, sql, &Limits::default()).unwrap().rows.as_slice() {
        [row] => match row.as_slice() {
            [Value::Integer(number)] => *number,
            other => panic!("{sql} gave {other:?}"),
        },
        other => panic!("{sql} gave {other:?}"),
    }
}

/// Feeds one event after the other until the statistics are as expected; says how many.
fn feed_until(writer: &StoreWriter, bus: &Bus, what: &str, expected: impl Fn(&StoreStats) -> bool) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut sent = 0;
    while !expected(&writer.stats()) {
        assert!(Instant::now() < deadline, "never seen: {what}; {:?}", writer.stats());
        bus.send(sent..sent + 1);
        sent += 1;
        // deadline: the pace of the events, not what is waited for.
        std::thread::sleep(Duration::from_micros(200));
    }
    sent
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn everything_sent_before_the_end_is_written() {
    let fixture = Fixture::new();
    let (writer, bus, _) = fixture.start();
    bus.send(0..5_000);
    drop(bus);
    let stats = writer.finish(PATIENCE);
    assert_eq!((stats.written, stats.lost_total(), stats.failing), (5_000, 0, false), "{stats:?}");
    assert!(stats.batches >= 3, "no batch is larger than 2,000: {stats:?}");
    assert!(stats.bytes > 1_000_000, "{stats:?}");
    assert_eq!(stats.oldest_time_ns, Some(1_790_000_000_000_000_000));
    assert!(!fixture.directory.path().join("events.db-wal").exists(), "closed in order, the log is gone");
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 5_000);
}

#[test]
fn full_disk_costs_events_by_count_and_recovery_tells_so() {
    let fixture = Fixture::new();
    let (writer, bus, page_limit) = fixture.start();
    let before = feed_until(&writer, &bus, "a first batch", |stats| stats.written > 0);
    page_limit.store(1, Ordering::SeqCst);
    let during = feed_until(&writer, &bus, "lost events", |stats| stats.lost_total() >= 300);
    let stats = writer.stats();
    assert!(stats.failing);
    assert_eq!(stats.lost.keys().collect::<Vec<_>>(), ["disk_full"], "{stats:?}");
    assert!(stats.last_error.as_deref().is_some_and(|error| error.contains("full")), "{stats:?}");

    page_limit.store(0, Ordering::SeqCst);
    let after = feed_until(&writer, &bus, "recovery", |stats| !stats.failing);
    drop(bus);
    let stats = writer.finish(PATIENCE);
    assert_eq!(
        stats.written + stats.lost_total(),
        before + during + after,
        "every event is one or the other"
    );
    assert_eq!(fixture.number("SELECT count(*) FROM events WHERE kind <> 'loss'") as u64, stats.written);
    let told = "SELECT sum(event ->> '$.loss.count') FROM events WHERE kind = 'loss' AND domain = 'store'";
    assert_eq!(fixture.number(told) as u64, stats.lost_total(), "the database says what it lacks");
}

#[test]
fn lock_held_by_another_program_is_survived() {
    let fixture = Fixture::new();
    let (writer, bus, _) = fixture.start();
    feed_until(&writer, &bus, "a first batch", |stats| stats.written > 0);
    let other = rusqlite::Connection::open(&fixture.config.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    feed_until(&writer, &bus, "lost events", |stats| stats.lost.contains_key("locked"));
    other.execute_batch("ROLLBACK").unwrap();
    feed_until(&writer, &bus, "recovery", |stats| !stats.failing);
    drop(bus);
    assert!(!writer.finish(PATIENCE).failing);
}

#[test]
fn directory_that_comes_later_is_found() {
    let mut fixture = Fixture::new();
    let directory = fixture.directory.path().join("later");
    fixture.config.path = directory.join("events.db");
    let (writer, bus, _) = fixture.start();
    feed_until(&writer, &bus, "lost events", |stats| stats.lost.contains_key("cannot_open"));
    std::fs::create_dir(&directory).unwrap();
    feed_until(&writer, &bus, "recovery", |stats| stats.written > 0);
    drop(bus);
    let stats = writer.finish(PATIENCE);
    assert_eq!(fixture.number("SELECT count(*) FROM events WHERE kind <> 'loss'") as u64, stats.written);
}

#[test]
fn end_without_recovery_is_counted_and_ends() {
    let mut fixture = Fixture::new();
    fixture.config.path = Path::new("/proc/no/such/events.db").to_owned();
    fixture.config.retry_min = Duration::from_secs(3600);
    let (writer, bus, _) = fixture.start();
    bus.send(0..100);
    drop(bus);
    let stats = writer.finish(PATIENCE);
    assert_eq!((stats.written, stats.lost_total()), (0, 100), "{stats:?}");
    assert!(stats.failing);
}

#[test]
fn removed_database_is_made_anew() {
    let fixture = Fixture::new();
    let mut writer = Writer::new(fixture.config.clone(), lines());
    let (bus, mut events) = Bus::new();
    bus.send(0..10);
    let mut batch = Vec::new();
    events.recv_blocking_many(&mut batch, 10, PATIENCE).unwrap();
    writer.store(&batch, false);
    std::fs::remove_file(&fixture.config.path).unwrap();
    writer.next_maintenance = Instant::now();
    writer.maintain();
    writer.store(&batch, false);
    assert_eq!(writer.stats.lock().unwrap().written, 20);
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 10);
}

#[test]
fn newer_schema_stops_the_start() {
    let fixture = Fixture::new();
    drop(Database::open(&fixture.config, &lines()).unwrap());
    let other = rusqlite::Connection::open(&fixture.config.path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    let (_bus, events) = Bus::new();
    let error = StoreWriter::start(fixture.config.clone(), lines(), events).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
}

#[test]
fn file_that_is_no_database_stops_the_start_and_is_left_alone() {
    let fixture = Fixture::new();
    std::fs::write(&fixture.config.path, "important notes\n".repeat(1_000)).unwrap();
    let (_bus, events) = Bus::new();
    let error = StoreWriter::start(fixture.config.clone(), lines(), events).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(std::fs::read_to_string(&fixture.config.path).unwrap().starts_with("important"));
}
