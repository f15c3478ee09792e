//! What conditions cost per event: single ones, and sets of 100 and 5000, on a miss and on a hit.
//!
//! Processor time; everything runs on one thread.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

mod support;

use std::hint::black_box;

use collector_core::condition::{Condition, ConditionSet, Scratch};
use collector_core::{CollectionEvent, FilesystemEvent, FilesystemEventKind, ProcessEvent, ProcessEventKind};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use self::support::{CpuTime, events};

fn exec(pid: u32, name: &str) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid,
        name: name.to_owned(),
        executable_path: Some(format!("/usr/bin/{name}").into()),
        command_line: vec![name.into(), "status".into(), "--porcelain=v2".into(), "--branch".into()],
        kind: ProcessEventKind::Exec,
        uid: Some(1000),
        ..ProcessEvent::default()
    })
}

fn open() -> CollectionEvent {
    CollectionEvent::Filesystem(FilesystemEvent {
        path: "/var/log/syslog".into(),
        kind: FilesystemEventKind::Open,
        ..FilesystemEvent::default()
    })
}

fn condition(sql: &str) -> Condition {
    Condition::from_sql(sql).expect("a condition")
}

fn set(count: usize, sql: impl Fn(usize) -> String) -> ConditionSet<usize> {
    let mut set = ConditionSet::new();
    for id in 0..count {
        set.insert(id, condition(&sql(id)));
    }
    set
}

/// Typical rules: three in four want an executable or a name, and what else they want is looked at after that.
fn keyed(id: usize) -> String {
    match id % 4 {
        0 => format!("kind = 'process.exec' AND name = 'tool{id}'"),
        1 => format!("kind = 'process.exec' AND executable LIKE '%/tool{id}' AND command_line LIKE '%-e%'"),
        2 => format!("lower(name) IN ('tool{id}', 'other{id}') AND uid <> 0"),
        _ => format!("path IN ('/etc/secret{id}', '/etc/secret{id}.bak')"),
    }
}

/// Rules that want a text somewhere in a field.
fn literal(id: usize) -> String {
    match id % 3 {
        0 => format!("kind = 'process.exec' AND command_line LIKE '%--secret{id}%'"),
        1 => format!("kind = 'process.exec' AND starts_with(executable, '/tmp/{id}')"),
        _ => format!("kind = 'process.exec' AND name LIKE 'x{id}%' AND contains(command_line, 'y')"),
    }
}

/// Rules that say nothing that could be looked up, and have to be tried one by one.
fn unkeyed(id: usize) -> String {
    match id % 3 {
        0 => format!("kind = 'process.exec' AND uid > {}", 1000 + id),
        1 => format!("kind = 'process.exec' AND NOT executable LIKE '/usr/%' AND uid <> {id}"),
        _ => format!("kind = 'process.exec' AND command_line REGEXP '--secret[0-9]*{id}'"),
    }
}

fn single(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("condition/single");
    let (event, mut scratch) = (exec(1, "git"), Scratch::default());
    for (name, sql) in [
        ("other_kind", "path = '/x'"),
        ("equal", "name = 'nc'"),
        ("like_end", "executable LIKE '%/nc'"),
        ("like_inside_command_line", "command_line LIKE '%secret%'"),
        ("regexp_command_line", "command_line REGEXP 'secret[0-9]+'"),
        ("hit", "kind = 'process.exec' AND name = 'git' AND uid = 1000 AND command_line LIKE '%porcelain%'"),
    ] {
        let condition = condition(sql);
        group.bench_function(name, |bencher| {
            bencher.iter(|| condition.matches(black_box(&event), &mut scratch));
        });
    }
    group.finish();
}

/// The SQL of the condition with this number.
type Sql = fn(usize) -> String;

fn sets(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("condition/set");
    let mut scratch = Scratch::default();
    let sets: [(&str, usize, Sql); 6] = [
        ("100_keyed", 100, keyed),
        ("100_literal", 100, literal),
        ("100_unkeyed", 100, unkeyed),
        ("5000_keyed", 5000, keyed),
        ("5000_literal", 5000, literal),
        ("5000_unkeyed", 5000, unkeyed),
    ];
    for (name, count, sql) in sets {
        let mut set = set(count, sql);
        let miss = exec(1, "git");
        let other = open();
        for (case, event) in [("miss", &miss), ("other_kind", &other)] {
            group.bench_function(BenchmarkId::new(name, case), |bencher| {
                bencher.iter(|| set.for_each_match(black_box(event), &mut scratch, |_| unreachable!()));
            });
        }
        set.insert(count, condition("name = 'git' AND command_line LIKE '%porcelain%'"));
        group.bench_function(BenchmarkId::new(name, "hit"), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                set.for_each_match(black_box(&miss), &mut scratch, |_| found += 1);
                assert_eq!(found, 1);
            });
        });
    }
    group.finish();
}

/// The same events with more and more different pids: nothing is kept per process, so the cost per event is the same.
fn pids(criterion: &mut Criterion<CpuTime>) {
    const ROUND: usize = 1000;
    let mut group = criterion.benchmark_group("condition/pids");
    group.throughput(events(ROUND));
    let set = set(100, keyed);
    let mut scratch = Scratch::default();
    for pids in [1_u32, 100, 10_000, 1_000_000] {
        // The events themselves are the same few, changed in place: more of them would measure the caches.
        let mut batch: Vec<CollectionEvent> = (0..16).map(|pid| exec(pid, "git")).collect();
        let mut next = 0_u32;
        group.bench_function(BenchmarkId::from_parameter(pids), |bencher| {
            bencher.iter(|| {
                for index in 0..ROUND {
                    next = (next + 1) % pids;
                    let event = &mut batch[index % 16];
                    if let CollectionEvent::Process(process) = event {
                        process.pid = next;
                    }
                    set.for_each_match(&*event, &mut scratch, |_| unreachable!());
                }
            });
        });
    }
    group.finish();
}

fn compile(criterion: &mut Criterion<CpuTime>) {
    let sql =
        "kind = 'process.exec' AND executable LIKE '%/nc' AND (uid = 0 OR NOT command_line LIKE '%-z%')";
    criterion.bench_function("condition/from_sql", |bencher| bencher.iter(|| condition(black_box(sql))));
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::new());
    targets = single, sets, pids, compile
);
criterion_main!(benches);
