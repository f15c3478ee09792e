//! Comparing the tables of sockets with those of the look before.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

use collector_core::monitor::MonitorCollectorStats;
use collector_core::{
    Capture, CollectionEvent, Direction, EventMeta, NetworkEvent, NetworkEventKind, Protocol,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::owners::{self, Owner};
use super::table::{Socket, read_table};
use crate::adapt::tcp_state;
use crate::config::Filter;
use crate::identity::snapshot::Procfs;
use crate::identity::{Boot, mix64};
use crate::procfs::poll::Eye;

/// What makes a connection the one it was in the look before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    net_ns: u32,
    inode: u64,
    local: SocketAddr,
    remote: SocketAddr,
}

#[derive(Clone, Debug)]
struct Known {
    socket: Socket,
    owner: Option<Owner>,
    direction: Option<Direction>,
    /// Whether its beginning was told, or was before the first look.
    is_told: bool,
}

/// Looks at TCP sockets.
#[derive(Debug)]
pub(crate) struct NetworkEye {
    pub(crate) procfs: Procfs,
    pub(crate) boot: Boot,
    pub(crate) filter: Filter,
    pub(crate) source: &'static str,
    /// Most sockets known.
    pub(crate) max_sockets: usize,
    pub(crate) stats: Arc<MonitorCollectorStats>,
    known: FxHashMap<Key, Known>,
    /// Whether what is new to us is new: not at first, nor after a look that left sockets out.
    is_complete: bool,
}

/// The tables of one look.
#[derive(Default)]
struct Tables {
    sockets: FxHashMap<Key, Socket>,
    /// Namespaces whose tables could not be read.
    unread: FxHashSet<u32>,
    beyond: usize,
}

impl NetworkEye {
    pub(crate) fn new(
        procfs: Procfs,
        boot: Boot,
        filter: Filter,
        source: &'static str,
        max_sockets: usize,
        stats: Arc<MonitorCollectorStats>,
    ) -> Self {
        let known = FxHashMap::default();
        Self { procfs, boot, filter, source, max_sockets, stats, known, is_complete: false }
    }

    /// The sockets of each network namespace that a process lives in, through one process of each.
    fn read(&self, pids: &[u32]) -> Tables {
        let mut tables = Tables::default();
        let mut read = FxHashSet::default();
        for &pid in pids {
            let net_ns = self.procfs.namespace(pid, "ns/net");
            // 0: not ours to see. Our own namespace is seen through ourselves.
            if net_ns == 0 || !read.insert(net_ns) {
                continue;
            }
            if self.read_namespace(pid, net_ns, &mut tables).is_err() {
                // It may have been this process's end: the next one tries again.
                read.remove(&net_ns);
                tables.unread.insert(net_ns);
            } else {
                tables.unread.remove(&net_ns);
            }
        }
        tables
    }

    fn read_namespace(&self, pid: u32, net_ns: u32, tables: &mut Tables) -> io::Result<()> {
        for name in ["net/tcp", "net/tcp6"] {
            let table = match File::open(self.procfs.path(pid, name)) {
                Ok(table) => table,
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == "net/tcp6" => continue,
                Err(error) => return Err(error),
            };
            let wrong = read_table(table, |socket| {
                let Socket { inode, local, remote, .. } = socket;
                let key = Key { net_ns, inode, local, remote };
                let is_known = self.known.contains_key(&key) || tables.sockets.contains_key(&key);
                if inode == 0 {
                } else if is_known || tables.sockets.len() < self.max_sockets {
                    tables.sockets.insert(key, socket);
                } else {
                    tables.beyond += 1;
                }
                true
            })?;
            MonitorCollectorStats::add(&self.stats.unreadable, wrong);
        }
        Ok(())
    }

