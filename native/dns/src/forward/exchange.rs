//! One query to one server. Nobody who does not see it can forge the answer: the id, the port and the case of the name
//! (draft-vixie-dnsext-dns0x20) are random, and only what the server's address sends is heard.

use super::dial::said;
use super::figures::Proto;
use super::random;
use super::response::{Bad, read};
use super::stored::Stored;
use super::upstream::Upstream;
use crate::packet::{self, HEADER_BYTES};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The server did not answer, or nothing that could be used.
#[derive(Debug)]
pub struct Failure {
    /// In CoreDNS's words.
    pub reason: String,
    /// It sent something.
    pub answered: bool,
}

impl Failure {
    fn silent(reason: String) -> Failure {
        Failure { reason, answered: false }
    }

    fn unusable(upstream: &Upstream, bad: Bad) -> Failure {
        let what = if bad == Bad::Truncated { "truncated" } else { "broken" };
        Failure { reason: format!("the answer of {} is {what}", upstream.dial.address), answered: true }
    }
}

/// A query, ready to be sent.
pub struct Ask {
    message: Vec<u8>,
    question_bytes: usize,
}

impl Ask {
    pub fn new(name: &[u8], kind: u16, dnssec_ok: bool, checking_disabled: bool) -> Ask {
        let id = random() as u16;
        let mut message = Vec::with_capacity(HEADER_BYTES + name.len() + 4 + 11);
        message.extend(id.to_be_bytes());
        message.extend([1, u8::from(checking_disabled) << 4, 0, 1, 0, 0, 0, 0, 0, 1]);
        let (mut bits, mut left) = (random(), 32);
        for octet in name {
            if octet.is_ascii_lowercase() {
                if left == 0 {
                    (bits, left) = (random(), 32);
                }
                message.push(octet ^ (((bits >> (left - 1)) & 1) as u8) << 5);
                left -= 1;
            } else {
                message.push(*octet);
            }
        }
        message.extend([kind.to_be_bytes(), packet::IN.to_be_bytes()].concat());
        let question_bytes = message.len() - HEADER_BYTES;
        let [high, low] = crate::reply::UDP_SIZE.to_be_bytes();
        message.extend([0, 0, packet::OPT as u8, high, low, 0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        Ask { message, question_bytes }
    }

    /// Options of EDNS, in wire form: OPT is the last record, and they are its data.
    pub fn tell(&mut self, options: &[u8]) {
        let length = self.message.len();
        self.message[length - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
        self.message.extend(options);
    }

    pub fn recursive(&mut self, desired: bool) {
        self.message[2] = u8::from(desired);
    }

    /// Over UDP; over TCP or TLS if it has to be, or the answer says so.
    pub async fn of(&self, upstream: &Upstream, patience: Duration) -> Result<Stored, Failure> {
        if !upstream.force_tcp
            && let Some(stored) = self.datagram(upstream, patience).await?
        {
            return Ok(stored);
        }
        self.stream(upstream, patience).await
    }

    /// `None`: to be asked over TCP.
    async fn datagram(&self, upstream: &Upstream, patience: Duration) -> Result<Option<Stored>, Failure> {
        let to = upstream.dial.address;
        upstream.figures.cached(Proto::Udp, false);
        let begun = async {
            let socket = bind(upstream).await?;
            // Connected: the kernel drops what comes from elsewhere, and ICMP errors are heard.
            socket.connect(to).await?;
            socket.send(&self.message).await?;
            Ok(socket)
        };
        let socket = begun.await.map_err(|error| Failure::silent(format!("dial udp {to}: {}", said(&error))))?;
        let from = || socket.local_addr().map_or_else(|_| String::new(), |from| from.to_string());
        match timeout(patience, self.hear(&socket)).await {
            Ok(Ok(Ok(stored))) => Ok(stored),
            Ok(Ok(Err(bad))) => Err(Failure::unusable(upstream, bad)),
            Ok(Err(error)) => Err(Failure::silent(format!("read udp {}->{to}: read: {}", from(), said(&error)))),
            Err(_) => Err(Failure::silent(format!("read udp {}->{to}: i/o timeout", from()))),
        }
    }

    async fn hear(&self, socket: &UdpSocket) -> io::Result<Result<Option<Stored>, Bad>> {
        let mut room = vec![0; ROOM_BYTES];
        // A forger's guesses are bounded by what passes in the time there is; waiting goes on, or he would win by guessing.
        for _ in 0..FOREIGN_MAX {
            let length = socket.recv(&mut room).await?;
            match read(&room[..length], &self.message, self.question_bytes) {
                Ok(stored) => return Ok(Ok(Some(stored))),
                Err(Bad::Foreign) => continue,
                Err(Bad::Truncated | Bad::Case) => return Ok(Ok(None)),
                Err(Bad::Broken) => return Ok(Err(Bad::Broken)),
            }
        }
        // So many: somebody is at it. A connection cannot be forged blindly.
        Ok(Ok(None))
    }

    async fn stream(&self, upstream: &Upstream, patience: Duration) -> Result<Stored, Failure> {
        let asking = upstream.pool.ask(&self.message, self.question_bytes, patience);
        let mut answer = asking.await.map_err(Failure::silent)?;
        // Over a connection, case protects nothing: a server that changes it is heard.
        if answer.len() >= HEADER_BYTES + self.question_bytes {
            let theirs = &mut answer[HEADER_BYTES..HEADER_BYTES + self.question_bytes];
            let ours = &self.message[HEADER_BYTES..HEADER_BYTES + self.question_bytes];
            if theirs.eq_ignore_ascii_case(ours) {
                theirs.copy_from_slice(ours);
            }
        }
        read(&answer, &self.message, self.question_bytes).map_err(|bad| Failure::unusable(upstream, bad))
    }
}

/// A socket of its own for each query, at a port that the kernel picks at random, from the range it has for that: another
/// one might be that of a service.
async fn bind(upstream: &Upstream) -> io::Result<UdpSocket> {
    let any = match upstream.dial.address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind(SocketAddr::new(upstream.dial.source.unwrap_or(any), 0)).await
}

/// More than was said to fit: what is longer is cut, and broken.
const ROOM_BYTES: usize = 4096;
const FOREIGN_MAX: usize = 64;
