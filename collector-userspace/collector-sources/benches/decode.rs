//! Cost of decoding one record. Target: 200 ns, arguments of an exec split included.

use std::hint::black_box;

use collector_common::Kind;
use collector_sources::decode::{Record, decode};
use collector_sources::testing;
use criterion::{Criterion, criterion_group, criterion_main};

fn decoding(criterion: &mut Criterion) {
    let task = testing::task(4711);
    let exec = testing::exec(task, "/usr/bin/grep", &["grep", "-rn", "--include=*.rs", "pattern", "src"]);
    let records = [
        ("exec", exec.build()),
        ("fork", testing::fork(task).build()),
        ("exit", testing::exit(task, 0).build()),
        ("network", testing::network(Kind::NetworkConnect, task).build()),
        ("file", testing::file(Kind::FileModify, task, "/home/u/src/project/target/debug/x.o").build()),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, bytes) in &records {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let record = decode(black_box(bytes));
                if let Ok(Record::Exec(exec)) = &record {
                    black_box(exec.arguments().count());
                }
                black_box(record.is_ok())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
