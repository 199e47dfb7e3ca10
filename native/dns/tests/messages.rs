//! What a message may look like, and what it gets: the EDNS compliance list, wire traps, both transports.

mod common;

use common::{PATIENCE, Server, Shown, framed, query, read};
use std::io::{Read, Write};

const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
const SOA: u16 = 6;
const A: u16 = 1;
const OPT: &str = "OPT 1232 version 0 flags 0 data 0";

fn server() -> Server {
    let addresses = |count: u32| {
        let each = (0..count).map(|n| format!(r#"{{"type":"A","ip":"10.0.{}.{}"}}"#, n / 256, n % 256));
        each.collect::<Vec<_>>().join(",")
    };
    let row = |name: &str, count| {
        let text = format!(r#"{{"set":"k0","name":"{name}.cluster.local.","records":[{}]}}"#, addresses(count));
        (format!("k0 {name}.cluster.local."), text)
    };
    let rows = [row("one", 1), row("many", 100), row("most", 5000)];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(key, row)| (&key[..], &row[..])).collect();
    let steps = format!(r#"{KUBERNETES},{{"plugin":"prometheus","listen":{{"port":9153}}}}"#);
    Server::start("127.0.0.1:0", &steps, &rows)
}

/// A query for the SOA with flags and the whole OPT record given.
fn edns(flags: u16, opt: &[u8]) -> Vec<u8> {
    let mut packet = query("cluster.local.", SOA, None);
    packet[2..4].copy_from_slice(&flags.to_be_bytes());
    packet[11] = u8::from(!opt.is_empty());
    packet.extend(opt);
    packet
}

#[test]
fn edns_compliance() {
    let server = server();
    let ask = |packet: &[u8]| Shown::of(&server.udp(packet));
    let plain = ask(&edns(0, b""));
    assert_eq!((plain.code, plain.answer.len(), plain.additional.len()), (0, 1, 0), "+noedns");
    assert_eq!(plain.flags, "aa");
    let cases: [(&str, u16, &[u8], &str); 7] = [
        ("+edns=0", 0, b"\0\0\x29\x10\0\0\0\0\0\0\0", "aa"),
        ("+ednsopt=100", 0, b"\0\0\x29\x10\0\0\0\0\0\0\x08\0\x64\0\x04abcd", "aa"),
        ("cookie", 0, b"\0\0\x29\x10\0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh", "aa"),
        ("+ednsflags=0x80", 0, b"\0\0\x29\x10\0\0\0\0\x80\0\0", "aa"),
        ("+cd", 0x10, b"\0\0\x29\x10\0\0\0\0\0\0\0", "aa cd"),
        ("+ad", 0x20, b"\0\0\x29\x10\0\0\0\0\0\0\0", "aa"),
        ("+rec +zflag", 0x140, b"\0\0\x29\x10\0\0\0\0\0\0\0", "aa rd"),
    ];
    for (what, flags, opt, shown) in cases {
        let answer = ask(&edns(flags, opt));
        assert_eq!((answer.code, answer.answer.len(), &answer.flags[..]), (0, 1, shown), "{what}");
        assert_eq!(answer.additional, [OPT], "{what}");
    }
    let secure = ask(&edns(0, b"\0\0\x29\x02\0\0\0\x80\0\0\0"));
    assert_eq!(secure.additional, ["OPT 1232 version 0 flags 8000 data 0"], "+dnssec");
    let packet = server.udp(&edns(0, b"\0\0\x29\x10\0\0\x64\0\0\0\0"));
    assert_eq!(
        (packet[3] & 0xf, packet[17], packet[18], &packet[4..12]),
        (0, 1, 0, &[0, 0, 0, 0, 0, 0, 0, 1][..]),
        "+edns=100: BADVERS, version 0"
    );
    let header = server.udp(b"\x12\x34\x78\0\0\0\0\0\0\0\0\0");
    assert_eq!(header, b"\x12\x34\xf8\x04\0\0\0\0\0\0\0\0", "+opcode=15 +header-only");
    let two =
        ask_code(&server, &[&edns(0, b"\0\0\x29\x10\0\0\0\0\0\0\0")[..], b"\0\0\x29\x10\0\0\0\0\0\0\0"].concat(), 2);
    assert_eq!(two, 1, "two OPTs");
}

/// The response code, with this ARCOUNT.
fn ask_code(server: &Server, packet: &[u8], additional: u8) -> u8 {
    let mut packet = packet.to_vec();
    packet[11] = additional;
    server.udp(&packet)[3] & 0xf
}

#[test]
fn what_is_no_query_gets_no_answer() {
    let server = server();
    let mut response = query("one.cluster.local.", A, None);
    response[2] |= 0x80;
    let client = server.client();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for silent in [&response[..], b"", b"\x12\x34\x01\0\0\x01\0\0\0\0\0", &[0xff; 2049]] {
        client.send(silent).unwrap();
    }
    client.send(b"\x77\x77\x01\0\0\x01\0\0\0\0\0\0").unwrap();
    let mut room = [0; 512];
    let length = client.recv(&mut room).unwrap();
    assert_eq!(&room[..length], b"\x77\x77\x81\x01\0\0\0\0\0\0\0\0", "the first answer is that of the last: FORMERR");
}

#[test]
fn the_question_comes_back_as_it_was() {
    let server = server();
    let packet = query("oNe.CLUSTER.lOcAl.", A, None);
    let answer = server.udp(&packet);
    assert_eq!(answer[12..packet.len()], packet[12..]);
    assert_eq!(Shown::of(&answer).answer, ["oNe.CLUSTER.lOcAl. 30 A 10.0.0.0"]);
}

#[test]
fn what_does_not_fit_is_truncated_whole() {
    let server = server();
    for (edns, limit) in [(None, 512), (Some(100), 512), (Some(512), 512), (Some(1232), 1232), (Some(65535), 1232)] {
        let answer = server.udp(&query("many.cluster.local.", A, edns));
        let shown = Shown::of(&answer);
        assert!(answer.len() <= limit && shown.flags == "aa tc rd" && shown.answer.is_empty(), "{shown:?}");
        assert_eq!(shown.additional.len(), usize::from(edns.is_some()));
    }
    let shown = Shown::of(&server.tcp(&query("many.cluster.local.", A, None)));
    assert_eq!((&shown.flags[..], shown.answer.len()), ("aa rd", 100));
    let shown = Shown::of(&server.tcp(&query("most.cluster.local.", A, Some(1232))));
    assert_eq!((&shown.flags[..], shown.answer.len()), ("aa rd", 4093), "as many as a message holds");
}

#[test]
fn connections_carry_many_queries_in_pieces() {
    let server = server();
    let mut stream = server.connect();
    let one = framed(&query("one.cluster.local.", A, None));
    let three: Vec<u8> = one.repeat(3);
    // In pieces that end inside a length prefix and inside a message.
    for piece in [&three[..1], &three[1..20], &three[20..one.len() + 1], &three[one.len() + 1..]] {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
    }
    for _ in 0..3 {
        assert_eq!(Shown::of(&read(&mut stream)).answer.len(), 1);
    }
    // A hundred at once, none read before all are sent.
    stream.write_all(&one.repeat(100)).unwrap();
    for _ in 0..100 {
        assert_eq!(Shown::of(&read(&mut stream)).answer.len(), 1);
    }
    stream.write_all(b"\0\x03abc").unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "what is no message ends the connection");
}

#[test]
fn a_client_has_so_many_connections() {
    let server = server();
    let mut streams: Vec<_> = (0..128).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&framed(&query("one.cluster.local.", A, None))).unwrap();
        assert_eq!(Shown::of(&read(stream)).answer.len(), 1);
    }
    let mut more = server.connect();
    let _ = more.write_all(&framed(&query("one.cluster.local.", A, None)));
    assert!(!matches!(more.read(&mut [0; 16]), Ok(1..)), "one too many is closed");
    drop(streams);
    assert_eq!(server.ask("one.cluster.local.", A).code, 0);
}

#[test]
fn queries_are_counted() {
    let mut server = server();
    server.ask("one.cluster.local.", A);
    server.ask("none.cluster.local.", A);
    server.tcp(&query("one.cluster.local.", 28, None));
    let text = server.worker.ask(&wire::protocol::Question::Metrics).unwrap();
    let (text, port) = (text.as_str().unwrap(), server.address.port());
    for (what, count) in [
        (r#"coredns_dns_requests_total{S,proto="udp",family="1",type="A"}"#, 2),
        (r#"coredns_dns_requests_total{S,proto="tcp",family="1",type="AAAA"}"#, 1),
        (r#"coredns_dns_responses_total{S,rcode="NOERROR",plugin="kubernetes"}"#, 2),
        (r#"coredns_dns_responses_total{S,rcode="NXDOMAIN",plugin="kubernetes"}"#, 1),
    ] {
        let labels = format!(r#"{{server="dns://127.0.0.1:{port}",zone=".",view="","#);
        let line = format!("{} {count}\n", what.replace("{S,", &labels));
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
