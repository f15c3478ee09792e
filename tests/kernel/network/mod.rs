//! Network events.

mod tcp;
mod udp;

use collector_tests::Trace;
use serde_json::{Value, json};

/// The address an actor said under this name, as events show it.
fn end(trace: &Trace, name: &str) -> Value {
    let address: std::net::SocketAddr = trace.actor().said(name).parse().unwrap();
    json!({"address": address.ip().to_canonical().to_string(), "port": address.port()})
}
