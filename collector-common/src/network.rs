//! Payload of the network domain.

use crate::{RecordHeader, TaskWire};

/// One socket event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct NetworkWire {
    /// Kind, sequence, time.
    pub header: RecordHeader,
    /// The process that opened or accepted the connection, even when another context ended it.
    pub task: TaskWire,
    /// Address family: 2 (IPv4) or 10 (IPv6).
    pub family: u16,
    /// IP protocol: 6 (TCP) or 17 (UDP).
    pub protocol: u16,
    /// TCP state before, kernel numbering; 0 where it means nothing.
    pub old_state: u16,
    /// TCP state after.
    pub new_state: u16,
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// Bits of [`network_flag`].
    pub flags: u32,
    /// Local address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// Remote address; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// When the connection was begun (connect) or accepted, `CLOCK_BOOTTIME` nanoseconds: with the addresses it
    /// names the connection.
    pub opened_ns: u64,
    /// Payload bytes sent, without retransmissions.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Errno of a failed connect, 0 on success.
    pub result: u32,
    /// Backlog of a listen.
    pub backlog: u32,
}

/// Bits of [`NetworkWire::flags`].
pub mod network_flag {
    /// The connection came in (accepted here).
    pub const INBOUND: u32 = 1;
    /// The socket was closed by its owner before the connect had a result.
    pub const ABANDONED: u32 = 2;
}
