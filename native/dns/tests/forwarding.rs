//! Names that others know: upstreams that behave, and such that do not.

mod common;

use common::upstream::{CACHE, Upstream, address, answer, code, forward};
use common::{PATIENCE, Server, Shown, framed, query, read};
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Instant;
use wire::protocol::Question;

const A: u16 = 1;
const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
fn start(steps: &[&str]) -> Server {
    let outside =
        r#"{"set":"k0","name":"outside.ns.svc.cluster.local.","records":[{"type":"CNAME","target":"example.org."}]}"#;
    Server::start("127.0.0.1:0", &steps.join(","), &[("k0 outside.ns.svc.cluster.local.", outside)])
}

#[test]
fn an_answer_is_fetched_once_and_kept() {
    let upstream = Upstream::plain(|packet, _| vec![address(packet, 7)]);
    let server = start(&[CACHE, KUBERNETES, &forward(&[&upstream], "")]);
    let shown = server.ask("example.org.", A);
    assert_eq!(
        (shown.code, &shown.flags[..], &shown.answer[..]),
        (0, "rd ra", &["example.org. 300 A 10.9.8.7".to_string()][..])
    );
    let shown = server.ask("EXAMPLE.org.", A);
    assert!(shown.answer[0].starts_with("EXAMPLE.org. ") && shown.answer[0].ends_with(" A 10.9.8.7"), "{shown:?}");
    let before = settled(&server, &upstream, "example.org.");
    assert!(before >= 1);
    server.ask("example.ORG.", A);
    assert_eq!(settled(&server, &upstream, "example.org."), before, "it is kept");
    server.ask("example.org.", 28);
    assert!(upstream.asked_for("example.org.", 28) >= 1, "another type is another question");
    let query = upstream.seen.lock().unwrap()[0].clone();
    assert_eq!((&query[4..6], query[2] & 1, query[11]), (&[0, 1][..], 1, 1), "one question, RD, OPT");
    // 0x20: eleven letters, both cases among them but once in a thousand.
    let names: Vec<Vec<u8>> = (0..8_u8)
        .map(|n| {
            server.ask(&format!("abcdefghijkl{n}.org."), A);
            let seen = upstream.seen.lock().unwrap();
            let own = |packet: &&Vec<u8>| packet[12] == 13 && packet[25] == b'0' + n;
            seen.iter().find(own).unwrap()[13..25].to_vec()
        })
        .collect();
    assert!(names.iter().any(|name| name.iter().any(u8::is_ascii_uppercase)), "{names:?}");
    let ids: std::collections::BTreeSet<_> =
        upstream.seen.lock().unwrap().iter().map(|packet| [packet[0], packet[1]]).collect();
    assert!(ids.len() > 5, "{ids:?}");
}

/// How often a name was asked for (A), once all that was sent to the upstream has been counted: it counts in order, and it has
/// answered what is asked of it now.
fn settled(server: &Server, upstream: &Upstream, name: &str) -> usize {
    server.ask(&format!("g{}.settled.org.", upstream.asked()), A);
    upstream.asked_for(name, A)
}

#[test]
fn a_denial_is_kept_if_it_says_how_long() {
    let soa = b"\0\0\x06\0\x01\0\0\x0e\x10\0\x16\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x3c";
    let upstream = Upstream::plain(move |packet, _| {
        let bare = packet[13].eq_ignore_ascii_case(&b'n');
        vec![if bare { code(packet, 3) } else { answer(packet, 0x8183, [0, 1], soa) }]
    });
    let server = start(&[CACHE, &forward(&[&upstream], "")]);
    let gone = || {
        let shown = server.ask("gone.org.", A);
        assert_eq!((shown.code, shown.authority.len()), (3, 1), "{shown:?}");
    };
    gone();
    let before = settled(&server, &upstream, "gone.org.");
    (0..3).for_each(|_| gone());
    assert_eq!(settled(&server, &upstream, "gone.org."), before);
    (0..3).for_each(|_| assert_eq!(server.ask("nosoa.org.", A).code, 3));
    assert!(settled(&server, &upstream, "nosoa.org.") >= 3);
}

