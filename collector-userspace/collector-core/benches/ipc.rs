//! How long a client waits: a task without a result, and two thousand processes, over a real socket.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up may panic")]

use collector_core::ipc::proto::{DetectionResult, ProcessRecord, ProtoTaskType};
use collector_core::ipc::{DetectionTask, IpcClient, IpcConfig};
use collector_core::{CollectorIpcServer, SourceCaps};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// A record somewhat smaller than real ones, so that two thousand fit into a frame.
fn record(pid: u32) -> ProcessRecord {
    ProcessRecord {
        pid,
        ppid: Some(1),
        name: "worker".to_owned(),
        executable_path: Some("/usr/lib/program/libexec/worker".to_owned()),
        command_line: vec!["--option=value".to_owned(); 20],
        start_time: Some(1_700_000_000),
        user_id: Some("1000".to_owned()),
        accessible: true,
        file_exists: true,
        collection_time: 1_700_000_000_000,
        ..ProcessRecord::default()
    }
}

/// From the call until the result is there, on a connection that is open already.
fn round_trip(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bench.sock");
    let mut group = c.benchmark_group("round_trip");
    for processes in [0, 2000] {
        let records: Vec<_> = (0..processes).map(record).collect();
        let (mut server, mut client) = runtime.block_on(async {
            let mut server =
                CollectorIpcServer::new(IpcConfig::new(&path), SourceCaps::PROCESS).await.expect("is valid");
            let answer = move |task: DetectionTask| {
                let records = records.clone();
                async move { DetectionResult::success(&task.task_id, records) }
            };
            server.start(answer).await.expect("starts");
            (server, IpcClient::connect(&path).await.expect("connects"))
        });
        group.bench_function(BenchmarkId::new("processes", processes), |bencher| {
            bencher.iter(|| {
                let task = DetectionTask::new("bench", ProtoTaskType::EnumerateProcesses);
                runtime.block_on(client.send(task)).expect("is answered").processes.len()
            });
        });
        runtime.block_on(server.shutdown());
    }
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