    /// Enters those that are new, with their owners.
    fn enter(&mut self, tables: &Tables, pids: &[u32]) {
        let new = || tables.sockets.iter().filter(|(key, _)| !self.known.contains_key(key));
        let inodes: FxHashSet<u64> = new().map(|(key, _)| key.inode).collect();
        if inodes.is_empty() {
            return;
        }
        let (owners, unread) = owners::find(&self.procfs, &self.boot, &self.filter, pids, &inodes);
        MonitorCollectorStats::add(&self.stats.denied, unread);
        let is_filtered = self.filter != Filter::default();
        let new: Vec<(Key, Known)> = new()
            .map(|(key, socket)| {
                let owner = owners.get(&key.inode).cloned();
                let is_wanted = owner.as_ref().map_or(!is_filtered, |owner| owner.is_wanted);
                let is_told = !self.is_complete && (socket.listens() || socket.is_connection()) || !is_wanted;
                (*key, Known { socket: *socket, owner, direction: None, is_told })
            })
            .collect();
        self.known.extend(new);
    }

    fn event(&self, key: &Key, known: &Known, kind: NetworkEventKind, at: SystemTime) -> CollectionEvent {
        let is_end = kind == NetworkEventKind::Close;
        let process = known.owner.as_ref().map(|owner| Arc::clone(&owner.process));
        CollectionEvent::Network(NetworkEvent {
            connection_id: format!("{:016x}", connection_id(key)),
            protocol: Protocol::Tcp.name().to_owned(),
            timestamp: at,
            local: Some(key.local),
            remote: (kind != NetworkEventKind::Listen).then_some(key.remote),
            state: if is_end { "closed".to_owned() } else { tcp_state(u16::from(known.socket.state)) },
            pid: process.as_ref().map(|process| process.pid),
            kind,
            meta: EventMeta { source: self.source, capture: Capture::Procfs, sequence: None },
            process,
            direction: known.direction,
            result: (kind == NetworkEventKind::Connect).then_some(0),
            net_ns: Some(key.net_ns),
            ..NetworkEvent::default()
        })
    }
}

impl Eye for NetworkEye {
    type Found = CollectionEvent;

    fn look(&mut self) -> io::Result<Vec<CollectionEvent>> {
        let at = SystemTime::now();
        let pids = self.procfs.pids()?;
        if pids.is_empty() {
            let path = self.procfs.proc.display();
            return Err(io::Error::other(format!("no processes in {path}; is /proc mounted?")));
        }
        let tables = self.read(&pids);
        // Who listened at either look: a listener may have gone once it had its connection.
        let before = self.known.keys().zip(self.known.values()).map(|(key, known)| (key, &known.socket));
        let listeners = Listeners::of(before.chain(&tables.sockets), self.procfs.ephemeral_ports());
        self.enter(&tables, &pids);
        let mut events = Vec::new();
        let mut known = std::mem::take(&mut self.known);
        known.retain(|key, known| {
            if let Some(socket) = tables.sockets.get(key) {
                known.socket = *socket;
                let kind = listeners.beginning(key, socket);
                if let Some(kind) = kind {
                    known.direction = match kind {
                        NetworkEventKind::Accept => Some(Direction::Inbound),
                        NetworkEventKind::Connect => Some(Direction::Outbound),
                        _ => None,
                    };
                }
                if let Some(kind) = kind.filter(|_| !known.is_told) {
                    known.is_told = true;
                    events.push(self.event(key, known, kind, at));
                }
                return true;
            }
            if tables.unread.contains(&key.net_ns) {
                return true;
            }
            let is_wanted =
                known.owner.as_ref().map_or(self.filter == Filter::default(), |owner| owner.is_wanted);
            if known.is_told && is_wanted && known.socket.is_connection() {
                events.push(self.event(key, known, NetworkEventKind::Close, at));
            }
            false
        });
        self.known = known;
        self.is_complete = tables.beyond == 0;
        MonitorCollectorStats::add(&self.stats.beyond_limit, tables.beyond);
        MonitorCollectorStats::set(&self.stats.not_tracked, tables.beyond);
        MonitorCollectorStats::set(&self.stats.seen, self.known.len());
        Ok(events)
    }
}