#[test]
fn forgeries_are_passed_over() {
    let upstream = Upstream::plain(|packet, _| {
        let good = address(packet, 7);
        let mut bad = address(packet, 66);
        let mut wrong_id = bad.clone();
        wrong_id[1] ^= 1;
        bad[13] = b'z';
        let mut query = bad.clone();
        query[2] &= 0x7f;
        vec![vec![], vec![0; 5], wrong_id, bad, query, good]
    });
    let server = start(&[CACHE, &forward(&[&upstream], "")]);
    assert_eq!(server.ask("example.org.", A).answer, ["example.org. 300 A 10.9.8.7"]);
    assert_eq!(upstream.streams.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_doubtful_is_asked_over_a_connection() {
    let lower = |packet: &[u8]| {
        let mut answer = address(packet, 66);
        answer[12..].make_ascii_lowercase();
        vec![answer]
    };
    let truncated = |packet: &[u8]| vec![answer(packet, 0x8380, [0, 0], b"")];
    for (number, upstream) in
        [Upstream::plain(move |packet, _| lower(packet)), Upstream::plain(move |packet, _| truncated(packet))]
            .iter()
            .enumerate()
    {
        let server = start(&[CACHE, &forward(&[upstream], "")]);
        assert_eq!(
            server.ask("abcdefghijklmnopqrstuvwxyz.org.", A).answer,
            ["abcdefghijklmnopqrstuvwxyz.org. 300 A 10.9.8.99"],
            "{number}"
        );
        assert!(upstream.streams.load(Ordering::SeqCst) >= 1);
    }
}

#[test]
fn broken_answers_are_failures() {
    let loops = |packet: &[u8]| {
        let at = 12 + packet[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
        answer(packet, 0x8180, [1, 0], &[0xc0, at as u8, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4])
    };
    let short = |packet: &[u8]| answer(packet, 0x8180, [9, 0], b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a");
    let upstream =
        Upstream::plain(move |packet, number| vec![if number % 2 == 0 { loops(packet) } else { short(packet) }]);
    let server = start(&[CACHE, &forward(&[&upstream], "")]);
    let shown = server.ask("example.org.", A);
    assert_eq!((shown.code, shown.answer.len()), (2, 0));
    assert_eq!(server.ask("example.org.", A).code, 2, "kept for a while");
}

#[test]
fn another_upstream_is_asked_when_one_fails_or_is_silent() {
    let silent = Upstream::plain(|_, _| vec![]);
    let failing = Upstream::plain(|packet, _| vec![code(packet, 2)]);
    let good = Upstream::plain(|packet, _| vec![address(packet, 7)]);
    let server = start(&[&forward(&[&silent, &failing, &good], "")]);
    assert_eq!(server.ask("example.org.", A).answer, ["example.org. 300 A 10.9.8.7"]);
    assert!([silent, failing, good].iter().all(|upstream| upstream.asked() >= 1));
}

#[test]
fn many_who_ask_the_same_cost_one_query() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::plain(move |packet, number| {
        if number == 0 {
            let _ = wait.lock().unwrap().recv();
        }
        vec![address(packet, 7)]
    });
    let mut server = start(&[CACHE, &forward(&[&upstream], "")]);
    let clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for client in &clients {
        client.send(&query("example.org.", A, None)).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while misses(&mut server) < clients.len() {
        assert!(Instant::now() < deadline, "all have been looked for in the cache");
        std::thread::yield_now();
    }
    go.send(()).unwrap();
    for client in &clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut room = [0; 512];
        let length = client.recv(&mut room).unwrap();
        assert_eq!(Shown::of(&room[..length]).answer.len(), 1);
    }
    // Where all of that took 600 ms, one more: the second try of the one that all wait for.
    assert!(upstream.asked() <= 2, "{}", upstream.asked());
}

fn misses(server: &mut Server) -> usize {
    let metrics = server.worker.ask(&Question::Metrics).unwrap();
    let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with("coredns_cache_misses_total{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn an_external_name_is_followed() {
    let upstream = Upstream::plain(|packet, number| {
        if number > 0 {
            return vec![code(packet, 2)];
        }
        // example.org CNAME www.example.org, and its address: owners point into the message.
        let records = b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x06\x03www\xc0\x0c\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x09\x08\x07";
        vec![answer(packet, 0x8180, [2, 0], records)]
    });
    let server = start(&[KUBERNETES, &forward(&[&upstream], "")]);
    let alias = "outside.ns.svc.cluster.local. 30 CNAME example.org.";
    let shown = server.ask("outside.ns.svc.cluster.local.", A);
    let lower: Vec<String> = shown
        .answer
        .iter()
        .map(|record| record.to_lowercase().replace(" cname ", " CNAME ").replace(" a ", " A "))
        .collect();
    assert_eq!(lower, [alias, "example.org. 300 CNAME www.example.org.", "www.example.org. 60 A 10.9.8.7"]);
    let failed = server.ask("outside.ns.svc.cluster.local.", A);
    assert_eq!((failed.code, failed.answer.len()), (2, 0), "not half an answer");
    assert_eq!(server.ask("outside.ns.svc.cluster.local.", 5).answer, [alias]);
}

#[test]
fn too_many_at_a_time_are_refused() {
    let upstream = Upstream::plain(|_, _| vec![]);
    let server = start(&[&forward(&[&upstream], r#","maxConcurrent":1"#)]);
    let (first, second) = (server.client(), server.client());
    first.send(&query("one.org.", A, None)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while upstream.asked() == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    second.send(&query("two.org.", A, None)).unwrap();
    let mut room = [0; 512];
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = second.recv(&mut room).unwrap();
    assert_eq!(Shown::of(&room[..length]).code, 5);
}

#[test]
fn connections_get_answers_from_upstreams_too() {
    let upstream = Upstream::plain(|packet, _| vec![address(packet, 7)]);
    let server = start(&[CACHE, KUBERNETES, &forward(&[&upstream], "")]);
    let mut stream = server.connect();
    let both = [framed(&query("example.org.", A, None)), framed(&query("nothing.cluster.local.", A, None))].concat();
    stream.write_all(&both).unwrap();
    let codes: std::collections::BTreeSet<u16> = (0..2).map(|_| Shown::of(&read(&mut stream)).code).collect();
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), [0, 3]);
}

/// kubeadm's Corefile, as the controller sends it.
#[test]
fn a_whole_server_block() {
    let upstream = Upstream::plain(|packet, _| vec![address(packet, 7)]);
    let server = start(&[
        r#"{"plugin":"ready","listen":{"port":8181},"continuously":false}"#,
        r#"{"plugin":"health","listen":{"port":8080},"lameduckMs":5000}"#,
        r#"{"plugin":"prometheus","listen":{"port":9153}}"#,
        r#"{"plugin":"errors","consolidate":[]}"#,
        r#"{"plugin":"loadbalance","prefer":[]}"#,
        CACHE,
        KUBERNETES,
        r#"{"plugin":"loop","zone":"."}"#,
        &forward(&[&upstream], r#","maxConcurrent":1000"#),
    ]);
    assert_eq!(server.ask("example.org.", A).answer, ["example.org. 300 A 10.9.8.7"]);
    assert_eq!(server.ask("nothing.cluster.local.", A).code, 3);
}

#[test]
fn a_circle_of_servers_is_broken() {
    let own = r#"{"plugin":"loop","zone":"."},{"plugin":"forward","from":".","except":[],"upstreams":[{"transport":"dns","address":"127.0.0.1","port":OWN_PORT}],
        "policy":"random","forceTcp":false,"preferUdp":false,"expireMs":10000,"readTimeoutMs":2000,"maxFails":2,"next":[],"nextOnNodata":false,
        "failover":[],"failFast":false,"healthCheck":{"intervalMs":500,"recursionDesired":true,"domain":"."},"tls":{}}"#;
    let server = start(&[KUBERNETES, own]);
    assert_eq!(server.ask("example.org.", A).code, 2);
    assert_eq!(server.ask("nothing.cluster.local.", A).code, 3);
    // Once it is known, nothing goes round: what is asked next is answered without a query to anybody.
    assert_eq!(server.ask("example.com.", A).code, 2);
}

#[test]
fn what_is_old_is_better_than_nothing() {
    let stale =
        r#"{"upToMs":3600000,"verify":false,"verifyTimeoutMs":0,"ttl":30,"recheckMs":1000,"preferPositive":true}"#;
    let cache = CACHE
        .replace("\"serveStale\":null", &format!("\"serveStale\":{stale}"))
        .replace("\"minTtl\":5", "\"minTtl\":0");
    let upstream = Upstream::plain(|packet, number| {
        let fresh = answer(packet, 0x8180, [1, 0], b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\x09\x08\x07");
        if number == 0 { vec![fresh] } else { vec![code(packet, 2)] }
    });
    let server = start(&[&cache, &forward(&[&upstream], "")]);
    assert_eq!(server.ask("example.org.", A).answer, ["example.org. 1 A 10.9.8.7"]);
    let deadline = std::time::Instant::now() + PATIENCE;
    // Its second is over when the TTL is that of what is stale; and the upstream fails from now on.
    while server.ask("example.org.", A).answer != ["example.org. 30 A 10.9.8.7"] {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    while upstream.asked() < 2 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_eq!(server.ask("example.org.", A).answer, ["example.org. 30 A 10.9.8.7"]);
}
