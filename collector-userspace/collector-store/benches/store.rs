//! What an event costs in the store: wall time, and processor time of the writing thread, which is what matters on a busy
//! machine (`cargo bench -p collector-store`).

#![allow(clippy::expect_used, reason = "a bench that cannot write has nothing to measure")]

use std::hint::black_box;
use std::time::Duration;

use collector_core::CollectionEvent;
use collector_store::{Database, StoreConfig};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/store/samples.rs"]
#[allow(unreachable_pub, reason = "shared with the tests")]
mod samples;

type Sample = fn(u64) -> CollectionEvent;

const BATCH: usize = 2_000;

/// Processor time of this thread, shown the way criterion shows wall time.
struct ThreadTime(WallTime);

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, first: &Duration, second: &Duration) -> Duration {
        *first + *second
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

fn append<M: Measurement>(criterion: &mut Criterion<M>, clock: &str) {
    let mut group = criterion.benchmark_group(format!("store/append/{clock}"));
    group.throughput(Throughput::Elements(BATCH as u64));
    let shapes: [(&str, Sample); 4] = [
        ("exec", samples::exec),
        ("exit", samples::exit),
        ("connect", samples::connect),
        ("mixed", samples::mixed),
    ];
    for (name, sample) in shapes {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // With a limit that is reached soon: deleting what is old is part of the price.
        let mut config = StoreConfig::new(directory.path().join("events.db"));
        config.max_age = None;
        config.max_bytes = Some(256 << 20);
        let mut database = Database::open(&config, &samples::lines()).expect("a database");
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    number += BATCH as u64;
                    (number..number + BATCH as u64).map(sample).collect::<Vec<_>>()
                },
                |events| {
                    database.append(black_box(&events)).expect("written");
                    database.retain(std::time::SystemTime::UNIX_EPOCH, false).expect("retained");
                    events
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Reading: conditions that an index serves, and those for which every row has to be looked at.
fn scan(criterion: &mut Criterion) {
    const ROWS: u64 = 20_000;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = StoreConfig::new(directory.path().join("events.db")).keep_everything();
    let mut database = Database::open(&config, &samples::lines()).expect("a database");
    database.append(&(0..ROWS).map(samples::mixed).collect::<Vec<_>>()).expect("written");
    let mut group = criterion.benchmark_group("store/scan");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    for (name, sql) in [
        ("by_kind", "SELECT count(*) FROM events WHERE kind = 'process.exec'"),
        ("by_pid", "SELECT count(*) FROM events WHERE pid = 10007"),
        ("by_json", "SELECT count(*) FROM events WHERE event ->> '$.process.name' = 'true'"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                collector_store::query(&config.path, sql, &collector_store::Limits::default()).expect("rows")
            });
        });
    }
    group.finish();
}

fn main() {
    scan(&mut Criterion::default().configure_from_args());
    append(&mut Criterion::default().sample_size(30).configure_from_args(), "wall");
    let clock = ThreadTime(WallTime);
    append(&mut Criterion::default().with_measurement(clock).sample_size(30).configure_from_args(), "cpu");
    Criterion::default().configure_from_args().final_summary();
}