/// What tells who began a connection.
struct Listeners {
    listening: FxHashSet<(u32, SocketAddr)>,
    wildcards: FxHashSet<(u32, u16)>,
    ephemeral: RangeInclusive<u16>,
}

impl Listeners {
    fn of<'a>(sockets: impl Iterator<Item = (&'a Key, &'a Socket)>, ephemeral: RangeInclusive<u16>) -> Self {
        let (mut listening, mut wildcards) = (FxHashSet::default(), FxHashSet::default());
        for (key, socket) in sockets.filter(|(_, socket)| socket.listens()) {
            if socket.local.ip().is_unspecified() {
                wildcards.insert((key.net_ns, socket.local.port()));
            } else {
                listening.insert((key.net_ns, socket.local));
            }
        }
        Self { listening, wildcards, ephemeral }
    }

    /// How a socket in this state began. The table does not say; but who listens is connected to, and who connects has one of
    /// the ports that the system gives away.
    fn beginning(&self, key: &Key, socket: &Socket) -> Option<NetworkEventKind> {
        if socket.listens() {
            return Some(NetworkEventKind::Listen);
        }
        if !socket.is_connection() {
            return None;
        }
        let (local, remote) = (socket.local, socket.remote);
        let listens = self.listening.contains(&(key.net_ns, local))
            || self.wildcards.contains(&(key.net_ns, local.port()));
        let is_given = |port: u16| self.ephemeral.contains(&port);
        let is_accepted = listens || (!is_given(local.port()) && is_given(remote.port()));
        Some(if is_accepted { NetworkEventKind::Accept } else { NetworkEventKind::Connect })
    }
}

/// Names a connection from its beginning to its end. Not the name that kernel capture gives it, which knows when it was opened.
fn connection_id(key: &Key) -> u64 {
    let words = |end: SocketAddr| {
        let bytes = match end.ip() {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(ip) => ip.octets(),
        };
        let number = u128::from_be_bytes(bytes);
        [(number >> 64) as u64, number as u64, u64::from(end.port())]
    };
    let head = [u64::from(key.net_ns), key.inode];
    let all = head.into_iter().chain(words(key.local)).chain(words(key.remote));
    all.fold(0_u64, |hash, word| mix64(hash.rotate_left(23) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: u8, local: &str, remote: &str) -> (Key, Socket) {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        (Key { net_ns: 1, inode: 5, local, remote }, Socket { inode: 5, local, remote, state })
    }

    #[track_caller]
    fn check(listener: Option<&str>, local: &str, remote: &str, expected: NetworkEventKind) {
        let listener = listener.map(|local| socket(10, local, "0.0.0.0:0"));
        let listeners = Listeners::of(listener.iter().map(|(key, socket)| (key, socket)), 32_768..=60_999);
        let (key, connection) = socket(1, local, remote);
        assert_eq!(listeners.beginning(&key, &connection), Some(expected));
    }

    #[test]
    fn who_listens_is_connected_to() {
        use NetworkEventKind::{Accept, Connect};
        check(Some("0.0.0.0:80"), "10.0.0.1:80", "10.0.0.2:80", Accept);
        check(Some("[::]:80"), "10.0.0.1:80", "10.0.0.2:40000", Accept);
        check(Some("10.0.0.1:50000"), "10.0.0.1:50000", "10.0.0.2:40000", Accept);
        check(Some("10.0.0.9:50000"), "10.0.0.1:50000", "10.0.0.2:40000", Connect);
        check(None, "10.0.0.1:40000", "10.0.0.2:80", Connect);
        check(None, "10.0.0.1:40000", "10.0.0.2:40000", Connect);
        // The listener has gone already.
        check(None, "10.0.0.1:80", "10.0.0.2:40000", Accept);
    }

    #[test]
    fn what_is_not_connected_yet_has_not_begun() {
        let listeners = Listeners::of(std::iter::empty(), 1..=2);
        let (key, opening) = socket(2, "10.0.0.1:40000", "10.0.0.2:80");
        assert_eq!(listeners.beginning(&key, &opening), None);
    }
}
