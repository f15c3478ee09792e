//! Deleting what is too old or too much, in bounded steps.

use std::time::{Duration, SystemTime};

use crate::samples::{mixed, time};
use crate::{Fixture, append};

/// Retention steps until nothing is due; says how many rows went.
fn retain(database: &mut collector_store::Database, now: SystemTime) -> u64 {
    let mut deleted = 0;
    for _ in 0..1_000 {
        let step = database.retain(now, true).unwrap();
        assert!(step.by_age + step.by_size <= 10_000, "one step is bounded: {step:?}");
        deleted += step.by_age + step.by_size;
        if !step.more {
            return deleted;
        }
    }
    panic!("retention does not come to an end");
}

#[test]
fn old_rows_go_young_ones_stay() {
    let mut fixture = Fixture::new();
    fixture.config.max_age = Some(Duration::from_secs(10));
    let mut database = fixture.open();
    append(&mut database, (0..30_000).map(mixed));
    // A row per millisecond: at second 30 those of the first 20 seconds are too old.
    assert_eq!(retain(&mut database, time(30_000)), 20_000);
    assert_eq!(retain(&mut database, time(30_000)), 0);
    assert_eq!(fixture.number("SELECT count(*) FROM events"), 10_000);
    assert_eq!(fixture.number("SELECT min(time_ns) / 1000000 - 1790000000000 FROM events"), 20_000);
}

#[test]
fn size_stays_bounded_while_events_come() {
    let mut fixture = Fixture::new();
    fixture.config.max_bytes = Some(4 << 20);
    let mut database = fixture.open();
    for batch in 0..40 {
        append(&mut database, (batch * 1_000..(batch + 1) * 1_000).map(mixed));
        retain(&mut database, time(0));
        let bytes = std::fs::metadata(fixture.path()).unwrap().len();
        assert!(bytes < 8 << 20, "{bytes} bytes after {batch} batches");
    }
    let (bytes, oldest) = database.extent().unwrap();
    assert!(bytes <= 4 << 20, "{bytes}");
    let newest = fixture.number("SELECT max(time_ns) FROM events");
    assert_eq!(newest, 1_790_000_039_999_000_000, "the newest rows stay");
    assert!(oldest.unwrap() < newest);
}

#[test]
fn lowered_limit_gives_space_back() {
    let mut fixture = Fixture::with((0..20_000).map(mixed));
    let before = std::fs::metadata(fixture.path()).unwrap().len();
    fixture.config.max_bytes = Some(1 << 20);
    let mut database = fixture.open();
    for _ in 0..100 {
        database.retain(time(0), true).unwrap();
    }
    drop(database);
    let after = std::fs::metadata(fixture.path()).unwrap().len();
    assert!(after <= 1 << 20 && before > 8 << 20, "{before} to {after} bytes");
}
