//! Who is let in, and what happens to those who are in at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::Peer;
use super::connection::{refuse, serve};
use super::service::Service;
use super::socket::SocketFile;

/// Most clients at one time that are being told why they are not let in. More are just disconnected.
const MAX_REFUSALS: usize = 16;

/// Pause after a connection could not be accepted: what is missing then, file descriptors for example, does not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The task that lets clients in.
pub(super) struct Accepting {
    service: Arc<Service>,
    server_uid: u32,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    connections: JoinSet<()>,
    refusal_log: Throttle,
    stop: CancellationToken,
}

/// Lets through one log line a second: who is refused can be refused as often as they like.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Whether to log now, and how many lines were held back since the last one.
    fn pass(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.held_back))
    }
}

impl Accepting {
    pub(super) fn new(service: Service, server_uid: u32, stop: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(service.config.max_connections)),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            service: Arc::new(service),
            server_uid,
            connections: JoinSet::new(),
            refusal_log: Throttle::default(),
            stop,
        }
    }

    /// Lets clients in until it is to stop, and sees them off.
    pub(super) async fn run(mut self, file: SocketFile, listener: UnixListener) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = self.connections.join_next() => report(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream),
                    Err(error) => self.pause(&error).await,
                },
            }
        }
        // In this order: see `SocketFile`.
        drop(file);
        drop(listener);
        self.finish().await;
    }

    async fn pause(&self, error: &io::Error) {
        self.service.statistics.lock().accept_errors += 1;
        tracing::warn!(%error, "a connection cannot be accepted");
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(ACCEPT_PAUSE) => {}
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        let admitted = match self.identify(&stream) {
            Ok(peer) => self.place().map(|place| (peer, place)),
            Err(reason) => Err(reason),
        };
        match admitted {
            Ok((peer, place)) => {
                let (service, stop) = (Arc::clone(&self.service), self.stop.clone());
                self.connections.spawn(async move {
                    serve(stream, peer, service, stop).await;
                    drop(place);
                });
            }
            Err(reason) => {
                if let Some(held_back) = self.refusal_log.pass() {
                    tracing::warn!(reason, held_back, "a client is refused");
                }
                let Ok(refusal) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
                let stop = self.stop.clone();
                self.connections.spawn(async move {
                    refuse(stream, reason, stop).await;
                    drop(refusal);
                });
            }
        }
    }

    /// Who is there, or why they are not let in.
    fn identify(&self, stream: &UnixStream) -> Result<Peer, String> {
        let credentials = stream.peer_cred().map_err(|error| {
            self.service.statistics.lock().refused.unidentified += 1;
            format!("the system does not say who you are: {error}")
        })?;
        let (uid, gid, pid) = (credentials.uid(), credentials.gid(), credentials.pid());
        let role = self.service.config.access.role(uid, gid, self.server_uid).ok_or_else(|| {
            self.service.statistics.lock().refused.unauthorized += 1;
            let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            format!(
                "user {uid} in group {gid}{process} has no role; the configuration of the socket gives roles"
            )
        })?;
        Ok(Peer { uid, gid, pid, role })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, String> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            self.service.statistics.lock().refused.too_many += 1;
            let limit = self.service.config.max_connections;
            format!("there are {limit} clients already, as many as may be (max_connections)")
        })
    }

    /// Waits for the connections, but not for ever.
    async fn finish(mut self) {
        let all = async {
            while let Some(ended) = self.connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(self.service.config.shutdown_timeout, all).await.is_err() {
            let left = self.connections.len();
            self.service.statistics.lock().closed.at_shutdown += left as u64;
            tracing::warn!(left, "clients are disconnected in the middle of something");
            self.connections.shutdown().await;
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection failed");
    }
}
