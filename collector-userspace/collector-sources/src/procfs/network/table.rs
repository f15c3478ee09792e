//! The tables of TCP sockets, `/proc/PID/net/tcp` and `tcp6`.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest line that is read whole; the kernel's have some 150 bytes.
const LINE_MAX: u64 = 1024;

/// Sockets that listen.
const LISTEN: u8 = 10;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    /// Of the socket, unique on this host while it exists; 0: no process has it open any more.
    pub(super) inode: u64,
    pub(super) local: SocketAddr,
    /// Unspecified, with port 0, for one that is not connected.
    pub(super) remote: SocketAddr,
    /// The kernel's number.
    pub(super) state: u8,
}

impl Socket {
    pub(super) const fn listens(&self) -> bool {
        self.state == LISTEN
    }

    /// Whether it is or was connected: the handshake is over.
    pub(super) const fn is_connection(&self) -> bool {
        // Established, or on the way from there to its end.
        matches!(self.state, 1 | 4 | 5 | 8 | 9 | 11)
    }

    /// Reads a line; `None` if it is none, as the heading is not.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut fields = line.split_ascii_whitespace();
        let (local, remote) = (address(fields.nth(1)?)?, address(fields.next()?)?);
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        // Queues, timer, retransmissions, user, timeout.
        let inode = fields.nth(5)?.parse().ok()?;
        Some(Self { inode, local, remote, state })
    }
}

/// An address as the kernel prints it: words of 32 bits as numbers of this machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !ip.is_ascii() {
        return None;
    }
    let word = |index: usize| -> Option<[u8; 4]> {
        let digits = ip.get(index * 8..index * 8 + 8)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index)?);
            }
            // As everywhere: IPv4 through an IPv6 socket is shown as the IPv4 it is.
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Reads a table. Gives each socket to `each` until that says no; says how many lines were none, the heading aside.
///
/// # Errors
/// When the table cannot be read to its end.
pub(super) fn read_table(table: impl Read, mut each: impl FnMut(Socket) -> bool) -> io::Result<usize> {
    let mut table = BufReader::with_capacity(64 << 10, table);
    let (mut line, mut wrong, mut is_heading) = (Vec::new(), 0, true);
    loop {
        line.clear();
        if table.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(wrong);
        }
        match Socket::parse(&line) {
            Some(socket) if !each(socket) => return Ok(wrong),
            Some(_) => {}
            None => wrong += usize::from(!is_heading),
        }
        is_heading = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    /// Lines of a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_both_tables_are_understood() {
        let table = format!(
            "{HEADING}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 22222 1 0000000000000000 100 0 0 10 0\n\
             \x20  1: 00000000000000000000000001000000:CB24 0000000000000000FFFF00000100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 7 1\n"
        );
        let mut sockets = Vec::new();
        let wrong = read_table(table.as_bytes(), |socket| {
            sockets.push(socket);
            true
        });
        assert_eq!(wrong.unwrap(), 0);
        let [listener, connection] = *sockets else { panic!("{sockets:?}") };
        assert!(listener.listens() && !listener.is_connection());
        assert_eq!((listener.local.to_string().as_str(), listener.inode), ("127.0.0.1:8080", 22222));
        assert!(connection.is_connection());
        assert_eq!(connection.local.to_string(), "[::1]:52004");
        assert_eq!((connection.remote.to_string().as_str(), connection.inode), ("127.0.0.1:22", 7));
    }

    #[test]
    fn what_is_no_line_is_counted_and_harms_no_other() {
        let good = "0: 00000000:0001 00000000:0002 01 0:0 0:0 0 0 0 5 1";
        let long = "x".repeat(3000);
        let table = format!(
            "{HEADING}nonsense\n{good}\n0: zz:1 00000000:0002 01 0:0 0:0 0 0 0 5\n{long}\n{good}\n\u{20ac}\n"
        );
        let mut count = 0;
        let wrong = read_table(table.as_bytes(), |_| {
            count += 1;
            true
        });
        // The long line is three pieces of the length that is read at most.
        assert_eq!((count, wrong.unwrap()), (2, 6));
    }

    #[test]
    fn reading_ends_when_it_is_enough() {
        let table = "0: 00000000:0001 00000000:0002 01 0:0 0:0 0 0 0 5 1\n".repeat(5);
        let mut count = 0;
        read_table(table.as_bytes(), |_| {
            count += 1;
            count < 2
        })
        .unwrap();
        assert_eq!(count, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_give_a_socket_or_none(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Socket::parse(&line);
        }

        #[test]
        fn lines_with_something_wrong_in_them_do_not_panic(at in 0..100_usize, byte: u8) {
            let mut line = b"0: 0100007F:1F90 00000000000000000000000001000000:CB24 0A 0:0 0:0 0 1000 0 22222 1".to_vec();
            if let Some(place) = line.get_mut(at) {
                *place = byte;
            }
            let _ = Socket::parse(&line);
        }
    }
}
