//! The socket as a file, starts, and ends.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use collector_proto::{DetectionResult, ProcessRecord};
use tokio::sync::Semaphore;

use super::support::*;
use crate::ipc::{CollectorIpcServer, IpcConfig, IpcError};
use crate::source::SourceCaps;

async fn server(path: &Path) -> CollectorIpcServer {
    CollectorIpcServer::new(IpcConfig::new(path), SourceCaps::PROCESS).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_socket_has_its_mode_and_its_directory_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/procmond.sock");
    let mut server =
        CollectorIpcServer::new(IpcConfig::new(&path).with_mode(0o660), SourceCaps::PROCESS).await.unwrap();
    server.start(one_process).await.unwrap();
    assert_eq!(mode(&path), 0o660);
    assert_eq!([mode(&directory.path().join("a")), mode(path.parent().unwrap())], [0o700; 2]);
    let names: Vec<_> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["procmond.sock"]);
    server.shutdown().await;
    assert!(fs::read_dir(path.parent().unwrap()).unwrap().next().is_none(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_never_there_without_its_mode_or_a_listener() {
    let (_directory, path) = directory();
    let over = Arc::new(AtomicBool::new(false));
    let watch = std::thread::spawn({
        let (path, over) = (path.clone(), Arc::clone(&over));
        move || {
            let (mut seen, mut refused) = (0, 0);
            while !over.load(Ordering::SeqCst) {
                if let Ok(found) = fs::symlink_metadata(&path) {
                    assert_eq!(found.permissions().mode() & 0o777, 0o600);
                    seen += 1;
                }
                // Refused is what a socket without a listener does; one that is gone is not found.
                let error = StdStream::connect(&path).err().map(|error| error.kind());
                refused += u32::from(error == Some(std::io::ErrorKind::ConnectionRefused));
            }
            (seen, refused)
        }
    });
    for _ in 0..100 {
        let mut server = server(&path).await;
        server.start(one_process).await.unwrap();
        server.shutdown().await;
    }
    over.store(true, Ordering::SeqCst);
    let (seen, refused) = watch.join().unwrap();
    assert!(seen > 0, "the watcher saw nothing");
    // The server may end while a connect is on its way from the file to the listener, which is a matter of microseconds.
    assert!(refused <= 3, "{refused} of {seen} found nobody");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_directory, path) = directory();
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file");
    let mut first = server(&path).await;
    first.start(one_process).await.unwrap();
    let error = server(&path).await.start(one_process).await.unwrap_err();
    assert!(matches!(error, IpcError::InUse { .. }), "{error}");
    is_served(&mut crate::ipc::IpcClient::connect(&path).await.unwrap()).await;
    assert!(matches!(first.start(one_process).await, Err(IpcError::AlreadyStarted)));
    first.shutdown().await;
    assert!(!path.exists());
    first.start(one_process).await.unwrap();
    is_served(&mut crate::ipc::IpcClient::connect(&path).await.unwrap()).await;
}

#[tokio::test]
async fn a_listener_of_others_is_left_alone() {
    let (_directory, path) = directory();
    let _listener = StdListener::bind(&path).unwrap();
    let before = fs::symlink_metadata(&path).unwrap().ino();
    let error = server(&path).await.start(one_process).await.unwrap_err();
    assert!(error.to_string().starts_with("a server is listening on "), "{error}");
    assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let (directory, path) = directory();
    let target = directory.path().join("target");
    fs::write(&target, "precious").unwrap();
    fs::copy(&target, &path).unwrap();
    let error = server(&path).await.start(one_process).await.unwrap_err();
    assert!(matches!(error, IpcError::NotASocket { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let error = server(&path).await.start(one_process).await.unwrap_err();
    assert!(matches!(error, IpcError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_servers_that_start_at_once_one_serves() {
    for _ in 0..50 {
        let (_directory, path) = directory();
        drop(StdListener::bind(&path).unwrap());
        let together = Arc::new(tokio::sync::Barrier::new(4));
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let (path, together) = (path.clone(), Arc::clone(&together));
                tokio::spawn(async move {
                    let mut server = server(&path).await;
                    together.wait().await;
                    let started = server.start(one_process).await;
                    (server, started)
                })
            })
            .collect();
        let mut ends = Vec::new();
        for start in starts {
            ends.push(in_time(start).await.unwrap());
        }
        let served = ends.iter().filter(|(_, started)| started.is_ok()).count();
        let in_use = |started: &Result<(), IpcError>| matches!(started, Err(IpcError::InUse { .. }));
        assert_eq!((served, ends.iter().filter(|(_, started)| in_use(started)).count()), (1, 3));
        is_served(&mut crate::ipc::IpcClient::connect(&path).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_locked_directory_is_not_waited_for_for_ever() {
    let (directory, path) = directory();
    let lock = fs::File::open(directory.path()).unwrap();
    lock.lock().unwrap();
    let error = in_time(server(&path).await.start(one_process)).await.unwrap_err();
    assert!(matches!(error, IpcError::Locked { .. }), "{error}");
}

#[tokio::test]
async fn a_socket_that_is_not_ours_any_more_stays() {
    let mut served = serve(one_process).await;
    fs::remove_file(&served.path).unwrap();
    let _other = StdListener::bind(&served.path).unwrap();
    served.server.shutdown().await;
    assert!(fs::symlink_metadata(&served.path).unwrap().file_type().is_socket());
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_by_itself() {
    let Served { server, path, directory: _directory } = serve(one_process).await;
    drop(server);
    until("the socket is gone", || !path.exists()).await;
}

#[tokio::test]
async fn tasks_that_run_at_shutdown_are_answered_and_later_ones_are_not() {
    let leave = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&leave);
    let mut served = serve(move |task| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.map_err(|error| error.to_string())?.forget();
            Ok::<_, String>(one_process(task).await)
        }
    })
    .await;
    let (mut idle, mut busy) = (served.raw().await, served.raw().await);
    for id in ["runs", "waits"] {
        send(&mut busy, &enumerate(id).into_wire()).await;
    }
    until("a task runs", || served.statistics().frames_received == 1).await;
    let mut shutdown = Box::pin(served.server.shutdown());
    tokio::select! {
        () = &mut shutdown => panic!("a task is not answered"),
        silent = answers(&mut idle) => assert!(silent.is_empty()),
    }
    leave.add_permits(2);
    in_time(shutdown).await;
    let ids: Vec<_> = answers(&mut busy).await.into_iter().map(|result| result.task_id).collect();
    assert_eq!(ids, ["runs"]);
    assert_eq!(served.statistics().closed.at_shutdown, 0);
}

#[tokio::test]
async fn shutdown_ends_in_time_whatever_clients_and_handlers_do() {
    let mut served = serve_with(
        |config| config.with_shutdown_timeout(Duration::from_millis(100)),
        |task| async move {
            if task.task_id == "hangs" {
                std::future::pending::<()>().await;
            }
            let record = ProcessRecord { name: "x".repeat(1000), ..ProcessRecord::default() };
            DetectionResult::success(&task.task_id, vec![record; 1000])
        },
    )
    .await;
    let (mut hangs, mut deaf, mut slow) = (served.raw().await, served.raw().await, served.raw().await);
    send(&mut hangs, &enumerate("hangs").into_wire()).await;
    send(&mut deaf, &enumerate("large").into_wire()).await;
    tokio::io::AsyncWriteExt::write_all(&mut slow, b"\x03").await.unwrap();
    until("both have asked", || served.statistics().frames_received == 2).await;
    let begin = Instant::now();
    in_time(served.server.shutdown()).await;
    assert!(begin.elapsed() >= Duration::from_millis(100) && begin.elapsed() < PATIENCE / 2);
    let statistics = served.statistics();
    assert_eq!((statistics.closed.at_shutdown, statistics.connections_active), (2, 0));
    assert!(!served.path.exists());
}
