//! The object of a socket or connection.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::members::{Members, nanos};
use crate::event::{Capture, Direction, NetworkEvent, NetworkEventKind};

pub(super) struct Network<'a>(pub(super) &'a NetworkEvent);

impl Serialize for Network<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let NetworkEvent {
            connection_id,
            protocol,
            timestamp: _,
            local,
            remote,
            state,
            pid: _,
            bytes_sent,
            bytes_received,
            kind,
            meta,
            process: _,
            direction,
            duration,
            result,
            net_ns,
        } = self.0;
        let mut object = Members::begin(serializer)?;
        object.word("connection_id", connection_id)?;
        object.word("protocol", protocol)?;
        object.some("family", remote.or(*local).map(|end| if end.is_ipv4() { "ipv4" } else { "ipv6" }))?;
        object.some("direction", direction.map(Direction::name))?;
        object.some("local", local.map(Endpoint))?;
        object.some("remote", remote.map(Endpoint))?;
        object.word("state", state)?;
        // Who polls does not see them: there 0 is not a count.
        let is_counted = *kind == NetworkEventKind::Close && meta.capture != Capture::Procfs;
        let counted = |bytes: u64| (bytes > 0 || is_counted).then_some(bytes);
        object.some("bytes_sent", counted(*bytes_sent))?;
        object.some("bytes_received", counted(*bytes_received))?;
        object.some("duration_ns", duration.map(nanos))?;
        object.some("result", *result)?;
        object.some("net_ns", *net_ns)?;
        object.end()
    }
}

struct Endpoint(SocketAddr);

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Members::begin(serializer)?;
        object.put("address", &self.0.ip())?;
        object.put("port", &self.0.port())?;
        object.end()
    }
}
