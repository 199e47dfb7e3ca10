//! Who asks.

use crate::reply::Transport;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Who asks, and when it came.
#[derive(Clone, Copy)]
pub struct Asker {
    pub peer: SocketAddr,
    pub transport: Transport,
    pub came: Instant,
    /// Of the thread that serves.
    pub lane: usize,
    /// Grows with each query of a thread.
    pub turn: usize,
}

impl Asker {
    /// The client's address; that of an IPv4 client of an IPv6 socket is IPv4.
    pub fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }
}
