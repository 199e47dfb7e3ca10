//! Whatever octets come, the server answers or does not, and goes on: random ones, and queries that were bent. A bounded
//! share of what native/fuzz does without a bound.

mod common;

use common::{PATIENCE, Server, Shown, query};
use dns::packet;
use std::path::Path;
use std::time::{Duration, Instant};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

/// Messages kept for the fuzzer.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.collect()
}

fn bent(random: &mut Random) -> Vec<u8> {
    let names = ["a.cluster.local.", "", "1-2-3-4.x.cluster.local.", "A.b.C.d.e.f.g.h.i.j.", "_tcp.a.cluster.local."];
    let kinds = [1, 5, 6, 28, 33, 41, 252, 255, 65535];
    let (name, kind) = (names[random.below(names.len())], kinds[random.below(kinds.len())]);
    let mut packet = query(name, kind, [None, Some(0), Some(1232), Some(65535)][random.below(4)]);
    bend(random, &mut packet);
    packet
}

fn bend(random: &mut Random, packet: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        match random.below(4) {
            0 => packet.truncate(random.below(packet.len() + 1)),
            1 => packet.extend((0..random.below(30)).map(|_| random.below(256) as u8).collect::<Vec<_>>()),
            _ if packet.is_empty() => {}
            2 => {
                let at = random.below(packet.len());
                packet[at] = [0, 1, 0x3f, 0x40, 0xc0, 0xff, random.below(256) as u8][random.below(7)];
            }
            _ => {
                let (at, octet) = (random.below(packet.len()), random.below(256) as u8);
                packet.insert(at, octet);
            }
        }
    }
}

#[test]
fn the_parser_takes_anything() {
    let mut random = Random(0x9e3779b97f4a7c15);
    for _ in 0..60_000 {
        let packet = bent(&mut random);
        if let Ok(query) = packet::parse(&packet) {
            assert!(query.question.len() >= 5 && query.question.len() <= 259);
            assert_eq!(query.name.wire().len() + 4, query.question.len());
            assert!(query.name.wire().iter().all(|octet| !octet.is_ascii_uppercase()));
        }
    }
}

#[test]
fn what_upstreams_say_is_kept_or_not() {
    let (messages, mut random, mut kept) = (corpus("upstream"), Random(7), 0);
    for number in 0..60_000 {
        let mut message = messages[number % messages.len()].clone();
        bend(&mut random, &mut message);
        if let Some(answer) = dns::forged(&message) {
            assert_eq!(&answer[12..23], b"\x01a\x03org\0\0\x01\0\x01");
            Shown::of(&answer);
            kept += 1;
        }
    }
    assert!(kept > 2_000, "{kept}");
    for message in &corpus("query") {
        let _ = packet::parse(message);
    }
}

#[test]
fn the_server_goes_on() {
    let kubernetes = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
        "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
    let row = r#"{"set":"k0","name":"a.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"}]}"#;
    let server = Server::start("127.0.0.1:0", kubernetes, &[("k0 a.cluster.local.", row)]);
    let client = server.client();
    client.set_nonblocking(true).unwrap();
    let (mut random, mut room, mut answers) = (Random(42), [0; 4096], 0);
    for _ in 0..20_000 {
        let _ = client.send(&bent(&mut random));
        while let Ok(length) = client.recv(&mut room) {
            assert!((12..=1232).contains(&length) && room[2] & 0x80 != 0);
            answers += 1;
        }
    }
    // Some of it is answered, as soon as the server has its turn.
    client.set_nonblocking(false).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while answers == 0 {
        assert!(Instant::now() < deadline);
        let _ = client.send(&bent(&mut random));
        answers += usize::from(client.recv(&mut room).is_ok());
    }
    // The flood filled the socket's buffer: a query may still be lost in it.
    let asked = query("a.cluster.local.", 1, None);
    let answer = (0..60).find_map(|_| server.try_udp(&asked, Duration::from_secs(1))).expect("an answer");
    assert_eq!(Shown::of(&answer).answer, ["a.cluster.local. 30 A 10.0.0.1"]);
}
