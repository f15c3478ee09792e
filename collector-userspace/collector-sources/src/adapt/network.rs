//! Sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use collector_common::{Domain, Kind, NetworkWire, network_flag};
use collector_core::{Direction, NetworkEvent, NetworkEventKind, ProcessRef, Protocol};

use super::{Context, known};
use crate::decode::NetworkRecord;
use crate::identity::mix64;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Names of the kernel's TCP states, from 1.
const TCP_STATES: [&str; 13] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
    "bound_inactive",
];

/// The event of a socket record.
#[must_use]
pub fn adapt_network(
    record: &NetworkRecord,
    process: Option<Arc<ProcessRef>>,
    context: &Context,
) -> NetworkEvent {
    let wire = &record.wire;
    let kind = match record.kind {
        Kind::NetworkAccept => NetworkEventKind::Accept,
        Kind::NetworkListen => NetworkEventKind::Listen,
        Kind::NetworkClose => NetworkEventKind::Close,
        Kind::NetworkSend => NetworkEventKind::Send,
        // Decode lets no kinds of other domains in here.
        _ => NetworkEventKind::Connect,
    };
    let direction = match kind {
        NetworkEventKind::Listen => None,
        NetworkEventKind::Accept => Some(Direction::Inbound),
        _ if wire.flags & network_flag::INBOUND != 0 => Some(Direction::Inbound),
        _ => Some(Direction::Outbound),
    };
    let since_opened = known(wire.opened_ns)
        .and_then(|opened_ns| wire.header.ktime_ns.checked_sub(opened_ns))
        .map(Duration::from_nanos);
    let abandoned = wire.flags & network_flag::ABANDONED != 0;
    NetworkEvent {
        connection_id: format!("{:016x}", connection_id(wire)),
        protocol: protocol(wire.protocol),
        timestamp: context.clock.system_time(wire.header.ktime_ns),
        local: address(wire.family, &wire.local, wire.local_port),
        remote: match kind {
            NetworkEventKind::Listen => None,
            _ => address(wire.family, &wire.remote, wire.remote_port),
        },
        state: tcp_state(wire.new_state),
        pid: known(wire.task.pid),
        bytes_sent: wire.bytes_sent,
        bytes_received: wire.bytes_received,
        kind,
        meta: context.meta(&wire.header, Domain::Network, record.capture),
        process,
        direction,
        duration: match kind {
            NetworkEventKind::Connect | NetworkEventKind::Close => since_opened,
            _ => None,
        },
        // A socket closed before its connect had a result has none.
        result: (kind == NetworkEventKind::Connect && !abandoned).then_some(wire.result.cast_signed()),
        net_ns: known(wire.task.net_ns),
    }
}

/// Names a connection from connect or accept to close: 64 bits over network namespace, protocol, both ends and the
/// time it was opened. The function is fixed, because ids are compared across versions of stored events.
#[must_use]
pub fn connection_id(wire: &NetworkWire) -> u64 {
    let word = |bytes: &[u8; 16], at: usize| {
        let half = bytes.get(at..at + 8).and_then(|half| half.try_into().ok()).unwrap_or_default();
        u64::from_le_bytes(half)
    };
    let ports = u64::from(wire.local_port) << 16 | u64::from(wire.remote_port);
    [
        u64::from(wire.task.net_ns),
        u64::from(wire.protocol) << 48 | u64::from(wire.family) << 32 | ports,
        word(&wire.local, 0),
        word(&wire.local, 8),
        word(&wire.remote, 0),
        word(&wire.remote, 8),
        wire.opened_ns,
    ]
    .into_iter()
    .fold(0, |hash, word| mix64(hash.rotate_left(23) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// An end of a connection. IPv4 that travels through an IPv6 socket is shown as the IPv4 it is.
fn address(family: u16, bytes: &[u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = match family {
        AF_INET => {
            let [a, b, c, d, ..] = *bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        AF_INET6 => Ipv6Addr::from(*bytes).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn protocol(number: u16) -> String {
    match number {
        6 => Protocol::Tcp.name().to_owned(),
        17 => Protocol::Udp.name().to_owned(),
        other => other.to_string(),
    }
}

/// The name of a state of TCP; the number, if it has none; nothing for 0.
pub(crate) fn tcp_state(number: u16) -> String {
    let name = usize::from(number).checked_sub(1).and_then(|index| TCP_STATES.get(index));
    match (name, number) {
        (Some(name), _) => (*name).to_owned(),
        (None, 0) => String::new(),
        (None, other) => other.to_string(),
    }
}
