//! The other end: a client for programs in Rust.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collector_proto::{CapabilityRequest, CapabilityResponse, CollectionCapabilities, DetectionResult};
use prost::Message;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::codec::{FrameError, MAX_PAYLOAD};
use super::proto::MonitoringDomain;
use super::stream::{FrameReader, ReadError, WriteError, write_frame};
use super::task::DetectionTask;

/// How patient a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IpcClientConfig {
    /// Longest time to connect. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest time for the server to take a request. Default 10 s.
    pub write_timeout: Duration,
    /// Longest time for an answer. Default 30 s.
    pub answer_timeout: Duration,
}

impl Default for IpcClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

impl IpcClientConfig {
    /// Sets all three to the same time.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        (self.connect_timeout, self.write_timeout, self.answer_timeout) = (timeout, timeout, timeout);
        self
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcClientError {
    /// There is no connection.
    #[error("cannot connect to {path:?}: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server is too slow.
    #[error("the server did not {what} within {timeout:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        timeout: Duration,
    },
    /// The server has closed the connection.
    #[error("the server closed the connection; connect again")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// A frame is wrong, or the request is too large for one.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The answer is not the message it should be.
    #[error("the answer cannot be decoded: {0}")]
    Undecodable(#[from] prost::DecodeError),
    /// The answer belongs to another task.
    #[error("the answer to task {sent:?} is for task {received:?}")]
    WrongTask {
        /// The id that was sent.
        sent: String,
        /// The id that came back.
        received: String,
    },
    /// The server does not want this client.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// An error before has left the connection in an unknown state.
    #[error("the connection is of no use after the error before; connect again")]
    Spoilt,
}

/// A connection to a server. It sends one request at a time.
#[derive(Debug)]
pub struct IpcClient {
    config: IpcClientConfig,
    frames: FrameReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    /// Whether a request is out whose answer has not been read.
    spoilt: bool,
}

impl IpcClient {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there, or this user may not connect.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, IpcClientError> {
        Self::connect_with(path, IpcClientConfig::default()).await
    }

    /// Connects, with a patience of its own.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        path: impl AsRef<Path>,
        config: IpcClientConfig,
    ) -> Result<Self, IpcClientError> {
        let path = path.as_ref();
        let stream = timeout(config.connect_timeout, UnixStream::connect(path))
            .await
            .map_err(|_| IpcClientError::Timeout { what: "accept", timeout: config.connect_timeout })?
            .map_err(|source| IpcClientError::Connect { path: path.to_owned(), source })?;
        let (read, write) = stream.into_split();
        Ok(Self { config, frames: FrameReader::new(read, MAX_PAYLOAD), write, spoilt: false })
    }

    /// Asks what the server can do.
    ///
    /// # Errors
    /// When there is no answer, or the server refuses.
    pub async fn capabilities(&mut self) -> Result<CollectionCapabilities, IpcClientError> {
        // A request without domains would be a task.
        let domains = [
            MonitoringDomain::Process,
            MonitoringDomain::Network,
            MonitoringDomain::Filesystem,
            MonitoringDomain::Performance,
        ];
        let request = CapabilityRequest {
            client_id: "collector".to_owned(),
            requested_domains: domains.map(Into::into).to_vec(),
            client_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        let answer = self.exchange(&request.encode_to_vec()).await?;
        let response = CapabilityResponse::decode(&*answer)?;
        if response.negotiation_success {
            Ok(response.capabilities.unwrap_or_default())
        } else {
            Err(IpcClientError::Refused(response.error_message.unwrap_or_default()))
        }
    }

    /// Sends a task and waits for its result, which may be a failure: look at `success`, and at
    /// [`left_out`](DetectionResult::left_out).
    ///
    /// # Errors
    /// When there is no result.
    pub async fn send(&mut self, task: DetectionTask) -> Result<DetectionResult, IpcClientError> {
        let task = task.into_wire();
        let answer = self.exchange(&task.encode_to_vec()).await?;
        let result = DetectionResult::decode(&*answer)?;
        if result.task_id != task.task_id {
            self.spoilt = true;
            return Err(IpcClientError::WrongTask { sent: task.task_id, received: result.task_id });
        }
        Ok(result)
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, IpcClientError> {
        // Also when this future is dropped before the answer is there: the next one would get it.
        if std::mem::replace(&mut self.spoilt, true) {
            return Err(IpcClientError::Spoilt);
        }
        let patience = self.config.write_timeout;
        // A server that does not let us in may close before it has read: its answer is there nevertheless.
        let written = write_frame(&mut self.write, request, MAX_PAYLOAD, patience).await;
        match written {
            Ok(()) | Err(WriteError::Io(_)) => {}
            Err(WriteError::Slow) => {
                return Err(IpcClientError::Timeout { what: "take the request", timeout: patience });
            }
            Err(WriteError::Frame(error)) => {
                // Nothing has been sent.
                self.spoilt = false;
                return Err(error.into());
            }
        }
        let patience = self.config.answer_timeout;
        match self.frames.next(patience, patience).await {
            Ok(Some(answer)) => {
                self.spoilt = written.is_err();
                Ok(answer)
            }
            Ok(None) => Err(IpcClientError::Closed),
            Err(ReadError::Idle | ReadError::Slow) => {
                Err(IpcClientError::Timeout { what: "answer", timeout: patience })
            }
            Err(ReadError::Frame(error)) => Err(error.into()),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(IpcClientError::Closed)
            }
            Err(ReadError::Io(error)) => Err(IpcClientError::Io(error)),
        }
    }
}
