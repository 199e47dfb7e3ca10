//! Upstreams that do as a test says.

use super::{framed, query};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub const CACHE: &str = r#"{"plugin":"cache","zones":["."],"success":{"capacity":9984,"maxTtl":3600,"minTtl":5,"except":[]},
    "denial":{"capacity":9984,"maxTtl":1800,"minTtl":5,"except":[]},"prefetch":null,"serveStale":null,"servfailMs":5000,"keepTtl":false}"#;

/// A scripted upstream on UDP and TCP of one port: from the query and how many came before to messages to send.
pub struct Upstream {
    pub address: SocketAddr,
    pub datagrams: Arc<AtomicUsize>,
    pub streams: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Upstream {
    pub fn start(
        datagram: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static,
        stream: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Upstream {
        Upstream::listen(datagram, move |mut connection, _| {
            // One query, and the end.
            let _ = next(&mut connection).map(|packet| connection.write_all(&framed(&stream(&packet))));
        })
    }

    /// Over connections only: each, and how many came before, has a thread of its own. Datagrams are told so.
    pub fn connections(stream: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Upstream {
        Upstream::listen(|packet, _| vec![answer(packet, 0x8380, [0, 0], b"")], stream)
    }

    fn listen(
        datagram: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static,
        stream: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Upstream {
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
                Some((UdpSocket::bind(tcp.local_addr().unwrap()).ok()?, tcp))
            })
            .unwrap();
        let address = udp.local_addr().unwrap();
        let (datagrams, streams) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, list) = (datagrams.clone(), seen.clone());
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut room) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                list.lock().unwrap().push(room[..length].to_vec());
                datagram(&room[..length], number).iter().for_each(|answer| drop(udp.send_to(answer, from)));
            }
        });
        let (count, stream) = (streams.clone(), Arc::new(stream));
        std::thread::spawn(move || {
            while let Ok((connection, _)) = tcp.accept() {
                let (number, stream) = (count.fetch_add(1, Ordering::SeqCst), stream.clone());
                std::thread::spawn(move || stream(connection, number));
            }
        });
        Upstream { address, datagrams, streams, seen }
    }

    pub fn plain(datagram: impl Fn(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static) -> Upstream {
        Upstream::start(datagram, |packet| address(packet, 99))
    }

    pub fn asked(&self) -> usize {
        self.datagrams.load(Ordering::SeqCst)
    }

    /// How many datagrams asked for this name and type: more than one, too, where an answer took longer than 600 ms.
    pub fn asked_for(&self, name: &str, kind: u16) -> usize {
        let wanted = &query(name, kind, None)[12..];
        let is =
            |packet: &&Vec<u8>| packet[12..].get(..wanted.len()).is_some_and(|own| own.eq_ignore_ascii_case(wanted));
        self.seen.lock().unwrap().iter().filter(is).count()
    }
}

/// The next query of a connection; `None`: it has ended.
pub fn next(connection: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    connection.read_exact(&mut length).ok()?;
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    connection.read_exact(&mut packet).ok()?;
    Some(packet)
}

/// An answer with a header of these flags, the question, and records.
pub fn answer(packet: &[u8], flags: u16, counts: [u8; 2], records: &[u8]) -> Vec<u8> {
    let end = packet[12..].iter().position(|octet| *octet == 0).unwrap() + 17;
    let [high, low] = flags.to_be_bytes();
    let head = [packet[0], packet[1], high, low, 0, 1, 0, counts[0], 0, counts[1], 0, 0];
    [&head[..], &packet[12..end], records].concat()
}

pub fn address(packet: &[u8], last: u8) -> Vec<u8> {
    answer(packet, 0x8180, [1, 0], &[&b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\x09\x08"[..], &[last]].concat())
}

pub fn code(packet: &[u8], code: u16) -> Vec<u8> {
    answer(packet, 0x8180 | code, [0, 0], b"")
}

pub fn forward(upstreams: &[&Upstream], extra: &str) -> String {
    let each = upstreams.iter().map(|upstream| {
        let address = upstream.address;
        format!(r#"{{"transport":"dns","address":"{}","port":{}}}"#, address.ip(), address.port())
    });
    let upstreams = each.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"plugin":"forward","from":".","except":[],"upstreams":[{upstreams}],"policy":"sequential","forceTcp":false,
        "preferUdp":false,"expireMs":10000,"readTimeoutMs":2000,"maxFails":2,"next":[],"nextOnNodata":false,"failover":[],"failFast":false,
        "healthCheck":{{"intervalMs":500,"recursionDesired":true,"domain":"."}},"tls":{{}}{extra}}}"#
    )
}
