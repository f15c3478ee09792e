//! From a request to the answer that is sent: capabilities, the handler under its timeout, the size of the result.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use collector_proto::{CapabilityResponse, DetectionResult};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::access::Peer;
use super::capabilities::{IpcCapabilities, missing_for, to_wire};
use super::config::IpcConfig;
use super::fit::encode_fitting;
use super::request::Request;
use super::statistics::{Statistics, TaskCounts};
use super::task::{DetectionTask, IntoTaskResult};

/// Longest id of a task, in bytes. It comes back in the answer, which has to fit into a frame.
pub(super) const TASK_ID_MAX: usize = 1024;

type Answer = Pin<Box<dyn Future<Output = Result<DetectionResult, String>> + Send>>;
type Handler = Arc<dyn Fn(DetectionTask) -> Answer + Send + Sync>;

/// What all connections of a server share.
pub(super) struct Service {
    pub(super) config: IpcConfig,
    pub(super) statistics: Arc<Statistics>,
    capabilities: IpcCapabilities,
    handler: Handler,
    /// A handler at work has a permit of these and its connection's. Usually nobody waits for either; but a handler that blocks
    /// cannot be stopped at its timeout and keeps both: on its connection no other works beside it, and all together are no more
    /// than connections may be.
    places: Arc<Semaphore>,
}

/// How a task ended, and the counter of that.
type Ending = fn(&mut TaskCounts) -> &mut u64;

impl Service {
    pub(super) fn new<F, R>(
        config: IpcConfig,
        capabilities: IpcCapabilities,
        statistics: Arc<Statistics>,
        handler: F,
    ) -> Self
    where
        F: Fn(DetectionTask) -> R + Send + Sync + 'static,
        R: Future<Output: IntoTaskResult> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |task| {
            let working = handler(task);
            Box::pin(async move { working.await.into_task_result() })
        });
        let places = Arc::new(Semaphore::new(config.max_connections));
        Self { config, statistics, capabilities, handler, places }
    }

    /// The answer to a request, as the payload of a frame. `turn` is the connection's, and has one permit.
    pub(super) async fn answer(&self, request: Request, peer: Peer, turn: &Arc<Semaphore>) -> Vec<u8> {
        match request {
            Request::Greeting { task_id } => self.greet(task_id),
            Request::Capabilities(_) => {
                self.statistics.lock().negotiations += 1;
                let response = CapabilityResponse {
                    negotiation_success: true,
                    capabilities: Some(to_wire(self.capabilities.current())),
                    error_message: None,
                    server_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                };
                response.encode_to_vec()
            }
            Request::UnknownTask { task_id, task_type } => {
                self.refuse_task("UNKNOWN", task_id, format!("Unknown task type: {task_type}"))
            }
            Request::Task(mut task) => {
                task.peer = Some(peer);
                self.run(*task, turn).await
            }
        }
    }

    fn greet(&self, task_id: String) -> Vec<u8> {
        if task_id.len() > TASK_ID_MAX {
            return self.refuse_task("UNKNOWN", task_id, String::new());
        }
        self.statistics.lock().negotiations += 1;
        self.encode(DetectionResult::success(&task_id, Vec::new()))
    }

    async fn run(&self, task: DetectionTask, turn: &Arc<Semaphore>) -> Vec<u8> {
        let (task_id, task_type) = (task.task_id.clone(), task.task_type);
        if let Some(message) = missing_for(task_type, self.capabilities.current()) {
            return self.refuse_task(task_type.as_str_name(), task_id, message.to_owned());
        }
        if task_id.len() > TASK_ID_MAX {
            return self.refuse_task(task_type.as_str_name(), task_id, String::new());
        }
        let (ending, mut result) = self.handle(task, Arc::clone(turn)).await;
        // Whatever the handler put there.
        result.task_id = task_id;
        *ending(self.statistics.lock().tasks.entry(task_type.as_str_name()).or_default()) += 1;
        self.encode(result)
    }

    /// Lets the handler work, on a thread of its own: it may block, and on one of the runtime's it could stop everything, since
    /// that thread may be the one that waits for sockets and timers on behalf of all. A panic stays there, too.
    async fn handle(&self, task: DetectionTask, turn: Arc<Semaphore>) -> (Ending, DetectionResult) {
        let failure = |message: String| DetectionResult::failure("", message);
        let (handler, places) = (Arc::clone(&self.handler), Arc::clone(&self.places));
        let (task_type, patience) = (task.task_type, self.config.handler_timeout);
        // Ends a handler that awaits, in whatever way this ends.
        let given_up = CancellationToken::new();
        let _give_up_on_drop = given_up.clone().drop_guard();
        let work = async move {
            let permits = (turn.acquire_owned().await, places.acquire_owned().await);
            let runtime = Handle::current();
            let working = move || {
                let _permits = permits;
                runtime.block_on(given_up.run_until_cancelled(async { handler(task).await }))
            };
            tokio::task::spawn_blocking(working).await
        };
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(Some(Ok(result)))) if result.success => (|counts| &mut counts.succeeded, result),
            Ok(Ok(Some(Ok(result)))) => (|counts| &mut counts.failed, result),
            Ok(Ok(Some(Err(message)))) => (|counts| &mut counts.failed, failure(message)),
            Ok(Err(error)) => {
                tracing::error!(task = task_type.as_str_name(), %error, "a handler of tasks panicked");
                (|counts| &mut counts.panicked, failure("the task failed inside the collector".to_owned()))
            }
            // Nobody gives up before this; without an answer is without an answer.
            Ok(Ok(None)) | Err(_) => {
                tracing::warn!(task = task_type.as_str_name(), "a task took too long and is abandoned");
                let message = format!("Task processing timed out after {patience:?}");
                (|counts| &mut counts.timed_out, failure(message))
            }
        }
    }

    fn refuse_task(&self, task_type: &'static str, task_id: String, message: String) -> Vec<u8> {
        self.statistics.lock().tasks.entry(task_type).or_default().refused += 1;
        self.encode(failure_for(task_id, message))
    }

    fn encode(&self, result: DetectionResult) -> Vec<u8> {
        let (payload, truncated) = encode_fitting(result, self.config.max_frame);
        if truncated {
            self.statistics.lock().results_truncated += 1;
        }
        payload
    }
}

/// The answer to whoever is not let in: a failure in the form that belongs to the request.
pub(super) fn refusal(request: Request, reason: &str) -> Vec<u8> {
    match request {
        Request::Capabilities(_) => {
            CapabilityResponse { error_message: Some(reason.to_owned()), ..CapabilityResponse::default() }
                .encode_to_vec()
        }
        Request::Greeting { task_id } | Request::UnknownTask { task_id, .. } => {
            failure_for(task_id, reason.to_owned()).encode_to_vec()
        }
        Request::Task(task) => failure_for(task.task_id, reason.to_owned()).encode_to_vec(),
    }
}

/// A failure; an id that is too long to be sent back is the reason, and shortened.
fn failure_for(mut task_id: String, message: String) -> DetectionResult {
    let length = task_id.len();
    if length <= TASK_ID_MAX {
        return DetectionResult { task_id, ..DetectionResult::failure("", message) };
    }
    task_id.truncate(task_id.floor_char_boundary(TASK_ID_MAX));
    let message = format!("the task id has {length} bytes; it may have {TASK_ID_MAX}");
    DetectionResult { task_id, ..DetectionResult::failure("", message) }
}
