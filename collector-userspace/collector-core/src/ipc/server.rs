//! The server, as its owner sees it.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::accept::Accepting;
use super::capabilities::IpcCapabilities;
use super::config::IpcConfig;
use super::error::IpcError;
use super::service::Service;
use super::socket::bind;
use super::statistics::{IpcStatistics, Statistics};
use super::task::{DetectionTask, IntoTaskResult};

/// Serves tasks over a Unix socket, to DaemonEye's agent and to everybody who speaks its protocol.
///
/// Start it when the sources run: a client that finds no capability for a task is told so, and may not ask again for minutes.
/// Each client has a connection of its own, and on it one task at a time; requests sent ahead are answered in order. A client that
/// sends what is no frame is disconnected, and no other notices.
///
/// The [guide](crate::guide) shows it at work.
#[derive(Debug)]
pub struct CollectorIpcServer {
    config: IpcConfig,
    capabilities: IpcCapabilities,
    statistics: Arc<Statistics>,
    running: Option<Running>,
}

/// Dropping it lets the server end by itself.
#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl CollectorIpcServer {
    /// A server that is not started yet; there is no socket either.
    ///
    /// # Errors
    /// When the configuration cannot work.
    #[allow(clippy::unused_async, reason = "the specification awaits it")]
    pub async fn new(config: IpcConfig, capabilities: impl Into<IpcCapabilities>) -> Result<Self, IpcError> {
        config.validate()?;
        let capabilities = capabilities.into();
        Ok(Self { config, capabilities, statistics: Arc::default(), running: None })
    }

    /// Makes the socket, and serves clients until [`shutdown`](Self::shutdown) or until the server is dropped. Returns when clients
    /// can connect.
    ///
    /// `handler` does the tasks that [`capabilities`](IpcCapabilities) allow, several at once, each on a thread of its own. When it
    /// panics or takes too long, the client gets a failure. It may block; but one that does goes on after its timeout until it
    /// awaits something, and later tasks of the same client have to wait for it.
    ///
    /// # Errors
    /// When the server has been started already, somebody else serves at this path, or the socket cannot be made.
    pub async fn start<F, R>(&mut self, handler: F) -> Result<(), IpcError>
    where
        F: Fn(DetectionTask) -> R + Send + Sync + 'static,
        R: Future<Output: IntoTaskResult> + Send + 'static,
    {
        if self.running.is_some() {
            return Err(IpcError::AlreadyStarted);
        }
        let path = &self.config.socket_path;
        let server_uid = own_uid().map_err(|source| IpcError::Io {
            action: "find out who we are for",
            path: path.clone(),
            source,
        })?;
        let (file, listener) = bind(path, self.config.mode).await?;
        tracing::info!(path = %path.display(), "serving tasks");
        let service = Service::new(
            self.config.clone(),
            self.capabilities.clone(),
            Arc::clone(&self.statistics),
            handler,
        );
        let stop = CancellationToken::new();
        let server = Accepting::new(service, server_uid, stop.clone());
        self.running = Some(Running { stop, accepting: tokio::spawn(server.run(file, listener)) });
        Ok(())
    }

    /// Removes the socket, lets tasks that run be answered, and disconnects everybody; after the shutdown timeout whatever they do.
    /// The server may be started again. Without a start before it does nothing.
    pub async fn shutdown(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            if let Err(error) = (&mut running.accepting).await {
                tracing::error!(%error, "the server failed");
            }
        }
    }

    /// The counters, over all starts.
    #[must_use]
    pub fn statistics(&self) -> IpcStatistics {
        self.statistics.lock().clone()
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &IpcConfig {
        &self.config
    }
}

/// The effective user, as the kernel tells it about a peer.
fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
