//! What one event costs as a JSON line, in processor time.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use collector_core::json::write_line;
use collector_core::{
    Capture, CollectionEvent, EventMeta, ExecId, FilesystemEvent, HostInfo, LossEvent, Namespaces,
    NetworkEvent, PerformanceEvent, ProcessEvent, ProcessEventKind, ProcessRef, Sequence,
};
use criterion::{Criterion, criterion_group, criterion_main};

use self::support::{CpuTime, events};

fn exec_id(pid: u32) -> Option<ExecId> {
    Some(ExecId { boot: 0x3f2a_9c1e, pid, start_ticks: 88_123, image: 0x9b20_c4d1 })
}

fn meta(domain: &'static str) -> EventMeta {
    let sequence = Some(Sequence { domain, cpu: 1, number: 123_456 });
    EventMeta { source: "kernel-process", capture: Capture::Kernel, sequence }
}

fn process(pid: u32, name: &str) -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid,
        exec_id: exec_id(pid),
        name: name.into(),
        executable: Some(format!("/usr/bin/{name}").into()),
        uid: Some(1000),
        container_id: None,
    })
}

/// An exec as the kernel source sends it, three ancestors deep.
fn exec(now: SystemTime) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid: 4711,
        ppid: Some(4700),
        name: "git".to_owned(),
        executable_path: Some("/usr/bin/git".into()),
        command_line: ["git", "-C", "/home/alice/src/project", "log", "--oneline", "-20"]
            .map(Into::into)
            .to_vec(),
        start_time: Some(now),
        timestamp: now,
        kind: ProcessEventKind::Exec,
        meta: meta("process"),
        tid: Some(4711),
        exec_id: exec_id(4711),
        parent_exec_id: exec_id(4700),
        argv_length: Some(50),
        cwd: Some("/home/alice/src".into()),
        uid: Some(1000),
        gid: Some(1000),
        euid: Some(1000),
        egid: Some(1000),
        login_uid: Some(1000),
        session_id: Some(3),
        user: Some("alice".into()),
        cgroup_id: Some(6789),
        namespaces: Some(Namespaces {
            mnt: 4_026_531_841,
            pid: 4_026_531_836,
            net: 4_026_531_840,
            user: 4_026_531_837,
        }),
        capabilities: Some(0),
        ancestors: [process(4700, "bash"), process(4000, "tmux"), process(1, "systemd")].into(),
        ..ProcessEvent::default()
    })
}

fn samples() -> Vec<(&'static str, CollectionEvent)> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_770_000_000_123_456_789);
    let short = process(4711, "git");
    let exit = ProcessEvent {
        kind: ProcessEventKind::Exit,
        pid: 4711,
        name: "git".to_owned(),
        exec_id: exec_id(4711),
        meta: meta("process"),
        timestamp: now,
        ..ProcessEvent::default()
    };
    let connect = NetworkEvent {
        connection_id: "3f2a9c1e-00000000deadbeef".to_owned(),
        protocol: "tcp".to_owned(),
        timestamp: now,
        local: "10.0.0.1:43210".parse().ok(),
        remote: "93.184.216.34:443".parse().ok(),
        state: "established".to_owned(),
        meta: meta("network"),
        process: Some(Arc::clone(&short)),
        result: Some(0),
        ..NetworkEvent::default()
    };
    let file = FilesystemEvent {
        path: "/home/alice/src/project/.git/index.lock".into(),
        timestamp: now,
        mode: Some(0o100_644),
        inode: Some(1_234_567),
        device: Some((259, 2)),
        owner: Some((1000, 1000)),
        meta: meta("file"),
        process: Some(short),
        flags: vec!["write", "truncate"],
        ..FilesystemEvent::default()
    };
    let sample = PerformanceEvent {
        metric_name: "cpu_usage".to_owned(),
        value: 12.5,
        unit: "percent".to_owned(),
        component: "system".to_owned(),
        timestamp: now,
        ..PerformanceEvent::default()
    };
    let loss = LossEvent {
        timestamp: now,
        meta: meta("file"),
        domain: "file",
        kind: Some("file.open"),
        reason: "ring_full",
        count: 12,
        cpu: Some(1),
        first_seq: Some(100),
        last_seq: Some(111),
    };
    vec![
        ("process.exec", exec(now)),
        ("process.exit", CollectionEvent::Process(exit)),
        ("network.connect", CollectionEvent::Network(connect)),
        ("file.create", CollectionEvent::Filesystem(file)),
        ("performance.sample", CollectionEvent::Performance(sample)),
        ("loss", CollectionEvent::Loss(loss)),
    ]
}

fn json(criterion: &mut Criterion<CpuTime>) {
    let host =
        HostInfo { host: "web-1".to_owned(), boot_id: "3f2a9c1e-0000-4000-8000-000000000001".to_owned() };
    let mut group = criterion.benchmark_group("json");
    for (name, event) in samples() {
        let mut line = Vec::with_capacity(4096);
        group.throughput(events(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                line.clear();
                write_line(&mut line, black_box(&event), &host).map(|()| line.len())
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime::new()); targets = json);
criterion_main!(benches);
