//! Cost of a record from bytes to event: decode, identity, adapt and ledger, and of an identity look-up alone.

use std::hint::black_box;

use collector_common::{Domain, Kind, TaskWire};
use collector_core::CollectionEvent;
use collector_sources::clock::{Anchor, Clock};
use collector_sources::decode::{Record, decode};
use collector_sources::identity::{Boot, ProcessTable, TableConfig, Users};
use collector_sources::ledger::Start;
use collector_sources::pipeline::{Pipeline, Shared};
use collector_sources::testing::{self, child, credentials_under, next_image, task};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// Processes in the table while it is measured.
const PROCESSES: u32 = 10_000;

fn table() -> ProcessTable {
    let mut table = ProcessTable::new(Boot::new("3f2a9c1e", 100), TableConfig::default());
    let mut parent = task(10);
    for pid in 10..10 + PROCESSES {
        // Families of eight generations.
        let task = if pid % 8 == 2 { task(pid) } else { next_image(child(&parent, pid), "sh") };
        let exec = testing::exec(task, "/usr/bin/dash", &["sh"])
            .with(|wire| wire.credentials = credentials_under(&parent))
            .build();
        if let Ok(Record::Exec(record)) = decode(&exec) {
            table.on_exec(&record, record.exe.map(Into::into));
        }
        parent = task;
    }
    table
}

fn pipeline() -> Pipeline {
    let clock = Clock::new(Anchor { realtime_ns: 1_700_000_000_000_000_000, boottime_ns: 0 });
    Pipeline::new(Shared::new(table(), clock), Users::recorded(), ["bench"; Domain::COUNT], Start::Running)
}

/// A task of the table, some way down its family.
fn known(index: u32) -> TaskWire {
    let mut parent = task(10);
    for pid in 10..=10 + index {
        parent = if pid % 8 == 2 { task(pid) } else { next_image(child(&parent, pid), "sh") };
    }
    parent
}

fn adapting(criterion: &mut Criterion) {
    let shell = known(5_005);
    let forked = child(&shell, 60_000);
    let arguments = ["grep", "-rn", "--include=*.rs", "pattern", "src"];
    let credentials = credentials_under(&shell);
    let records = [
        (
            "exec",
            testing::exec(next_image(shell, "grep"), "/usr/bin/grep", &arguments)
                .with(|wire| wire.credentials = credentials)
                .build(),
        ),
        ("fork", testing::fork(forked).with(|wire| wire.credentials = credentials).build()),
        ("exit", testing::exit(shell, 0).build()),
        ("network", testing::network(Kind::NetworkConnect, shell).build()),
        ("file", testing::file(Kind::FileModify, shell, "/home/u/src/project/target/debug/x.o").build()),
        (
            "file_from_syscall",
            testing::file(Kind::FileDelete, shell, "/home/u/src/project")
                .from_syscall()
                .text(|wire| &mut wire.name, "target/../target/debug/x.o")
                .build(),
        ),
    ];
    let mut group = criterion.benchmark_group("pipeline");
    for (name, bytes) in &records {
        let mut pipeline = pipeline();
        let domain = decode(bytes).map_or(Domain::Process, |record| record.kind().domain());
        group.bench_function(*name, |bencher| {
            bencher.iter_batched_ref(
                || Vec::<CollectionEvent>::with_capacity(1),
                |out| pipeline.record(domain, black_box(bytes), out),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn resolving(criterion: &mut Criterion) {
    let mut table = table();
    let tasks: Vec<TaskWire> = (0..64).map(|index| known(index * 150)).collect();
    let unknown = task(70_000);
    let mut group = criterion.benchmark_group("resolve");
    let mut index = 0;
    group.bench_function("known", |bencher| {
        bencher.iter(|| {
            index = (index + 1) % tasks.len();
            table.resolve(black_box(&tasks[index]), 1)
        });
    });
    group.bench_function("unknown", |bencher| bencher.iter(|| table.resolve(black_box(&unknown), 1)));
    group.finish();
}

criterion_group!(benches, adapting, resolving);
criterion_main!(benches);
