//! What a server has done, and why it closed connections.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::codec::FrameError;

/// What became of the tasks of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TaskCounts {
    /// Done.
    pub succeeded: u64,
    /// The handler said no.
    pub failed: u64,
    /// Abandoned, because the handler took too long.
    pub timed_out: u64,
    /// The handler panicked.
    pub panicked: u64,
    /// No handler was asked: nothing can do that, or the type or the id is none.
    pub refused: u64,
}

/// Clients that were not let in, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct RefusedConnections {
    /// There were `max_connections` already.
    pub too_many: u64,
    /// Users who have no role.
    pub unauthorized: u64,
    /// The system did not say who it is.
    pub unidentified: u64,
}

/// Connections that were closed on a client, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ClosedConnections {
    /// A frame without payload.
    pub zero_length: u64,
    /// A frame longer than allowed.
    pub too_long: u64,
    /// A frame with a wrong checksum.
    pub checksum: u64,
    /// The client ended inside a frame.
    pub truncated: u64,
    /// A frame that holds no request.
    pub undecodable: u64,
    /// The client said nothing for too long.
    pub idle: u64,
    /// A frame took too long to arrive.
    pub slow_read: u64,
    /// The client did not take its answer in time.
    pub slow_write: u64,
    /// The connection broke, for example because the client ended before its answer.
    pub broken: u64,
    /// Still busy when the time for shutting down was over.
    pub at_shutdown: u64,
}

/// The counters of a [`CollectorIpcServer`](super::CollectorIpcServer).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct IpcStatistics {
    /// Clients that were let in.
    pub connections: u64,
    /// Those that are connected now.
    pub connections_active: usize,
    /// Clients that were not let in.
    pub refused: RefusedConnections,
    /// Connections that were closed on a client.
    pub closed: ClosedConnections,
    /// How often the system could not accept a connection, for example for want of file descriptors.
    pub accept_errors: u64,
    /// Frames read, sound ones.
    pub frames_received: u64,
    /// Frames written.
    pub frames_sent: u64,
    /// Greetings and questions for capabilities that were answered.
    pub negotiations: u64,
    /// Results of which only a part fitted into a frame.
    pub results_truncated: u64,
    /// By type of task, as the protocol names it; `UNKNOWN` for numbers without a name.
    pub tasks: BTreeMap<&'static str, TaskCounts>,
}

impl ClosedConnections {
    pub(super) const fn count_frame_error(&mut self, error: FrameError) {
        let counter = match error {
            FrameError::ZeroLength => &mut self.zero_length,
            FrameError::TooLong { .. } => &mut self.too_long,
            FrameError::Checksum { .. } => &mut self.checksum,
            FrameError::Truncated { .. } => &mut self.truncated,
        };
        *counter += 1;
    }
}

/// Counters that many tasks write.
#[derive(Debug, Default)]
pub(super) struct Statistics(Mutex<IpcStatistics>);

impl Statistics {
    /// Held for a moment, and never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, IpcStatistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
