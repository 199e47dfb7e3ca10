//! Connections to upstreams, and upstreams that mean harm: whatever one does, the next is asked, or the client is told soon.

mod common;

use common::certificates::{Authority, server as tls_server};
use common::upstream::{CACHE, Upstream, address, answer, code, forward, next};
use common::{Server, Shown, framed, query};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const A: u16 = 1;
const GOOD: &str = "example.org. 300 A 10.9.8.7";

fn good() -> Upstream {
    Upstream::start(|packet, _| vec![address(packet, 7)], |packet| address(packet, 7))
}

/// Answers every query of a connection.
fn serve(mut connection: impl Read + Write) {
    while let Some(packet) = next(&mut connection) {
        if connection.write_all(&framed(&address(&packet, 7))).and_then(|()| connection.flush()).is_err() {
            return;
        }
    }
}

fn tcp(upstreams: &[&Upstream]) -> String {
    forward(upstreams, "").replace("\"forceTcp\":false", "\"forceTcp\":true")
}

fn start(steps: &[&str]) -> Server {
    Server::start("127.0.0.1:0", &steps.join(","), &[])
}

fn metrics(server: &mut Server) -> String {
    server.worker.ask(&wire::protocol::Question::Metrics).unwrap().as_str().unwrap().to_string()
}

