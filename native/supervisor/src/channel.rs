//! A channel to another process of ours, waited for without blocking: messages as JSON, with open files.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use sys::channel::{Incoming, Outgoing};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

pub struct Channel {
    /// Of sequenced packets, to tell the truth; it is only waited for.
    socket: UnixDatagram,
    incoming: Incoming,
}

impl Channel {
    pub fn new(end: OwnedFd) -> io::Result<Channel> {
        let socket = std::os::unix::net::UnixDatagram::from(end);
        socket.set_nonblocking(true)?;
        Ok(Channel { socket: UnixDatagram::from_std(socket)?, incoming: Incoming::default() })
    }

    pub async fn send(&self, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut outgoing = Outgoing::new(&text, files);
        loop {
            self.socket.writable().await?;
            match self.socket.try_io(Interest::WRITABLE, || outgoing.send(&self.socket)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    }

    /// `UnexpectedEof`: the other end is gone. Loses nothing when it is dropped.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<OwnedFd>)> {
        loop {
            self.socket.readable().await?;
            match self.socket.try_io(Interest::READABLE, || self.incoming.receive(&self.socket)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                message => {
                    let (octets, files) = message?.ok_or(ErrorKind::UnexpectedEof)?;
                    return Ok((serde_json::from_slice(&octets)?, files));
                }
            }
        }
    }
}
