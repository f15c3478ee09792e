//! A server in a directory of its own, clients that keep to nothing, and patience.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use collector_proto::{DetectionResult, ProcessRecord};
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::ipc::codec::{FrameDecoder, MAX_PAYLOAD, encode_frame};
use crate::ipc::proto::ProtoTaskType;
use crate::ipc::{
    CollectorIpcServer, DetectionTask, IntoTaskResult, IpcClient, IpcClientConfig, IpcConfig, IpcStatistics,
    TaskCounts,
};
use crate::source::SourceCaps;

/// Longest time for anything that should happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A time that is over soon.
pub(super) const SHORT: Duration = Duration::from_millis(50);

pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// Looks until it is so.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        // deadline: nothing tells when counters change
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("procmond.sock");
    (directory, path)
}

pub(super) struct Served {
    pub(super) server: CollectorIpcServer,
    pub(super) path: PathBuf,
    pub(super) directory: TempDir,
}

/// Serves with the default settings, changed by `change`.
pub(super) async fn serve_with<F, R>(change: impl FnOnce(IpcConfig) -> IpcConfig, handler: F) -> Served
where
    F: Fn(DetectionTask) -> R + Send + Sync + 'static,
    R: Future<Output: IntoTaskResult> + Send + 'static,
{
    let (directory, path) = directory();
    let mut server =
        CollectorIpcServer::new(change(IpcConfig::new(&path)), SourceCaps::PROCESS).await.unwrap();
    server.start(handler).await.unwrap();
    Served { server, path, directory }
}

pub(super) async fn serve<F, R>(handler: F) -> Served
where
    F: Fn(DetectionTask) -> R + Send + Sync + 'static,
    R: Future<Output: IntoTaskResult> + Send + 'static,
{
    serve_with(|config| config, handler).await
}

impl Served {
    pub(super) async fn client(&self) -> IpcClient {
        let config = IpcClientConfig::default().with_timeout(PATIENCE);
        IpcClient::connect_with(&self.path, config).await.unwrap()
    }

    pub(super) async fn raw(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    pub(super) fn statistics(&self) -> IpcStatistics {
        self.server.statistics()
    }

    pub(super) fn enumerations(&self) -> TaskCounts {
        self.statistics().tasks.get("ENUMERATE_PROCESSES").copied().unwrap_or_default()
    }
}

/// A handler that answers with one process, whose pid is the length of the id.
pub(super) async fn one_process(task: DetectionTask) -> DetectionResult {
    let pid = task.task_id.len() as u32;
    DetectionResult::success(&task.task_id, vec![ProcessRecord { pid, ..ProcessRecord::default() }])
}

pub(super) fn enumerate(task_id: &str) -> DetectionTask {
    DetectionTask::new(task_id, ProtoTaskType::EnumerateProcesses)
}

/// Whether this client is served; it is when another was not disturbed by what happened.
pub(super) async fn is_served(client: &mut IpcClient) {
    let result = in_time(client.send(enumerate("bystander"))).await.unwrap();
    assert_eq!((result.success, result.processes.len()), (true, 1));
}

pub(super) async fn send(stream: &mut UnixStream, message: &impl Message) {
    let frame = encode_frame(&message.encode_to_vec(), MAX_PAYLOAD).unwrap();
    stream.write_all(&frame).await.unwrap();
}

/// The answers until the server closes the connection.
pub(super) async fn answers(stream: &mut UnixStream) -> Vec<DetectionResult> {
    let mut bytes = Vec::new();
    // A reset is an end, too: the server closes without reading what is left.
    let _ = in_time(stream.read_to_end(&mut bytes)).await;
    let (mut decoder, mut rest, mut answers) = (FrameDecoder::new(MAX_PAYLOAD), &bytes[..], Vec::new());
    while let Some(payload) = decoder.decode(&mut rest).unwrap() {
        answers.push(DetectionResult::decode(&*payload).unwrap());
    }
    decoder.finish().unwrap();
    answers
}
