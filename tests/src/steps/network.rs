//! Steps of sockets. Addresses are `127.0.0.1:PORT` or `[::1]:PORT`; `@NAME` is the local address of an open socket.
//!
//! | step | does |
//! |---|---|
//! | `listen NAME ADDRESS BACKLOG` | listens, and says `NAME` and its address |
//! | `bind NAME ADDRESS` | binds a TCP socket and leaves it at that; says `NAME` and its address |
//! | `connect NAME ADDRESS` | connects, and says `NAME` and its local address |
//! | `connect-from NAME FROM ADDRESS` | the same from a port that may be in use already |
//! | `connect-mapped NAME ADDRESS` | the same from an IPv6 socket to an IPv4 address |
//! | `begin NAME ADDRESS` | connects without waiting for the result |
//! | `result NAME` | waits for the result of `begin`, and says `result` |
//! | `accept NAME LISTENER` | accepts |
//! | `send NAME N`, `receive NAME N` | exactly so many bytes |
//! | `udp NAME ADDRESS` | binds a UDP socket; says `NAME` and its address |
//! | `sendto NAME ADDRESS N` | one datagram |
//! | `aim NAME ADDRESS` | sets where the datagrams of `send` go |

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, IntoRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept, bind, connect, getsockname, listen,
    recv, sendto, socket_with, sockopt,
};

use super::{Stage, number, say};

pub(super) fn step(stage: &mut Stage, words: &[&str]) -> Option<io::Result<()>> {
    Some(match *words {
        ["listen", name, at, backlog] => {
            server(stage, name, at, |socket| Ok(listen(socket, number(backlog))?))
        }
        ["bind", name, at] => server(stage, name, at, |_| Ok(())),
        ["connect", name, to] => {
            let to = address(stage, to);
            client(stage, name, to, SocketFlags::CLOEXEC).map(|()| say(name, local(borrow(stage, name))))
        }
        ["connect-from", name, from, to] => {
            let (from, to) = (address(stage, from), address(stage, to));
            connect_from(from, to).map(|socket| {
                stage.opened(name, socket.into_raw_fd());
                say(name, local(borrow(stage, name)));
            })
        }
        ["connect-mapped", name, to] => {
            let to = mapped(address(stage, to));
            client(stage, name, to, SocketFlags::CLOEXEC).map(|()| say(name, local(borrow(stage, name))))
        }
        ["begin", name, to] => {
            let to = address(stage, to);
            client(stage, name, to, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        }
        ["result", name] => result(borrow(stage, name)),
        ["accept", name, listener] => accept(borrow(stage, listener)).map_err(Into::into).map(|socket| {
            stage.opened(name, socket.into_raw_fd());
        }),
        ["send", name, bytes] => send(borrow(stage, name), number(bytes)),
        ["receive", name, bytes] => receive(borrow(stage, name), number(bytes)),
        ["udp", name, at] => udp(stage, name, at),
        ["sendto", name, to, bytes] => {
            let data = vec![b'x'; number(bytes)];
            let sent = sendto(borrow(stage, name), &data, SendFlags::empty(), &address(stage, to));
            sent.map_err(Into::into).map(drop)
        }
        ["aim", name, to] => connect(borrow(stage, name), &address(stage, to)).map_err(Into::into),
        _ => return None,
    })
}

fn borrow(stage: &Stage, name: &str) -> BorrowedFd<'static> {
    // SAFETY: descriptors stay open until a step closes them.
    unsafe { BorrowedFd::borrow_raw(stage.fd(name)) }
}

fn address(stage: &Stage, word: &str) -> SocketAddr {
    match word.strip_prefix('@') {
        Some(name) => local(borrow(stage, name)),
        None => word.parse().expect("an address"),
    }
}

fn local(socket: BorrowedFd<'_>) -> SocketAddr {
    let name = getsockname(socket).expect("it is a socket");
    name.try_into().expect("it has an internet address")
}

fn socket(at: SocketAddr, kind: SocketType, flags: SocketFlags) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, kind, flags, None)?)
}

fn server(
    stage: &mut Stage,
    name: &str,
    at: &str,
    further: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<()> {
    let at = address(stage, at);
    let socket = socket(at, SocketType::STREAM, SocketFlags::CLOEXEC)?;
    bind(&socket, &at)?;
    further(&socket)?;
    stage.opened(name, socket.into_raw_fd());
    say(name, local(borrow(stage, name)));
    Ok(())
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        SocketAddr::V6(_) => address,
    }
}

fn client(stage: &mut Stage, name: &str, to: SocketAddr, flags: SocketFlags) -> io::Result<()> {
    let socket = socket(to, SocketType::STREAM, flags)?;
    match connect(&socket, &to) {
        Err(Errno::INPROGRESS) if flags.contains(SocketFlags::NONBLOCK) => {}
        result => result?,
    }
    stage.opened(name, socket.into_raw_fd());
    Ok(())
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(to, SocketType::STREAM, SocketFlags::CLOEXEC)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &from)?;
    connect(&socket, &to)?;
    Ok(socket)
}

fn result(socket: BorrowedFd<'_>) -> io::Result<()> {
    poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], None)?;
    let result = sockopt::socket_error(socket)?;
    say("result", result.err().map_or(0, Errno::raw_os_error));
    Ok(())
}

fn udp(stage: &mut Stage, name: &str, at: &str) -> io::Result<()> {
    let at = address(stage, at);
    let socket = socket(at, SocketType::DGRAM, SocketFlags::CLOEXEC)?;
    bind(&socket, &at)?;
    stage.opened(name, socket.into_raw_fd());
    say(name, local(borrow(stage, name)));
    Ok(())
}

fn send(socket: BorrowedFd<'_>, mut count: usize) -> io::Result<()> {
    let data = vec![b'x'; count];
    while count > 0 {
        count -= rustix::net::send(socket, &data[..count], SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, mut count: usize) -> io::Result<()> {
    let mut data = vec![0_u8; count];
    while count > 0 {
        let (received, _) = recv(socket, &mut data[..count], RecvFlags::empty())?;
        assert!(received > 0, "the peer closed with {count} bytes to come");
        count -= received;
    }
    Ok(())
}
