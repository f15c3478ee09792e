//! What clients ask and are answered, DaemonEye's agent first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use collector_proto::{DetectionResult, DetectionTask as WireTask, ProcessRecord};
use tokio::sync::Barrier;

use super::support::*;
use crate::ipc::proto::{AdvancedCapabilities, MonitoringDomain, ProtoTaskType};
use crate::ipc::{
    CollectorIpcServer, DetectionTask, IpcCapabilities, IpcClient, IpcClientError, IpcConfig, Role,
};
use crate::source::SourceCaps;

/// The first task of DaemonEye's agent.
fn greeting(id: &str) -> DetectionTask {
    let mut task = enumerate(id);
    task.metadata = Some("capability_negotiation".to_owned());
    task
}

#[tokio::test]
async fn daemoneyes_agent_finds_what_it_expects() {
    let mut served = serve_with(|config| config.with_idle_timeout(Duration::from_secs(1)), one_process).await;
    let id = "capability-negotiation-0b0c6a0e-0000-4000-8000-000000000001";
    // It greets on a connection of its own, which it drops.
    let greeted = served.client().await.send(greeting(id)).await.unwrap();
    assert_eq!(greeted, DetectionResult::success(id, Vec::new()));

    let mut pooled = served.client().await;
    for scan in ["scan-1", "scan-2"] {
        let result = pooled.send(enumerate(scan)).await.unwrap();
        assert_eq!((&*result.task_id, result.success, result.processes.len()), (scan, true, 1));
    }
    // It finds its connection closed after a while, and tries again on a new one.
    until("the idle connection is closed", || served.statistics().closed.idle == 1).await;
    let error = pooled.send(enumerate("scan-3")).await.unwrap_err();
    assert!(matches!(error, IpcClientError::Closed), "{error}");
    assert!(served.client().await.send(enumerate("scan-3")).await.unwrap().success);
    assert!(served.client().await.send(greeting(id)).await.unwrap().success);

    served.server.shutdown().await;
    let statistics = served.statistics();
    assert_eq!((statistics.connections, statistics.connections_active), (4, 0));
    assert_eq!((statistics.negotiations, served.enumerations().succeeded), (2, 3));
    assert_eq!((statistics.frames_received, statistics.frames_sent), (5, 5));
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order_and_one_at_a_time() {
    let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let served = serve(move |task| {
        let (working, most) = (Arc::clone(&working), Arc::clone(&most));
        async move {
            most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            working.fetch_sub(1, Ordering::SeqCst);
            one_process(task).await
        }
    })
    .await;
    let mut stream = served.raw().await;
    for number in 0..50 {
        send(&mut stream, &enumerate(&format!("task-{number}")).into_wire()).await;
    }
    // Half of the connection is closed; the answers come nevertheless.
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    let ids: Vec<_> = answers(&mut stream).await.into_iter().map(|result| result.task_id).collect();
    assert_eq!(ids, (0..50).map(|number| format!("task-{number}")).collect::<Vec<_>>());
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

/// `count` clients whose tasks all have to be at work at once for any to end.
async fn together(count: usize) {
    let barrier = Arc::new(Barrier::new(count));
    let served = serve(move |task| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            one_process(task).await
        }
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = served.client().await;
        clients.push(tokio::spawn(async move { client.send(enumerate(&format!("{number}"))).await }));
    }
    for (number, client) in clients.into_iter().enumerate() {
        let result = in_time(client).await.unwrap().unwrap();
        assert_eq!((result.success, result.task_id), (true, number.to_string()));
    }
    assert_eq!(served.enumerations().succeeded, count as u64);
}

#[tokio::test]
async fn two_clients_are_served_at_once() {
    together(2).await;
}

#[tokio::test]
async fn sixteen_clients_are_served_at_once() {
    together(16).await;
}

#[tokio::test]
async fn tasks_need_capabilities_and_those_may_change() {
    let (_directory, path) = directory();
    let caps = Arc::new(AtomicU32::new(0));
    let current = Arc::clone(&caps);
    let capabilities =
        IpcCapabilities::from_fn(move || SourceCaps::from_bits_truncate(current.load(Ordering::SeqCst)));
    let mut server = CollectorIpcServer::new(IpcConfig::new(&path), capabilities).await.unwrap();
    server.start(one_process).await.unwrap();
    let mut client = IpcClient::connect(&path).await.unwrap();
    for (task_type, message) in [
        (ProtoTaskType::EnumerateProcesses, "Process monitoring not supported"),
        (ProtoTaskType::MonitorNetworkConnections, "Network monitoring not supported"),
        (ProtoTaskType::TrackFileOperations, "Filesystem monitoring not supported"),
        (ProtoTaskType::CollectPerformanceMetrics, "Performance monitoring not supported"),
    ] {
        let result = client.send(DetectionTask::new("t", task_type)).await.unwrap();
        assert_eq!(result, DetectionResult::failure("t", message));
    }
    let told = client.capabilities().await.unwrap();
    assert_eq!((told.supported_domains, told.advanced), (vec![], Some(AdvancedCapabilities::default())));
    caps.store((SourceCaps::NETWORK | SourceCaps::REALTIME).bits(), Ordering::SeqCst);
    let task = DetectionTask::new("t", ProtoTaskType::MonitorNetworkConnections);
    assert!(client.send(task).await.unwrap().success);
    let told = client.capabilities().await.unwrap();
    assert_eq!(told.supported_domains, [MonitoringDomain::Network as i32]);
    assert!(told.advanced.unwrap().realtime);
    let statistics = server.statistics();
    assert_eq!((statistics.tasks["MONITOR_NETWORK_CONNECTIONS"].refused, statistics.negotiations), (1, 2));
}

#[tokio::test]
async fn types_without_a_name_are_refused_before_the_handler() {
    let served = serve(|_| async { panic!("must not be asked") as DetectionResult }).await;
    let mut stream = served.raw().await;
    for task_type in [7, 99, -5] {
        send(&mut stream, &WireTask { task_id: "t".to_owned(), task_type, ..WireTask::default() }).await;
    }
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    let messages: Vec<_> =
        answers(&mut stream).await.into_iter().map(|it| (it.task_id, it.error_message)).collect();
    let unknown = |number: i32| ("t".to_owned(), Some(format!("Unknown task type: {number}")));
    assert_eq!(messages, [unknown(7), unknown(99), unknown(-5)]);
    assert_eq!(served.statistics().tasks["UNKNOWN"].refused, 3);
}

#[tokio::test]
async fn whatever_becomes_of_a_task_its_id_comes_back() {
    let served = serve_with(
        |config| config.with_handler_timeout(Duration::from_secs(1)),
        |task| async move {
            match task.metadata.as_deref() {
                Some("error") => Err(anyhow::anyhow!("no such file").context("hashing /x")),
                Some("panic") => panic!("on purpose"),
                Some("hang") => std::future::pending().await,
                Some("no") => Ok(DetectionResult::failure("another", "no")),
                _ => Ok(DetectionResult::success("another", Vec::new())),
            }
        },
    )
    .await;
    let mut client = served.client().await;
    for (metadata, message) in [
        ("error", Some("hashing /x: no such file")),
        ("panic", Some("the task failed inside the collector")),
        ("hang", Some("Task processing timed out after 1s")),
        ("no", Some("no")),
        ("", None),
    ] {
        for id in ["", "id"] {
            let mut task = enumerate(id);
            task.metadata = Some(metadata.to_owned());
            let result = in_time(client.send(task)).await.unwrap();
            assert_eq!((&*result.task_id, result.success), (id, message.is_none()));
            assert_eq!(result.error_message.as_deref(), message);
        }
    }
    let counts = served.enumerations();
    assert_eq!((counts.succeeded, counts.failed, counts.panicked, counts.timed_out), (2, 4, 2, 2));
}

#[tokio::test]
async fn a_task_says_who_asks() {
    let served = serve(|task| async move {
        let peer = task.peer.ok_or("nobody")?;
        Err::<DetectionResult, _>(format!("{} {:?} {:?}", peer.uid, peer.pid, peer.role))
    })
    .await;
    let result = served.client().await.send(enumerate("t")).await.unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let pid = Some(std::process::id() as i32);
    assert_eq!(result.error_message, Some(format!("{uid} {pid:?} {:?}", Role::Admin)));
}

#[tokio::test]
async fn more_than_a_frame_is_cut_and_said_and_the_connection_lives() {
    let record = |pid| ProcessRecord { pid, name: "x".repeat(500), ..ProcessRecord::default() };
    let served = serve(move |task| async move {
        DetectionResult::success(&task.task_id, (1..=5000).map(record).collect())
    })
    .await;
    let mut client = served.client().await;
    for id in ["one", "two"] {
        let result = in_time(client.send(enumerate(id))).await.unwrap();
        assert!(
            result.success && (2000..2100).contains(&result.processes.len()),
            "{}",
            result.processes.len()
        );
        let said = format!("truncated: {} of 5000 records", result.processes.len());
        assert!(result.left_out().unwrap().starts_with(&said), "{:?}", result.error_message);
    }
    assert_eq!(served.statistics().results_truncated, 2);
}

#[tokio::test]
async fn an_id_too_long_to_come_back_is_refused_with_its_beginning() {
    let served = serve(one_process).await;
    let mut client = served.raw().await;
    let (longest, too_long) = ("i".repeat(1024), "i".repeat(1025));
    send(&mut client, &enumerate(&longest).into_wire()).await;
    send(&mut client, &enumerate(&too_long).into_wire()).await;
    send(&mut client, &greeting(&too_long).into_wire()).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client).await.unwrap();
    let refused = DetectionResult::failure(&longest, "the task id has 1025 bytes; it may have 1024");
    let results = answers(&mut client).await;
    assert!(results[0].success && results[0].task_id == longest);
    assert_eq!(results[1..], [refused.clone(), refused]);
}
