//! UDP datagrams.

use collector_tests::{Actor, watch_closes};
use serde_json::json;

use super::end;

fn check_destinations(family: &str, any: &str) {
    let steps = [
        format!("udp a {any}"),
        format!("udp b {any}"),
        format!("udp from {any}"),
        "repeat 5".to_owned(),
        "sendto from @a 10".to_owned(),
        "end".to_owned(),
        "sendto from @b 20".to_owned(),
        "sendto from @a 30".to_owned(),
    ];
    let trace = watch_closes(Actor::new(steps), 0);
    for (name, bytes) in [("a", 10), ("b", 20)] {
        let remote = end(&trace, name);
        trace.only("network.send", |event| *event.at("/network/remote") == remote).shows(json!({
            "process": {"pid": trace.actor().pid},
            "network": {
                "protocol": "udp",
                "family": family,
                "direction": "outbound",
                "local": end(&trace, "from"),
                "bytes_sent": bytes,
            },
        }));
    }
    assert_eq!(trace.domain("network").len(), 2, "{}", trace.summary());
}

#[test]
fn a_destination_over_ipv4_is_reported_once() {
    check_destinations("ipv4", "127.0.0.1:0");
}

#[test]
fn a_destination_over_ipv6_is_reported_once() {
    check_destinations("ipv6", "[::1]:0");
}

#[test]
fn a_connected_socket_is_no_way_around() {
    let trace = watch_closes(
        Actor::new([
            "udp a 127.0.0.1:0",
            "udp from 127.0.0.1:0",
            "aim from @a",
            "send from 9",
            "send from 9",
        ]),
        0,
    );
    trace.one("network.send").shows(json!({"network": {"remote": end(&trace, "a"), "bytes_sent": 9}}));
}

#[test]
fn each_process_is_reported_for_itself() {
    let trace = watch_closes(
        Actor::new([
            "udp a [::1]:0",
            "udp from [::1]:0",
            "sendto from @a 1",
            "fork",
            "sendto from @a 2",
            "end",
        ]),
        0,
    );
    let child = trace.actor().number("child");
    trace.of("network.send", trace.actor().pid).shows(json!({"network": {"bytes_sent": 1}}));
    trace.of("network.send", child).shows(json!({"network": {"bytes_sent": 2}}));
}
