//! Network events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{EventMeta, ProcessRef};

/// What happened on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkEventKind {
    /// An outgoing connection reached its result.
    #[default]
    Connect,
    /// A connection was accepted.
    Accept,
    /// A socket began to listen.
    Listen,
    /// A connection ended.
    Close,
    /// Datagrams went to a destination this process had not sent to before.
    Send,
}

impl NetworkEventKind {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "network.connect",
            Self::Accept => "network.accept",
            Self::Listen => "network.listen",
            Self::Close => "network.close",
            Self::Send => "network.send",
        }
    }
}

/// Who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The remote side.
    Inbound,
    /// This host.
    Outbound,
}

impl Direction {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Transport protocols the sources know; others are in `NetworkEvent::protocol` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name used in JSON and in [`NetworkEvent::protocol`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An event about a socket or connection.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkEvent {
    /// Names the connection from connect or accept to close, on this host.
    pub connection_id: String,
    /// `tcp`, `udp` or what the source calls it.
    pub protocol: String,
    /// When it happened.
    pub timestamp: SystemTime,
    /// Local end. The unspecified address for a wildcard listener.
    pub local: Option<SocketAddr>,
    /// Remote end.
    pub remote: Option<SocketAddr>,
    /// Connection state after the event, for example `established`, `listen`, `closed`.
    pub state: String,
    /// Process behind the socket.
    pub pid: Option<u32>,
    /// Payload bytes sent so far.
    pub bytes_sent: u64,
    /// Payload bytes received so far.
    pub bytes_received: u64,

    /// What happened.
    pub kind: NetworkEventKind,
    /// Provenance.
    pub meta: EventMeta,
    /// The process, in short.
    pub process: Option<Arc<ProcessRef>>,
    /// Who began.
    pub direction: Option<Direction>,
    /// From open to close (close only), or from the attempt to its result (connect only).
    pub duration: Option<Duration>,
    /// Errno of a failed connect; 0 for success; absent where nothing can fail.
    pub result: Option<i32>,
    /// Network namespace inode of the process.
    pub net_ns: Option<u32>,
}

impl Default for NetworkEvent {
    fn default() -> Self {
        Self {
            connection_id: String::new(),
            protocol: String::new(),
            timestamp: SystemTime::UNIX_EPOCH,
            local: None,
            remote: None,
            state: String::new(),
            pid: None,
            bytes_sent: 0,
            bytes_received: 0,
            kind: NetworkEventKind::default(),
            meta: EventMeta::default(),
            process: None,
            direction: None,
            duration: None,
            result: None,
            net_ns: None,
        }
    }
}
