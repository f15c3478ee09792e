//! One client: requests in, answers out, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::access::Peer;
use super::request::Request;
use super::service::{Service, refusal};
use super::stream::{FrameReader, ReadError, WriteError, write_frame};

/// How long somebody who is not let in may take to ask and be told so.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// Longest request of somebody who is not let in, in bytes.
const REFUSED_FRAME: usize = 16 * 1024;

/// Counts a connection for as long as it lives.
struct Active<'a>(&'a Service);

impl<'a> Active<'a> {
    fn begin(service: &'a Service) -> Self {
        let mut statistics = service.statistics.lock();
        statistics.connections += 1;
        statistics.connections_active += 1;
        Self(service)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.statistics.lock().connections_active -= 1;
    }
}

/// Serves a client until it goes, does something wrong, or `stop` is cancelled; then a task that runs is still answered.
pub(super) async fn serve(stream: UnixStream, peer: Peer, service: Arc<Service>, stop: CancellationToken) {
    let _active = Active::begin(&service);
    let config = &service.config;
    let (read, mut write) = stream.into_split();
    let mut frames = FrameReader::new(read, config.max_frame);
    let turn = Arc::new(Semaphore::new(1));
    loop {
        let frame = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            frame = frames.next(config.idle_timeout, config.read_timeout) => frame,
        };
        let payload = match frame {
            Ok(Some(payload)) => payload,
            Ok(None) => return,
            Err(error) => return closed_reading(&service, peer, &error),
        };
        service.statistics.lock().frames_received += 1;
        let request = match Request::decode(&payload) {
            Ok(request) => request,
            Err(error) => {
                service.statistics.lock().closed.undecodable += 1;
                return tracing::debug!(?peer, %error, "a client is disconnected");
            }
        };
        drop(payload);
        let answer = service.answer(request, peer, &turn).await;
        match write_frame(&mut write, &answer, config.max_frame, config.write_timeout).await {
            Ok(()) => service.statistics.lock().frames_sent += 1,
            Err(error) => return closed_writing(&service, peer, &error),
        }
    }
}

fn closed_reading(service: &Service, peer: Peer, error: &ReadError) {
    tracing::debug!(?peer, %error, "a client is disconnected");
    let mut statistics = service.statistics.lock();
    match error {
        ReadError::Idle => statistics.closed.idle += 1,
        ReadError::Slow => statistics.closed.slow_read += 1,
        ReadError::Frame(frame) => statistics.closed.count_frame_error(*frame),
        ReadError::Io(_) => statistics.closed.broken += 1,
    }
}

fn closed_writing(service: &Service, peer: Peer, error: &WriteError) {
    tracing::debug!(?peer, %error, "a client is disconnected");
    let mut statistics = service.statistics.lock();
    match error {
        WriteError::Slow => statistics.closed.slow_write += 1,
        WriteError::Frame(frame) => statistics.closed.count_frame_error(*frame),
        WriteError::Io(_) => statistics.closed.broken += 1,
    }
}

/// Waits a moment for a request, so that the answer can bear its id, and tells the client why it is not let in.
pub(super) async fn refuse(stream: UnixStream, reason: String, stop: CancellationToken) {
    let (read, mut write) = stream.into_split();
    let tell = async {
        let mut frames = FrameReader::new(read, REFUSED_FRAME);
        let Ok(Some(payload)) = frames.next(REFUSAL_PATIENCE, REFUSAL_PATIENCE).await else { return };
        if let Ok(request) = Request::decode(&payload) {
            let answer = refusal(request, &reason);
            // One who does not stay to hear it has not been let in either.
            let _ = write_frame(&mut write, &answer, REFUSED_FRAME, REFUSAL_PATIENCE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = tokio::time::timeout(REFUSAL_PATIENCE, tell) => {}
    }
}
