//! One blocking exchange, for `connect`: threads that block cost fewer system calls than an event loop.

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub struct Exchange {
    /// What is sent and expected back; None: connect only.
    pub byte: Option<[u8; 1]>,
    pub timeout: Duration,
}

impl Exchange {
    /// Connects and perhaps exchanges a byte. The socket closes with RST when it is dropped.
    pub fn tcp(&self, to: SocketAddr, from: Option<SocketAddr>) -> io::Result<(Socket, Duration)> {
        let start = Instant::now();
        let mut socket = Socket::new(Domain::for_address(to), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        prepare(&socket, from)?;
        socket.set_write_timeout(Some(self.timeout))?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.connect(&to.into())?;
        if let Some(byte) = self.byte {
            socket.set_read_timeout(Some(self.timeout))?;
            socket.write_all(&byte)?;
            socket.read_exact(&mut [0])?;
        }
        Ok((socket, start.elapsed()))
    }

    /// Sends a datagram and waits for its answer.
    pub fn udp(&self, socket: &Socket, number: u64) -> io::Result<Duration> {
        let start = Instant::now();
        socket.set_read_timeout(Some(self.timeout))?;
        let text = payload(number);
        socket.send(text.as_bytes())?;
        let mut socket = socket;
        let mut buffer = [0; 2048];
        loop {
            let length = socket.read(&mut buffer)?;
            // An answer to an earlier datagram, late, is not this one's.
            if answers(&buffer[..length], &text) {
                return Ok(start.elapsed());
            }
        }
    }
}

/// A UDP socket connected to where its datagrams go.
pub fn udp_socket(to: SocketAddr, from: Option<SocketAddr>, source_port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = SocketAddr::new(from.map_or(any, |from| from.ip()), source_port);
    if source_port != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&from.into())?;
    socket.connect(&to.into())?;
    Ok(socket)
}

pub fn payload(number: u64) -> String {
    format!("load-{number}")
}

/// A byte server gives the payload back; `fairlead-carrier echo` puts its name before it.
pub fn answers(answer: &[u8], payload: &str) -> bool {
    answer.strip_suffix(payload.as_bytes()).is_some_and(|before| before.is_empty() || before.ends_with(b" "))
}

/// Source address without a port yet: the kernel then picks one at connect, and may use it for each destination.
fn prepare(socket: &Socket, from: Option<SocketAddr>) -> io::Result<()> {
    if let Some(from) = from {
        setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&from.into())?;
    }
    Ok(())
}

/// The byte of a connection that ends after it.
pub const ENDS: [u8; 1] = *b"c";
/// The byte of a connection that stays: `serve` gives it to its event loop instead of a thread.
pub const STAYS: [u8; 1] = *b"h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_others() {
        assert!(answers(b"load-7", "load-7"));
        assert!(answers(b"web-1 n1 10.0.0.1:4: load-7", "load-7"));
        assert!(!answers(b"load-17", "load-7"));
        assert!(!answers(b"xload-7", "load-7"));
        assert!(!answers(b"load-70", "load-7"));
    }
}
