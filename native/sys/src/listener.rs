//! Where to listen: `tcp:8080`, `udp:53`, `sctp:3868`, `tcp:10.0.0.1:80`, `udp:[::1]:53`.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// Without an address: every address of both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub transport: Transport,
    pub address: Option<IpAddr>,
    pub port: u16,
    /// The address need not be there (yet).
    pub freely: bool,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let wrong = || format!("{text:?} is not tcp:PORT, udp:PORT, sctp:PORT or tcp:ADDRESS:PORT");
        let (transport, place) = match text.split_once(':') {
            Some(("tcp", place)) => (Transport::Tcp, place),
            Some(("udp", place)) => (Transport::Udp, place),
            Some(("sctp", place)) => (Transport::Sctp, place),
            _ => return Err(wrong()),
        };
        if let Ok(port) = place.parse() {
            return Ok(Listen { transport, address: None, port, freely: false });
        }
        let place: SocketAddr = place.parse().map_err(|_| wrong())?;
        Ok(Listen { transport, address: Some(place.ip()), port: place.port(), freely: false })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        };
        match self.address {
            Some(address) => write!(out, "{name}:{}", SocketAddr::new(address, self.port)),
            None => write!(out, "{name}:{}", self.port),
        }
    }
}

/// A listening TCP socket, non-blocking. `share`: several may listen on one port (SO_REUSEPORT).
pub fn tcp(listen: &Listen, backlog: i32, share: bool) -> io::Result<TcpListener> {
    let socket = bound(listen, Type::STREAM, Protocol::TCP, share)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A listening socket that this process was started with; ask once for each. It is non-blocking, and its children do not get it.
pub fn inherited(fd: RawFd) -> io::Result<TcpListener> {
    let closed = || io::Error::new(io::ErrorKind::NotFound, "is no open file that was inherited");
    if fd <= 2 || fcntl_flags(fd).is_none() {
        return Err(closed());
    }
    // SAFETY: it is open, as was just seen, and stays so while borrowed: nobody else knows of it yet.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    if !SockRef::from(&borrowed).is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "does not listen"));
    }
    // SAFETY: it is open and a listening socket; the caller asks once, so this is its only owner.
    let listener = unsafe { Socket::from_raw_fd(fd) };
    listener.set_nonblocking(true)?;
    listener.set_cloexec(true)?;
    Ok(listener.into())
}

fn fcntl_flags(fd: RawFd) -> Option<i32> {
    // SAFETY: F_GETFD reads a flag of this process's table and touches no memory; a closed fd gives EBADF.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    (flags >= 0).then_some(flags)
}

/// A bound, non-blocking socket: dual-stack unless an address is named or the kernel has no IPv6.
pub(crate) fn bound(listen: &Listen, kind: Type, protocol: Protocol, share: bool) -> io::Result<Socket> {
    let address = SocketAddr::new(listen.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), listen.port);
    let attempt = |address: SocketAddr| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), Some(protocol))?;
        if address.is_ipv6() {
            socket.set_only_v6(listen.address.is_some())?;
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        if share {
            socket.set_reuse_port(true)?;
        }
        match address {
            SocketAddr::V4(_) if listen.freely => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) if listen.freely => socket.set_freebind_v6(true)?,
            _ => {}
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    match attempt(address) {
        Err(error) if listen.address.is_none() && no_ipv6(&error) => {
            attempt(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), listen.port))
        }
        other => other,
    }
}

/// Booted with ipv6.disable=1, or switched off in this namespace by sysctl.
pub fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_are_read_and_written() {
        for text in ["tcp:8080", "udp:53", "sctp:3868", "tcp:10.0.0.1:80", "udp:[::1]:53"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["8080", "tcp:", "tcp:65536", "icmp:1", "tcp:host:1", "tcp:::1:80"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