/// The value of a line that begins so.
fn figure(server: &mut Server, line: &str) -> u64 {
    let text = metrics(server);
    let found = text.lines().find_map(|held| held.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0)
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_connection_is_kept_for_the_next_query() {
    let upstream = Upstream::connections(|connection, _| serve(connection));
    let mut server = start(&[&tcp(&[&upstream])]);
    for number in 0..20 {
        assert_eq!(server.ask(&format!("n{number}.org."), A).answer.len(), 1);
    }
    // One, unless this machine stood still for half a second.
    let count = upstream.streams.load(Ordering::SeqCst);
    assert!(count <= 10, "{count}");
    let to = format!("proxy_name=\"forward\",to=\"{}\"", upstream.address);
    let of =
        |server: &mut Server, name: &str, more: &str| figure(server, &format!("coredns_proxy_{name}{{{to}{more}}} "));
    let misses = of(&mut server, "conn_cache_misses_total", ",proto=\"tcp\"");
    let hits = of(&mut server, "conn_cache_hits_total", ",proto=\"tcp\"");
    assert!((1..=10).contains(&misses) && hits >= 10, "{hits} {misses}");
    assert!(of(&mut server, "request_duration_seconds_count", ",rcode=\"NOERROR\"") >= 20);
}

#[test]
fn connections_end_as_the_corefile_says() {
    for change in ["\"expireMs\":0", "\"expireMs\":10000,\"maxAgeMs\":1"] {
        let upstream = Upstream::connections(|connection, _| serve(connection));
        let server = start(&[&tcp(&[&upstream]).replace("\"expireMs\":10000", change)]);
        for number in 0..4 {
            assert_eq!(server.ask(&format!("n{number}.org."), A).answer.len(), 1);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(upstream.streams.load(Ordering::SeqCst) >= 4, "{change}");
    }
    // What is not used closes by itself.
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let upstream = Upstream::connections(move |connection, _| {
        serve(connection);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let server = start(&[&tcp(&[&upstream]).replace("\"expireMs\":10000", "\"expireMs\":200")]);
    assert_eq!(server.ask("example.org.", A).answer, [GOOD]);
    wait("the connection ends", || ended.load(Ordering::SeqCst) > 0);
    assert_eq!(server.ask("example.com.", A).answer.len(), 1, "and another begins");
}

#[test]
fn what_a_configuration_held_open_closes_with_it() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let upstream = Upstream::connections(move |connection, _| {
        serve(connection);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut server = start(&[&tcp(&[&upstream]).replace("\"expireMs\":10000", "\"expireMs\":86400000")]);
    assert_eq!(server.ask("example.org.", A).answer, [GOOD]);
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    common::commit(&mut *server.worker, "servers", true, &[], &[]);
    // A thread that serves lets go of what was in force when the next query comes.
    let client = server.client();
    wait("its connections end", || client.send(b"").is_ok() && ended.load(Ordering::SeqCst) > 0);
}

/// Answers once queries for two names are there, the later ones first.
#[test]
fn answers_come_in_any_order() {
    type Held = Vec<(Vec<u8>, TcpStream)>;
    let held: Arc<Mutex<Held>> = Arc::default();
    let upstream = Upstream::connections(move |mut connection, _| {
        while let Some(packet) = next(&mut connection) {
            let mut held = held.lock().unwrap();
            held.push((packet, connection.try_clone().unwrap()));
            let names: BTreeSet<_> = held.iter().map(|(packet, _)| packet[13].to_ascii_lowercase()).collect();
            if names.len() > 1 {
                for (packet, connection) in held.iter_mut().rev() {
                    let last = packet[13].to_ascii_lowercase();
                    let _ = connection.write_all(&framed(&address(packet, last)));
                }
            }
        }
    });
    let server = start(&[&tcp(&[&upstream])]);
    let clients = ["a.org.", "b.org."].map(|name| {
        let client = server.client();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.send(&query(name, A, None)).unwrap();
        client
    });
    for (client, last) in clients.iter().zip(["97", "98"]) {
        let mut room = [0; 512];
        let length = client.recv(&mut room).unwrap();
        let shown = Shown::of(&room[..length]);
        assert!(shown.answer[0].ends_with(&format!(" A 10.9.8.{last}")), "{shown:?}");
    }
}

#[test]
fn a_connection_that_the_upstream_closed_is_replaced() {
    // The connection is closed behind each answer.
    let upstream = Upstream::connections(|mut connection, _| {
        let _ = next(&mut connection).map(|packet| connection.write_all(&framed(&address(&packet, 7))));
    });
    let server = start(&[&tcp(&[&upstream])]);
    for number in 0..10 {
        assert_eq!(server.ask(&format!("n{number}.org."), A).code, 0);
    }
}

type Harm = fn(TcpStream);

/// What an upstream may do to a connection instead of answering.
const HARMS: [(&str, Harm); 11] = [
    ("closes at once", drop),
    ("closes unheard", |mut it| drop(next(&mut it))),
    ("never answers", |mut it| drop((next(&mut it), next(&mut it)))),
    ("closes amid the length", |mut it| {
        let _ = next(&mut it).map(|_| it.write_all(&[1]));
    }),
    ("closes amid the answer", |mut it| {
        let Some(packet) = next(&mut it) else { return };
        let framed = framed(&address(&packet, 66));
        let _ = it.write_all(&framed[..framed.len() - 3]);
    }),
    ("never ends the answer", |mut it| {
        let Some(packet) = next(&mut it) else { return };
        let _ = it.write_all(&[&[0xff, 0xff], &address(&packet, 66)[..]].concat());
        let _ = it.read_to_end(&mut Vec::new());
    }),
    ("speaks another protocol", |mut it| {
        let _ = next(&mut it).map(|_| it.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
        let _ = it.read_to_end(&mut Vec::new());
    }),
    ("sends lengths of nothing", |mut it| {
        let _ = next(&mut it).map(|_| it.write_all(&[0; 64]));
        let _ = it.read_to_end(&mut Vec::new());
    }),
    ("answers other queries without end", |mut it| {
        let Some(packet) = next(&mut it) else { return };
        let mut other = address(&packet, 66);
        other[0] ^= 1;
        while it.write_all(&framed(&other)).is_ok() {}
    }),
    ("answers another question", |mut it| {
        let Some(mut packet) = next(&mut it) else { return };
        packet[13] ^= 2;
        let _ = it.write_all(&framed(&address(&packet, 66)));
        let _ = it.read_to_end(&mut Vec::new());
    }),
    ("truncates over a connection, too", |mut it| {
        while let Some(packet) = next(&mut it) {
            let _ = it.write_all(&framed(&answer(&packet, 0x8380, [0, 0], b"")));
        }
    }),
];

#[test]
fn harm_over_connections_costs_no_answer() {
    for (what, harm) in HARMS {
        let (bad, good) = (Upstream::connections(move |connection, _| harm(connection)), good());
        let server = start(&[&tcp(&[&bad, &good])]);
        assert_eq!(server.ask("example.org.", A).answer, [GOOD], "{what}");
        assert!(bad.streams.load(Ordering::SeqCst) > 0);
    }
}

#[test]
fn harm_by_the_only_upstream_is_told_to_the_client() {
    let servers: Vec<(&str, Server, Upstream)> = HARMS
        .into_iter()
        .map(|(what, harm)| {
            let upstream = Upstream::connections(move |connection, _| harm(connection));
            (what, start(&[&tcp(&[&upstream])]), upstream)
        })
        .collect();
    let clients: Vec<_> = servers.iter().map(|(_, server, _)| server.client()).collect();
    clients.iter().for_each(|client| drop(client.send(&query("example.org.", A, None))));
    for (client, (what, ..)) in clients.iter().zip(&servers) {
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut room = [0; 512];
        let length = client.recv(&mut room).unwrap_or_else(|error| panic!("{what}: {error}"));
        let shown = Shown::of(&room[..length]);
        assert_eq!((shown.code, shown.answer.len()), (2, 0), "{what}");
    }
}

/// Messages that say too much, and what they are made of.
fn swollen(packet: &[u8], section: usize, kind: u16, before: &[u8], count: u16) -> Vec<u8> {
    let end = packet[12..].iter().position(|octet| *octet == 0).unwrap() + 17;
    let mut message = [&packet[..2], &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], &packet[12..end]].concat();
    let at = message.len() + 12;
    // The first is a name of 250 octets, and all the others point to it.
    let long = [[&[49][..], &[b'x'; 49]].concat().repeat(5), vec![0]].concat();
    let pointer = (0xc000 | (at + before.len()) as u16).to_be_bytes();
    for number in 0..count {
        let name = if number == 0 { &long[..] } else { &pointer };
        let length = ((before.len() + name.len()) as u16).to_be_bytes();
        let fixed = [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length].concat();
        message.extend([&fixed, before, name].concat());
    }
    message[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
    message
}

#[test]
fn messages_that_swell_are_failures() {
    for (section, kind, before) in [(0, 15, &[0, 1][..]), (0, 2, &[]), (1, 6, &[])] {
        let count = 3000;
        let bad = Upstream::connections(move |mut connection, _| {
            while let Some(packet) = next(&mut connection) {
                let _ = connection.write_all(&framed(&swollen(&packet, section, kind, before, count)));
            }
        });
        let good = good();
        assert_eq!(start(&[&tcp(&[&bad])]).ask("example.org.", A).code, 2, "{section} {kind}");
        assert_eq!(start(&[&tcp(&[&bad, &good])]).ask("example.org.", A).answer, [GOOD]);
    }
}

#[test]
fn datagrams_that_are_too_large_or_lead_astray_cost_no_answer() {
    let large = |packet: &[u8], _: usize| {
        let record = [&b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\x80\x7f"[..], &[b'x'; 127]].concat();
        vec![answer(packet, 0x8180, [40, 0], &record.repeat(40))]
    };
    // The name of the first record points to itself, forwards, or beyond the end.
    let astray = |packet: &[u8], number: usize| {
        let at = 12 + packet[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
        let to = [at, at + 2, 0x3fff][number % 3] as u16 | 0xc000;
        vec![answer(
            packet,
            0x8180,
            [1, 0],
            &[&to.to_be_bytes()[..], b"\0\x01\0\x01\0\0\0\x09\0\x04\x01\x02\x03\x04"].concat(),
        )]
    };
    for bad in [Upstream::plain(large), Upstream::plain(astray)] {
        let good = good();
        let server = start(&[&forward(&[&bad, &good], "")]);
        for name in ["example.org.", "a.org.", "b.org."] {
            assert!(server.ask(name, A).answer[0].ends_with(" A 10.9.8.7"));
        }
    }
}

#[test]
fn aliases_without_end_come_to_one() {
    // a -> b -> a, and one that has no end: each label one more `x`.
    let circle = |packet: &[u8], _: usize| {
        let name = b"\x01b\x03org\0";
        let there = [&b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x07"[..], name].concat();
        let back = [&name[..], b"\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c"].concat();
        vec![answer(packet, 0x8180, [2, 0], &[there, back].concat())]
    };
    let endless = |packet: &[u8], _: usize| {
        let name = |number: u8| [&[1, b'a' + number][..], b"\x01x\0"].concat();
        let link = |number: u8| {
            let (owner, target) = (if number == 0 { vec![0xc0, 12] } else { name(number) }, name(number + 1));
            [&owner[..], b"\0\x05\0\x01\0\0\0\x3c\0\x05", &target].concat()
        };
        vec![answer(packet, 0x8180, [24, 0], &(0..24).flat_map(link).collect::<Vec<u8>>())]
    };
    for upstream in [Upstream::plain(circle), Upstream::plain(endless)] {
        let server = start(&[CACHE, &forward(&[&upstream], "")]);
        let shown = server.ask("a.org.", A);
        assert!(shown.answer.len() <= 17 && !shown.answer.iter().any(|record| record.contains(" A ")), "{shown:?}");
        assert!(
            upstream.seen.lock().unwrap().iter().all(|packet| packet[12..18].eq_ignore_ascii_case(b"\x01a\x03org"))
        );
    }
}

#[test]
fn records_of_others_are_left_out() {
    let upstream = Upstream::plain(|packet, _| {
        let own = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\x09\x08\x07";
        let other = b"\x04bank\0\0\x01\0\x01\0\0\x01\x2c\0\x04\x06\x06\x06\x06";
        let servers = b"\0\0\x02\0\x01\0\0\x01\x2c\0\x06\x04evil\0";
        let mut message = answer(packet, 0x8180, [2, 1], &[&own[..], other, servers, other].concat());
        message[11] = 1;
        vec![message]
    });
    let server = start(&[CACHE, &forward(&[&upstream], "")]);
    for _ in 0..2 {
        let shown = server.ask("example.org.", A);
        assert_eq!(shown.answer.len(), 1, "{shown:?}");
        assert!(shown.answer[0].ends_with(" A 10.9.8.7") && shown.authority.is_empty() && shown.additional.is_empty());
    }
    server.ask("bank.", A);
    let seen = upstream.seen.lock().unwrap();
    assert!(
        seen.iter().any(|packet| packet[13..17].eq_ignore_ascii_case(b"bank")),
        "what was smuggled in is not known"
    );
}

#[test]
fn an_answer_that_comes_late_is_nobodys() {
    let (release, held) = mpsc::channel::<()>();
    let late = Upstream::plain(move |packet, number| {
        if number > 0 {
            return vec![];
        }
        let _ = held.recv_timeout(Duration::from_secs(60));
        vec![address(packet, 66)]
    });
    let good = good();
    let server = start(&[&forward(&[&late, &good], "")]);
    assert_eq!(server.ask("example.org.", A).answer, [GOOD]);
    release.send(()).unwrap();
    for name in ["example.org.", "www.example.org."] {
        assert!(server.ask(name, A).answer[0].ends_with(" A 10.9.8.7"));
    }
}

#[test]
fn upstreams_that_are_all_down_come_back() {
    let gone = Upstream::plain(|packet, _| vec![address(packet, 7)]);
    let nobody = forward(&[&gone], "").replace(&gone.address.port().to_string(), "1");
    let mut server = start(&[&nobody.replace("\"failFast\":false", "\"failFast\":true")]);
    let (to, broken) = ("coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_broken_total ");
    wait("it is down", || {
        assert_eq!(server.ask("example.org.", A).code, 2);
        figure(&mut server, &format!("{to}{{proxy_name=\"forward\",to=\"127.0.0.1:1\"}} ")) >= 2
    });
    wait("all are", || {
        assert_eq!(server.ask("example.org.", A).code, 2);
        figure(&mut server, broken) > 0
    });

    // One that fails for a while: its checks find out.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lame = Upstream::plain(move |packet, _| {
        // Checks ask for the root.
        if packet[12] == 0 && count.fetch_add(1, Ordering::SeqCst) >= 4 {
            count.store(1000, Ordering::SeqCst);
        }
        if count.load(Ordering::SeqCst) >= 1000 { vec![address(packet, 7)] } else { vec![] }
    });
    let server = start(&[&forward(&[&lame], "").replace("\"failFast\":false", "\"failFast\":true")]);
    assert_eq!(server.ask("example.org.", A).code, 2);
    wait("it is up", || server.ask("example.org.", A).code == 0);
}

#[test]
fn a_failure_is_asked_elsewhere_and_told_if_it_is_all_there_is() {
    let (failing, refusing, good) = (
        Upstream::plain(|packet, _| vec![code(packet, 2)]),
        Upstream::plain(|packet, _| vec![code(packet, 5)]),
        good(),
    );
    assert_eq!(start(&[&forward(&[&failing, &good], "")]).ask("example.org.", A).answer, [GOOD]);
    assert_eq!(start(&[&forward(&[&failing, &failing], "")]).ask("example.org.", A).code, 2);
    let steps = forward(&[&refusing, &good], "");
    assert_eq!(start(&[&steps]).ask("example.org.", A).code, 5);
    let steps = steps.replace("\"failover\":[]", "\"failover\":[5]");
    assert_eq!(start(&[&steps]).ask("example.org.", A).answer, [GOOD]);
}

/// An upstream of DNS over TLS.
fn over_tls(config: Arc<ServerConfig>) -> Upstream {
    Upstream::connections(move |connection, _| {
        serve(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), connection));
    })
}

fn forward_tls(upstreams: &[SocketAddr], name: &str, files: &str) -> String {
    let each = upstreams
        .iter()
        .map(|at| format!(r#"{{"transport":"tls","address":"{}","port":{},"serverName":{name}}}"#, at.ip(), at.port()));
    let step = forward(&[], "")
        .replace("\"upstreams\":[]", &format!("\"upstreams\":[{}]", each.collect::<Vec<_>>().join(",")));
    step.replace("\"tls\":{}", &format!("\"tls\":{{{files}}}"))
}

#[test]
fn upstreams_over_tls() {
    let (authority, other) = (Authority::new(), Authority::new());
    let own = authority.issue(&["dns.example.org", "127.0.0.1"]);
    let named = authority.issue(&["dns.example.org"]);
    authority.write("client", &authority.issue(&["client"]));
    let ca = format!("\"ca\":{:?}", authority.path("ca.pem"));
    let with_client =
        format!("{ca},\"certificate\":{:?},\"key\":{:?}", authority.path("client.pem"), authority.path("client.key"));
    let other_ca = format!("\"ca\":{:?}", other.path("ca.pem"));
    let name = "\"dns.example.org\"";
    for (what, config, name, files, code) in [
        ("its name", tls_server(&named, None), name, &ca, 0),
        ("its address", tls_server(&own, None), "null", &ca, 0),
        ("not its address", tls_server(&named, None), "null", &ca, 2),
        ("another name", tls_server(&named, None), "\"dns.example.com\"", &ca, 2),
        ("another authority", tls_server(&named, None), name, &other_ca, 2),
        ("it asks for a certificate", tls_server(&named, Some(&authority)), name, &with_client, 0),
        ("it asks for one, and there is none", tls_server(&named, Some(&authority)), name, &ca, 2),
    ] {
        let upstream = over_tls(config);
        let server = start(&[&forward_tls(&[upstream.address], name, files)]);
        let shown = server.ask("example.org.", A);
        assert_eq!((shown.code, shown.answer.len()), (code, usize::from(code == 0)), "{what}");
        assert_eq!(upstream.asked(), 0, "{what}: nothing goes out in the clear");
    }
}

#[test]
fn tls_connections_are_kept_and_their_failures_cost_no_answer() {
    let authority = Authority::new();
    let config = tls_server(&authority.issue(&["dns.example.org"]), None);
    let (good, name) = (over_tls(config), "\"dns.example.org\"");
    let ca = format!("\"ca\":{:?}", authority.path("ca.pem"));
    let mut server = start(&[&forward_tls(&[good.address], name, &ca)]);
    for number in 0..10 {
        assert_eq!(server.ask(&format!("n{number}.org."), A).answer.len(), 1);
    }
    let line = |what: &str| {
        format!(
            "coredns_proxy_conn_cache_{what}_total{{proxy_name=\"forward\",to=\"{}\",proto=\"tcp-tls\"}} ",
            good.address
        )
    };
    assert!(figure(&mut server, &line("hits")) >= 5 && figure(&mut server, &line("misses")) >= 1);
    // No TLS at all, and a handshake that does not go on.
    for harm in [|it: TcpStream| serve(it), |mut it: TcpStream| drop(it.read_to_end(&mut Vec::new()))] {
        let bad = Upstream::connections(move |connection, _| harm(connection));
        let server = start(&[&forward_tls(&[bad.address, good.address], name, &ca)]);
        assert_eq!(server.ask("example.org.", A).answer, [GOOD]);
    }
}
