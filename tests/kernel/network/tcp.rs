//! TCP connections.

use collector_common::Kind;
use collector_tests::{Actor, Event, Trace, names_from, watch_closes};
use serde_json::json;

use super::end;

fn direction(wanted: &str) -> impl Fn(&Event) -> bool {
    move |event| event.at("/network/direction") == wanted
}

/// One connection of an actor to itself, looked at from all sides.
fn check_a_connection(family: &str, any: &str) -> Trace {
    let trace = watch_closes(
        Actor::new([
            &*format!("listen server {any} 8"),
            "connect out @server",
            "accept in server",
            "send out 1000",
            "receive in 1000",
            "send in 77",
            "receive out 77",
            "close out",
            "close in",
        ]),
        2,
    );
    let pid = trace.actor().pid;
    let (server, client) = (end(&trace, "server"), end(&trace, "out"));
    let common = json!({
        "source": "kernel-network",
        "capture": "kernel",
        "process": {"pid": pid, "uid": 0, "name": "actor"},
        "network": {"protocol": "tcp", "family": family},
    });
    for event in trace.domain("network") {
        event.shows(common.clone());
    }
    trace.one("network.listen").shows(json!({
        "network": {"local": server, "remote": null, "state": "listen", "direction": null, "result": null},
    }));
    let connect = trace.one("network.connect").shows(json!({
        "network": {
            "direction": "outbound", "local": client, "remote": server, "state": "established", "result": 0,
        },
    }));
    let accept = trace.one("network.accept").shows(json!({
        "network": {
            "direction": "inbound", "local": server, "remote": client, "state": "established", "result": null,
        },
    }));
    let outbound = trace.only("network.close", direction("outbound")).shows(json!({
        "network": {
            "connection_id": connect.text("/network/connection_id"),
            "local": client, "remote": server, "state": "closed", "bytes_sent": 1000, "bytes_received": 77,
        },
    }));
    let inbound = trace.only("network.close", direction("inbound")).shows(json!({
        "network": {
            "connection_id": accept.text("/network/connection_id"),
            "local": server, "remote": client, "state": "closed", "bytes_sent": 77, "bytes_received": 1000,
        },
    }));
    for (begin, end) in [(connect, outbound), (accept, inbound)] {
        let lasted = end.event.timestamp().duration_since(begin.event.timestamp()).unwrap();
        assert!(u128::from(end.number("/network/duration_ns")) >= lasted.as_nanos());
    }
    assert!(connect.number("/network/duration_ns") > 0);
    assert_ne!(connect.text("/network/connection_id"), accept.text("/network/connection_id"));
    assert_eq!(trace.domain("network").len(), 5, "{}", trace.summary());
    trace
}

#[test]
fn an_ipv4_connection_is_seen_from_both_sides_and_to_its_end() {
    drop(check_a_connection("ipv4", "127.0.0.1:0"));
}

#[test]
fn an_ipv6_connection_is_seen_from_both_sides_and_to_its_end() {
    drop(check_a_connection("ipv6", "[::1]:0"));
}

#[test]
fn ipv4_through_an_ipv6_socket_is_ipv4() {
    let trace = watch_closes(
        Actor::new([
            "listen server 127.0.0.1:0 8",
            "connect-mapped out @server",
            "accept in server",
            "close out",
            "close in",
        ]),
        2,
    );
    trace.one("network.connect").shows(json!({
        "network": {"family": "ipv4", "local": end(&trace, "out"), "remote": end(&trace, "server"), "result": 0},
    }));
}

#[test]
fn a_refused_connection_has_its_error_and_no_close() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        // Bound and not listening: the port is ours, and says no.
        let trace =
            watch_closes(Actor::new([&*format!("bind nobody {any}"), "fails connect out @nobody"]), 0);
        assert_eq!(trace.actor().number("errno"), libc::ECONNREFUSED as u64);
        trace.one("network.connect").shows(json!({
            "network": {
                "direction": "outbound",
                "remote": end(&trace, "nobody"),
                "state": "closed",
                "result": libc::ECONNREFUSED,
            },
        }));
        assert_eq!(trace.domain("network").len(), 1, "{}", trace.summary());
    }
}

#[test]
fn a_connect_without_a_route_has_its_error() {
    for (to, family) in [("192.0.2.1:80", "ipv4"), ("[2001:db8::1]:80", "ipv6")] {
        // An empty network namespace: there is no route to anywhere.
        let trace = watch_closes(Actor::new(["unshare net", &*format!("fails connect out {to}")]), 0);
        let errno = trace.actor().number("errno");
        // Over IPv6 the kernel looks for an address of its own first.
        assert!([libc::ENETUNREACH, libc::EADDRNOTAVAIL].contains(&(errno as i32)), "{errno}");
        let remote: std::net::SocketAddr = to.parse().unwrap();
        trace.one("network.connect").shows(json!({
            "capture": names_from(Kind::NetworkConnect),
            "process": {"pid": trace.actor().pid},
            "network": {
                "direction": "outbound",
                "family": family,
                "remote": {"address": remote.ip().to_string(), "port": 80},
                "state": "closed",
                "result": errno,
            },
        }));
        assert_eq!(trace.domain("network").len(), 1, "{}", trace.summary());
    }
}

