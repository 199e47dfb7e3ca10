//! A worker with tables of its own on loopback, and a client that speaks octets.
#![allow(dead_code)] // Each test file uses a part.

pub mod certificates;
pub mod upstream;

use dns::Dns;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use supervisor::{Changes, Kind, Place, Sockets, Worker};

/// For what comes. Nothing waits so long but on a machine at its limit.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub worker: Box<dyn Worker>,
    pub place: Place,
    pub address: SocketAddr,
}

/// Rows as JSON, by key.
pub type Rows<'a> = &'a [(&'a str, &'a str)];

pub fn packed<'a>(table: &str, rows: Rows<'a>) -> Vec<(&'a str, Vec<u8>)> {
    let pack = |(key, row): &(&'a str, &str)| {
        let mut octets = Vec::new();
        Dns.pack(table, key, row, &mut octets).unwrap_or_else(|refusal| panic!("{key}: {refusal:?}"));
        (*key, octets)
    };
    rows.iter().map(pack).collect()
}

pub fn commit(worker: &mut dyn Worker, table: &str, whole: bool, puts: Rows, drops: &[&str]) {
    let packed = packed(table, puts);
    let mut rows: Vec<(&str, Option<&[u8]>)> = packed.iter().map(|(key, octets)| (*key, Some(&octets[..]))).collect();
    rows.extend(drops.iter().map(|key| (*key, None)));
    assert_eq!(worker.commit(Changes::of_rows(table, whole, &rows)).unwrap().refused, []);
}

impl Server {
    /// `steps` is the inside of a JSON array.
    pub fn start(address: &str, steps: &str, names: Rows) -> Server {
        let mut server = Server::unsynced(address, steps);
        server.names(true, names, &[]);
        server
    }

    /// A server that has no names yet. `OWN_PORT` in the steps is the port that it got.
    pub fn unsynced(address: &str, steps: &str) -> Server {
        Server::of("dns", address, steps)
    }

    /// `transport`: `dns` or `tls`.
    pub fn of(transport: &str, address: &str, steps: &str) -> Server {
        let address: SocketAddr = address.parse().unwrap();
        let socket = |kind, protocol, at: SocketAddr| {
            let socket = Socket::new(Domain::for_address(at), kind, Some(protocol)).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&at.into()).unwrap();
            socket
        };
        // The kernel chooses the port of one; that of the other may be taken.
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let tcp = socket(Type::STREAM, Protocol::TCP, address);
                let at = tcp.local_addr().unwrap().as_socket().unwrap();
                tcp.listen(64).unwrap();
                let listen = format!("udp:{at}").parse().unwrap();
                Some((sys::datagram::bind(&listen).ok()?, tcp))
            })
            .unwrap();
        tcp.set_nonblocking(true).unwrap();
        let tcp: TcpListener = tcp.into();
        let address = tcp.local_addr().unwrap();
        let plain = transport == "dns";
        let place = Place { transport: transport.to_string(), address, udp: plain, tcp: true };
        let mut worker = Dns.worker(1).unwrap();
        let steps = steps.replace("OWN_PORT", &address.port().to_string());
        let listen = format!(r#"{{"transport":"{transport}","address":"{}","port":{}}}"#, address.ip(), address.port());
        let row = format!(r#"{{"listen":[{listen}],"zones":["."],"steps":[{steps}]}}"#);
        commit(&mut *worker, "servers", true, &[("0", &row)], &[]);
        worker.listen(
            vec![Sockets { place: place.clone(), udp: if plain { vec![udp] } else { vec![] }, tcp: Some(tcp) }],
            &[],
        );
        Server { worker, place, address }
    }

    pub fn names(&mut self, whole: bool, puts: Rows, drops: &[&str]) {
        commit(&mut *self.worker, "names", whole, puts, drops);
    }

    pub fn udp(&self, packet: &[u8]) -> Vec<u8> {
        self.try_udp(packet, PATIENCE).expect("an answer")
    }

    pub fn try_udp(&self, packet: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let client = self.client();
        client.set_read_timeout(Some(patience)).unwrap();
        client.send(packet).unwrap();
        let mut room = vec![0; 65535];
        let length = client.recv(&mut room).ok()?;
        room.truncate(length);
        Some(room)
    }

    pub fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind(if self.address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
        client.connect(self.address).unwrap();
        client
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn tcp(&self, packet: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(&framed(packet)).unwrap();
        read(&mut stream)
    }

    /// Over UDP without EDNS, as people would write it.
    pub fn ask(&self, name: &str, kind: u16) -> Shown {
        Shown::of(&self.udp(&query(name, kind, None)))
    }
}

pub fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}

