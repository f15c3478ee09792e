//! Connections of the tests' own, on the loopback, as the next look shows them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use collector_core::EventSource as _;
use collector_core::monitor::MonitorCollectorConfig;
use collector_core::{Capture, CollectionEvent, Direction, NetworkEvent, NetworkEventKind, SourceCaps};
use collector_sources::Filter;
use collector_sources::procfs::{ProcfsCapture, ProcfsConfig, ProcfsNetworkSource, SOURCE_NAMES};

use crate::monitor::{Monitor, config, only};

fn watching() -> Monitor {
    let config =
        MonitorCollectorConfig { collection_interval: Duration::from_secs(3600), ..Default::default() };
    let source = ProcfsNetworkSource::new("procfs-network", config, only(std::process::id())).unwrap();
    assert_eq!(source.capabilities(), SourceCaps::NETWORK);
    let handle = source.handle();
    Monitor::of(Box::new(source), handle)
}

/// What a look says of sockets with this end, by either of its sides.
fn about(monitor: &mut Monitor, end: SocketAddr) -> Vec<NetworkEvent> {
    let of_it = |event: CollectionEvent| match event {
        CollectionEvent::Network(event) if event.local == Some(end) || event.remote == Some(end) => {
            Some(event)
        }
        _ => None,
    };
    let mut events: Vec<_> = monitor.look().into_iter().filter_map(of_it).collect();
    events.sort_by_key(|event| event.kind.name());
    events
}

#[test]
fn a_connection_from_its_listener_to_its_end() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(before) = TcpListener::bind(address) else { continue };
        let mut monitor = watching();
        assert_eq!(monitor.take(), [], "what was there before the first look has not begun");
        assert_eq!(about(&mut monitor, before.local_addr().unwrap()), []);

        let listener = TcpListener::bind(address).unwrap();
        let end = listener.local_addr().unwrap();
        let [listen] = &*about(&mut monitor, end) else { panic!("one listener") };
        assert_eq!((listen.kind, listen.local, listen.remote), (NetworkEventKind::Listen, Some(end), None));
        assert_eq!((listen.state.as_str(), listen.meta.capture), ("listen", Capture::Procfs));
        assert_eq!(listen.pid, Some(std::process::id()));
        assert!(listen.process.as_ref().unwrap().exec_id.is_some() && listen.net_ns.is_some());

        let client = TcpStream::connect(end).unwrap();
        let (server, _) = listener.accept().unwrap();
        let found = about(&mut monitor, end);
        let [accept, connect] = &*found else { panic!("{found:?}") };
        assert_eq!((accept.kind, accept.direction), (NetworkEventKind::Accept, Some(Direction::Inbound)));
        assert_eq!((connect.kind, connect.direction), (NetworkEventKind::Connect, Some(Direction::Outbound)));
        assert_eq!((connect.local, connect.remote), (client.local_addr().ok(), Some(end)));
        assert_eq!((accept.local, accept.remote), (Some(end), client.local_addr().ok()));
        assert_eq!((connect.state.as_str(), connect.result), ("established", Some(0)));
        assert_ne!(accept.connection_id, connect.connection_id);
        assert_eq!(about(&mut monitor, end), []);

        drop(client);
        let found = about(&mut monitor, end);
        let [close] = &*found else { panic!("{found:?}") };
        assert_eq!((close.kind, close.state.as_str()), (NetworkEventKind::Close, "closed"));
        assert_eq!((&close.connection_id, close.pid), (&connect.connection_id, Some(std::process::id())));
        drop(server);
        let found = about(&mut monitor, end);
        assert_eq!(
            found.iter().map(|event| &event.connection_id).collect::<Vec<_>>(),
            [&accept.connection_id]
        );
        assert!(monitor.end() < Duration::from_secs(5));
    }
}

#[test]
fn the_end_of_a_connection_that_was_there_before_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let end = listener.local_addr().unwrap();
    let client = TcpStream::connect(end).unwrap();
    let mut monitor = watching();
    monitor.take();
    let local = client.local_addr().unwrap();
    drop(client);
    let found = about(&mut monitor, end);
    let [close] = &*found else { panic!("{found:?}") };
    assert_eq!(
        (close.kind, close.local, close.direction),
        (NetworkEventKind::Close, Some(local), Some(Direction::Outbound))
    );
}

#[test]
fn connections_of_others_are_left_out() {
    let config =
        MonitorCollectorConfig { collection_interval: Duration::from_secs(3600), ..Default::default() };
    // Nobody has this pid: the greatest there can be is half of it.
    let filter = Filter { pids: vec![1 << 23], ..Filter::default() };
    let source = ProcfsNetworkSource::new("procfs-network", config, filter).unwrap();
    let handle = source.handle();
    let mut monitor = Monitor::of(Box::new(source), handle);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(monitor.look(), []);
}

#[test]
fn all_sources_come_from_one_place_with_their_counters() {
    let monitor = config();
    let mut capture = ProcfsCapture::new(&ProcfsConfig { monitor, ..Default::default() }).unwrap();
    let names: Vec<_> = capture.sources().iter().map(|source| source.name()).collect();
    assert_eq!(names, SOURCE_NAMES);
    let counted: Vec<_> = capture.handle().stats().into_iter().map(|(name, _)| name).collect();
    assert_eq!(counted, SOURCE_NAMES);
    assert!(capture.sources().is_empty());
    let nothing = ProcfsConfig { domains: vec![collector_common::Domain::File], ..Default::default() };
    assert!(ProcfsCapture::new(&nothing).unwrap_err().to_string().contains("neither was asked for"));
}
