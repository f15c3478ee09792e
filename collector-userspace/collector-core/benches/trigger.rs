//! What triggers cost per event: 100 conditions of the usual sorts, on a miss, on a hit and on a repetition.
//!
//! Processor time; everything runs on one thread. The manager as a whole is measured: conditions, repetitions, rate, the
//! request with all its texts, and the queue.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use collector_core::{
    AnalysisType, CollectionEvent, ConditionType, ExecId, FilesystemEvent, FilesystemEventKind, ProcessEvent,
    ProcessEventKind, ProcessRef, TriggerCapabilities, TriggerCondition, TriggerConfig, TriggerManager,
    TriggerPriority, TriggerResourceLimits,
};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use self::support::{CpuTime, events};

/// Events of one round; few different ones, changed in place: more of them would measure the caches.
const ROUND: u32 = 1000;

const CONDITIONS: usize = 100;

fn exec_id(pid: u32) -> Option<ExecId> {
    Some(ExecId { boot: 0x3f2a_9c1e, pid, start_ticks: 88_123, image: 0x9b20_c4d1 })
}

/// An exec as the kernel source sends it.
fn exec(name: &str) -> CollectionEvent {
    let parent = ProcessRef {
        pid: 4700,
        exec_id: exec_id(4700),
        name: "bash".into(),
        executable: Some("/usr/bin/bash".into()),
        uid: Some(1000),
        container_id: None,
    };
    CollectionEvent::Process(ProcessEvent {
        ppid: Some(4700),
        name: name.to_owned(),
        executable_path: Some(format!("/usr/bin/{name}").into()),
        command_line: [name, "-C", "/home/alice/src/project", "log", "--oneline"].map(Into::into).to_vec(),
        cwd: Some("/home/alice/src".into()),
        kind: ProcessEventKind::Exec,
        uid: Some(1000),
        ancestors: [Arc::new(parent)].into(),
        ..ProcessEvent::default()
    })
}

fn open() -> CollectionEvent {
    CollectionEvent::Filesystem(FilesystemEvent {
        path: "/home/alice/src/project/.git/index.lock".into(),
        kind: FilesystemEventKind::Open,
        ..FilesystemEvent::default()
    })
}

fn set_pid(event: &mut CollectionEvent, pid: u32) {
    if let CollectionEvent::Process(process) = event {
        process.pid = pid;
        process.exec_id = exec_id(pid);
    }
}

/// What people register: names, paths, SQL, parents and children, executables that are gone, resources.
fn condition_type(id: usize) -> ConditionType {
    match id % 10 {
        0 | 1 => ConditionType::ProcessNamePattern(format!("miner{id}")),
        2 => ConditionType::ProcessNamePattern(format!("tool{id}*")),
        3 => ConditionType::ExecutablePathPattern(format!("/tmp/.hidden{id}/")),
        4 => ConditionType::ExecutablePathPattern(format!("/dev/shm/*.{id}")),
        5 => ConditionType::Sql(format!(
            "kind = 'process.exec' AND name IN ('nc{id}', 'ncat{id}') AND uid = 0"
        )),
        6 => ConditionType::Sql(format!("executable LIKE '%/agent{id}' AND command_line LIKE '%--remote%'")),
        7 => ConditionType::Sql(format!("path LIKE '/etc/secret{id}/%' OR path = '/root/key{id}'")),
        8 => ConditionType::Sql(format!("contains(command_line, 'base64 -d {id}') AND uid <> 0")),
        _ => match id / 10 % 3 {
            0 => ConditionType::SuspiciousParentChild,
            1 => ConditionType::MissingExecutable,
            _ => ConditionType::ResourceAnomaly { cpu_threshold: 90.0, memory_threshold: 1 << 40 },
        },
    }
}

/// A rule of the other sort: texts anywhere, and nothing that a hash could find.
fn literal(id: usize) -> ConditionType {
    ConditionType::Sql(format!(
        "contains(command_line, 'secret{id}') OR contains(executable, '/opt/bad{id}/')"
    ))
}

fn manager(condition_type: impl Fn(usize) -> ConditionType) -> TriggerManager {
    let manager = TriggerManager::new(TriggerConfig::default()).expect("the configuration is valid");
    let capabilities = TriggerCapabilities {
        collector_id: "binary-hasher".to_owned(),
        supported_conditions: (0..CONDITIONS).map(&condition_type).collect(),
        supported_analysis: vec![AnalysisType::BinaryHash],
        max_trigger_rate: u32::MAX,
        max_concurrent_analysis: 4,
        supported_priorities: vec![TriggerPriority::Normal],
        resource_limits: TriggerResourceLimits::default(),
    };
    manager.register_collector_capabilities(capabilities).expect("they are valid");
    for id in 0..CONDITIONS {
        let condition = TriggerCondition {
            id: format!("condition-{id}"),
            description: "of a benchmark".to_owned(),
            analysis_type: AnalysisType::BinaryHash,
            priority: TriggerPriority::Normal,
            target_collector: "binary-hasher".to_owned(),
            condition_type: condition_type(id),
        };
        manager.register_condition(condition).expect("it is valid");
    }
    manager
}

/// Evaluates a round, each event with another pid out of so many. Returns how many requests were made.
fn round(manager: &TriggerManager, event: &mut CollectionEvent, next: &mut u32, pids: u32) -> usize {
    let mut requests = 0;
    for _ in 0..ROUND {
        *next = (*next + 1) % pids;
        set_pid(event, *next);
        requests += manager.evaluate(black_box(event)).len();
    }
    requests
}

/// Takes away what waits.
fn drain(manager: &TriggerManager) {
    while let Some(task) = manager.try_next(|_| true) {
        task.finish(true);
    }
}

fn misses(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("trigger/miss");
    group.throughput(events(ROUND as usize));
    for (sort, manager) in [("mixed", manager(condition_type)), ("literal", manager(literal))] {
        for (case, mut event, pids) in
            [("exec/1_pid", exec("git"), 1), ("exec/10000_pids", exec("git"), 10_000), ("open", open(), 1)]
        {
            let mut next = 0;
            group.bench_function(BenchmarkId::new(sort, case), |bencher| {
                bencher.iter(|| assert_eq!(round(&manager, &mut event, &mut next, pids), 0));
            });
        }
    }
    group.finish();
}

fn hits(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("trigger/hit");
    group.throughput(events(ROUND as usize));
    let manager = manager(condition_type);
    let mut event = exec("miner0");
    let mut next = 0;
    // Each image is new, and so is each request; the memory for repetitions is full.
    group.bench_function("new", |bencher| {
        bencher.iter_batched(
            || drain(&manager),
            |()| assert_eq!(round(&manager, &mut event, &mut next, u32::MAX), ROUND as usize),
            BatchSize::PerIteration,
        );
    });
    for pids in [1, 9_000] {
        for _ in 0..=pids / ROUND {
            drain(&manager);
            round(&manager, &mut event, &mut next, pids);
        }
        drain(&manager);
        group.bench_function(BenchmarkId::new("repeated", pids), |bencher| {
            bencher.iter(|| assert_eq!(round(&manager, &mut event, &mut next, pids), 0));
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::new());
    targets = misses, hits
);
criterion_main!(benches);