pub fn read(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// With id 0x1234 and RD; `edns`: UDP size.
pub fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([kind.to_be_bytes(), [0, 1]].concat());
    if let Some(size) = edns {
        packet.extend([&[0, 0, 41][..], &size.to_be_bytes(), &[0; 6]].concat());
    }
    packet
}

/// An answer in words: `NAME TTL TYPE DATA` a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub code: u16,
    /// `aa tc rd ra ad cd`, those that are set.
    pub flags: String,
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
}

impl Shown {
    pub fn of(packet: &[u8]) -> Shown {
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!((number(4), packet[2] & 0xf8), (1, 0x80), "one question, QR, QUERY");
        let mut at = 12;
        name_at(packet, &mut at);
        at += 4;
        let mut code = number(2) & 0xf;
        let mut sections = [6, 8, 10].map(|count| {
            let records = (0..number(count)).map(|_| record(packet, &mut at, &mut code));
            records.flatten().collect::<Vec<_>>()
        });
        assert_eq!(at, packet.len(), "nothing is left over");
        let bits = [(10, "aa"), (9, "tc"), (8, "rd"), (7, "ra"), (5, "ad"), (4, "cd")];
        let flags: Vec<&str> =
            bits.iter().filter(|(bit, _)| number(2) >> bit & 1 == 1).map(|(_, name)| *name).collect();
        let [answer, authority, additional] = sections.each_mut().map(std::mem::take);
        Shown { code, flags: flags.join(" "), answer, authority, additional }
    }
}

fn record(packet: &[u8], at: &mut usize, code: &mut u16) -> Option<String> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let owner = name_at(packet, at);
    let (kind, ttl) = (number(*at), u32::from(number(*at + 4)) << 16 | u32::from(number(*at + 6)));
    let (start, end) = (*at + 10, *at + 10 + usize::from(number(*at + 8)));
    *at = end;
    let data = &packet[start..end];
    let name = |skip: usize| name_at(packet, &mut (start + skip));
    let shown = match kind {
        1 => format!("A {}", data.iter().map(u8::to_string).collect::<Vec<_>>().join(".")),
        28 => format!("AAAA {}", std::net::Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap())),
        2 => format!("NS {}", name(0)),
        5 => format!("CNAME {}", name(0)),
        12 => format!("PTR {}", name(0)),
        33 => format!("SRV {} {} {} {}", number(start), number(start + 2), number(start + 4), name(6)),
        6 => {
            let mut at = start;
            let (primary, mailbox) = (name_at(packet, &mut at), name_at(packet, &mut at));
            let numbers = (0..5).map(|n| u32::from_be_bytes(packet[at + 4 * n..][..4].try_into().unwrap()));
            let numbers: Vec<String> = numbers.skip(1).map(|number| number.to_string()).collect();
            format!("SOA {primary} {mailbox} SERIAL {}", numbers.join(" "))
        }
        16 => format!("TXT {:?}", String::from_utf8_lossy(data.get(1..).unwrap_or_default())),
        41 => {
            *code |= ((ttl >> 24) as u16) << 4;
            return Some(format!(
                "OPT {} version {} flags {:x} data {}",
                number(start - 8),
                ttl >> 16 & 0xff,
                ttl & 0xffff,
                data.len()
            ));
        }
        other => format!("TYPE{other} {data:?}"),
    };
    Some(format!("{owner} {ttl} {shown}"))
}

fn name_at(packet: &[u8], at: &mut usize) -> String {
    let (mut text, mut here, mut jumped) = (String::new(), *at, false);
    loop {
        let length = usize::from(packet[here]);
        if length & 0xc0 == 0xc0 {
            let to = (length & 0x3f) << 8 | usize::from(packet[here + 1]);
            assert!(to < here, "pointers lead backwards");
            if !jumped {
                *at = here + 2;
            }
            (here, jumped) = (to, true);
            continue;
        }
        here += 1 + length;
        if length == 0 {
            break;
        }
        text += &format!("{}.", String::from_utf8_lossy(&packet[here - length..here]));
    }
    if !jumped {
        *at = here;
    }
    if text.is_empty() { ".".to_string() } else { text }
}