#[test]
fn a_connect_without_a_free_port_has_its_error() {
    let trace = watch_closes(
        Actor::new([
            "listen server 127.0.0.1:0 8",
            "connect-from first 127.0.0.1:0 @server",
            "accept in server",
            // The same two ends once more: the kernel notices after it has begun.
            "fails connect-from second @first @server",
        ]),
        0,
    );
    assert_eq!(trace.actor().number("errno"), libc::EADDRNOTAVAIL as u64);
    let failed = |event: &Event| *event.at("/network/result") == libc::EADDRNOTAVAIL;
    trace.only("network.connect", failed).shows(json!({
        "network": {"remote": end(&trace, "server"), "state": "closed"},
    }));
    assert_eq!(trace.count("network.connect"), 2, "{}", trace.summary());
}

#[test]
fn a_connect_that_did_not_wait_has_the_result_it_got_later() {
    let trace = watch_closes(
        Actor::new([
            "listen server 127.0.0.1:0 8",
            "begin good @server",
            "result good",
            "close good",
            "accept in server",
            "close in",
            "bind nobody 127.0.0.1:0",
            "begin bad @nobody",
            "result bad",
            "close bad",
        ]),
        2,
    );
    let results: Vec<_> = trace.actor().all_said("result").collect();
    assert_eq!(results, ["0".to_owned(), libc::ECONNREFUSED.to_string()]);
    let to = |name: &str| {
        let remote = end(&trace, name);
        trace.only("network.connect", move |event| *event.at("/network/remote") == remote)
    };
    to("server").shows(json!({"network": {"result": 0, "state": "established"}}));
    to("nobody").shows(json!({"network": {"result": libc::ECONNREFUSED, "state": "closed"}}));
}

#[test]
fn a_connect_given_up_before_its_result_has_none() {
    let trace = watch_closes(
        Actor::new([
            // Room for one: the next gets no answer.
            "listen server 127.0.0.1:0 0",
            "connect first @server",
            "begin second @server",
            "close second",
        ]),
        0,
    );
    trace.only("network.connect", |event| event.at("/network/result").is_null()).shows(json!({
        "network": {"remote": end(&trace, "server"), "state": "closed"},
    }));
    let first = end(&trace, "first");
    trace.only("network.connect", |event| *event.at("/network/local") == first);
}

#[test]
fn ends_belong_to_those_who_opened_them() {
    let trace = watch_closes(
        Actor::new([
            "listen server 127.0.0.1:0 8",
            "fork",
            "comm client",
            "connect out @server",
            "send out 10",
            // The kernel closes what the child leaves open.
            "exit 0",
            "end",
            "accept in server",
            "receive in 10",
            "close in",
        ]),
        2,
    );
    let child = trace.actor().number("child");
    trace.one("network.connect").shows(json!({"process": {"pid": child, "name": "client"}}));
    trace.one("network.accept").shows(json!({"process": {"pid": trace.actor().pid}}));
    trace.only("network.close", direction("outbound")).shows(json!({
        "process": {"pid": child, "name": "client"}, "network": {"bytes_sent": 10, "bytes_received": 0},
    }));
    trace.only("network.close", direction("inbound")).shows(json!({"process": {"pid": trace.actor().pid}}));
}

#[test]
fn bytes_are_exact_when_there_are_many() {
    let trace = watch_closes(
        Actor::new([
            "listen server [::1]:0 8",
            "fork",
            "orphan",
            "connect out @server",
            "send out 3000000",
            "receive out 500000",
            "close out",
            "end",
            "accept in server",
            "receive in 3000000",
            "send in 500000",
            "close in",
        ]),
        2,
    );
    trace.only("network.close", direction("outbound")).shows(json!({
        "network": {"bytes_sent": 3_000_000, "bytes_received": 500_000},
    }));
    trace.only("network.close", direction("inbound")).shows(json!({
        "network": {"bytes_sent": 500_000, "bytes_received": 3_000_000},
    }));
}

#[test]
fn a_connection_that_is_reset_ends_for_both() {
    // Closed with bytes unread: the kernel resets.
    let trace = watch_closes(
        Actor::new([
            "listen server 127.0.0.1:0 8",
            "connect out @server",
            "accept in server",
            "send out 100",
            "close in",
            "close out",
        ]),
        2,
    );
    trace.only("network.close", direction("outbound")).shows(json!({"network": {"bytes_sent": 100}}));
    trace.only("network.close", direction("inbound")).shows(json!({"network": {"bytes_received": 100}}));
}

#[test]
fn a_listener_on_all_addresses_says_so() {
    let trace = watch_closes(Actor::new(["listen server 0.0.0.0:0 8", "listen six [::]:0 8"]), 0);
    for name in ["server", "six"] {
        let local = end(&trace, name);
        trace.only("network.listen", |event| *event.at("/network/local") == local);
    }
}
