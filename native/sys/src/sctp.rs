//! SCTP in the one-to-one style (RFC 6458 4): sockets that are used as those of TCP are, so they are given the types of TCP.

use crate::listener::{Listen, bound};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// A listening socket, non-blocking. What it accepts has messages, of which a reader of bytes sees nothing.
pub fn listen(listen: &Listen, backlog: i32) -> io::Result<TcpListener> {
    let socket = bound(listen, Type::STREAM, Protocol::SCTP, false).map_err(explain)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A non-blocking socket, to be connected to `to`, with one address: `from`, else the one that the route there gives.
/// An association of several addresses tells them all to its peer, and NAT translates none of those.
pub fn client(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::SCTP))
        .map_err(explain)?;
    if to.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let from = from.map_or_else(|| source(to), Ok)?;
    socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    // Else what ICMP says of a refusal counts for nothing, and the first packet is sent again for minutes.
    match to {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(socket.into())
}

fn source(to: SocketAddr) -> io::Result<IpAddr> {
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?; // sends nothing
    Ok(socket.local_addr()?.ip())
}

fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            io::Error::new(io::ErrorKind::Unsupported, "this kernel has no SCTP, or not its module: modprobe sctp")
        }
        _ => error,
    }
}
