//! What the Kubernetes DNS specification 1.1.0 wants said, and what CoreDNS gets wrong of it, through real sockets.

mod common;

use common::{Rows, Server, Shown, query};

const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local.","clusterset.local.","in-addr.arpa.","ip6.arpa."],"ttl":30,
    "fallthrough":null,"soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":30,"refresh":7200,"retry":1800,"expire":86400,"minimum":30}}"#;

const NAMES: Rows = &[
    (
        "k0 dns-version.cluster.local.",
        r#"{"set":"k0","name":"dns-version.cluster.local.","records":[{"type":"TXT","texts":["1.1.0"],"ttl":28800}]}"#,
    ),
    (
        "k0 cluster.local.",
        r#"{"set":"k0","name":"cluster.local.","records":[{"type":"NS","target":"kube-dns.kube-system.svc.cluster.local."}]}"#,
    ),
    (
        "k0 kube-dns.kube-system.svc.cluster.local.",
        r#"{"set":"k0","name":"kube-dns.kube-system.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.10"}]}"#,
    ),
    ("k0 testns.svc.cluster.local.", r#"{"set":"k0","name":"testns.svc.cluster.local.","records":[]}"#),
    ("k0 testns.pod.cluster.local.", r#"{"set":"k0","name":"testns.pod.cluster.local.","records":[],"dashed":true}"#),
    (
        "k0 svc1.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"svc1.testns.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"},{"type":"SRV","priority":0,"weight":100,"port":80,"target":"svc1.testns.svc.cluster.local."}],"object":"Service testns/svc1"}"#,
    ),
    (
        "k0 _http._tcp.svc1.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"_http._tcp.svc1.testns.svc.cluster.local.","records":[{"type":"SRV","priority":0,"weight":100,"port":80,"target":"svc1.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 dual.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"dual.testns.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.2"},{"type":"AAAA","ip":"fd00::2"},{"type":"SRV","priority":0,"weight":100,"port":80,"target":"dual.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 headless.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"headless.testns.svc.cluster.local.","records":[{"type":"A","ip":"172.0.0.1"},{"type":"A","ip":"172.0.0.2"},{"type":"A","ip":"172.0.0.3"}]}"#,
    ),
    (
        "k0 172-0-0-1.headless.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"172-0-0-1.headless.testns.svc.cluster.local.","records":[{"type":"A","ip":"172.0.0.1"}]}"#,
    ),
    (
        "k0 empty.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"empty.testns.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.4"}],"object":"Service testns/empty"}"#,
    ),
    (
        "k0 six.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"six.testns.svc.cluster.local.","records":[{"type":"AAAA","ip":"5678:abcd::1"},{"type":"AAAA","ip":"5678:abcd::"}]}"#,
    ),
    (
        "k0 5678-abcd--1.six.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"5678-abcd--1.six.testns.svc.cluster.local.","records":[{"type":"AAAA","ip":"5678:abcd::1"}]}"#,
    ),
    (
        "k0 5678-abcd--0.six.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"5678-abcd--0.six.testns.svc.cluster.local.","records":[{"type":"AAAA","ip":"5678:abcd::"}]}"#,
    ),
    (
        "k0 named.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"named.testns.svc.cluster.local.","records":[{"type":"A","ip":"172.0.1.1"},{"type":"A","ip":"172.0.1.2"},{"type":"A","ip":"172.0.1.3"}]}"#,
    ),
    (
        "k0 twin.named.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"twin.named.testns.svc.cluster.local.","records":[{"type":"A","ip":"172.0.1.1"},{"type":"A","ip":"172.0.1.2"}]}"#,
    ),
    (
        "k0 web-0.named.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"web-0.named.testns.svc.cluster.local.","records":[{"type":"A","ip":"172.0.1.3"}]}"#,
    ),
    (
        "k0 _dns._udp.named.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"_dns._udp.named.testns.svc.cluster.local.","records":[
            {"type":"SRV","priority":0,"weight":25,"port":53,"target":"twin.named.testns.svc.cluster.local."},
            {"type":"SRV","priority":0,"weight":25,"port":5353,"target":"twin.named.testns.svc.cluster.local."},
            {"type":"SRV","priority":0,"weight":25,"port":53,"target":"web-0.named.testns.svc.cluster.local."},
            {"type":"SRV","priority":0,"weight":25,"port":5353,"target":"web-0.named.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 1.0.0.172.in-addr.arpa.",
        r#"{"set":"k0","name":"1.0.0.172.in-addr.arpa.","records":[
            {"type":"PTR","target":"172-0-0-1.headless.testns.svc.cluster.local."},{"type":"PTR","target":"web-0.named.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.8.7.6.5.ip6.arpa.",
        r#"{"set":"k0","name":"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.8.7.6.5.ip6.arpa.","records":[{"type":"PTR","target":"5678-abcd--1.six.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 svc1.testns.svc.clusterset.local.",
        r#"{"set":"k0","name":"svc1.testns.svc.clusterset.local.","records":[{"type":"A","ip":"10.1.0.1"}],"object":"ServiceImport testns/svc1"}"#,
    ),
    (
        "k0 web-0.east.set1.testns.svc.clusterset.local.",
        r#"{"set":"k0","name":"web-0.east.set1.testns.svc.clusterset.local.","records":[{"type":"A","ip":"172.1.0.1"}]}"#,
    ),
    (
        "k0 1.0.0.10.in-addr.arpa.",
        r#"{"set":"k0","name":"1.0.0.10.in-addr.arpa.","records":[{"type":"PTR","target":"svc1.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 inside.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"inside.testns.svc.cluster.local.","records":[{"type":"CNAME","target":"dual.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 missing.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"missing.testns.svc.cluster.local.","records":[{"type":"CNAME","target":"nothing.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 circle.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"circle.testns.svc.cluster.local.","records":[{"type":"CNAME","target":"circle.testns.svc.cluster.local."}]}"#,
    ),
    (
        "k0 outside.testns.svc.cluster.local.",
        r#"{"set":"k0","name":"outside.testns.svc.cluster.local.","records":[{"type":"CNAME","target":"example.org."}]}"#,
    ),
];

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const AXFR: u16 = 252;
const ANY: u16 = 255;

const SOA_TEXT: &str =
    "cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. SERIAL 7200 1800 86400 30";

fn server() -> Server {
    Server::start("127.0.0.1:0", &format!(r#"{KUBERNETES},{{"plugin":"loadbalance","prefer":[]}}"#), NAMES)
}

/// As people would write it, the same over UDP and TCP; records take turns, but for aliases: they are put in order.
fn ask(server: &Server, name: &str, kind: u16) -> Shown {
    let packet = query(name, kind, None);
    let [datagram, stream] = [server.udp(&packet), server.tcp(&packet)].map(|answer| {
        let mut shown = Shown::of(&answer);
        for section in [&mut shown.answer, &mut shown.authority, &mut shown.additional] {
            if !section.iter().any(|record| record.contains(" CNAME ")) {
                section.sort();
            }
        }
        shown
    });
    assert_eq!(datagram, stream, "{name} {kind}");
    stream
}

fn answered(answer: &[&str], additional: &[&str]) -> Shown {
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    Shown {
        code: 0,
        flags: "aa rd".to_string(),
        answer: owned(answer),
        authority: vec![],
        additional: owned(additional),
    }
}

fn denied(code: u16, answer: &[&str]) -> Shown {
    Shown { code, authority: vec![SOA_TEXT.to_string()], ..answered(answer, &[]) }
}

#[test]
fn names_that_exist() {
    let server = server();
    let svc1 = "svc1.testns.svc.cluster.local.";
    for (name, kind, answer, additional) in [
        ("dns-version.cluster.local.", TXT, &[r#"dns-version.cluster.local. 28800 TXT "1.1.0""#][..], &[][..]),
        (svc1, A, &["svc1.testns.svc.cluster.local. 30 A 10.0.0.1"], &[]),
        // In any case, and answered in that of the client.
        ("SVC1.TestNS.svc.cluster.LOCAL.", A, &["SVC1.TestNS.svc.cluster.LOCAL. 30 A 10.0.0.1"], &[]),
        ("empty.testns.svc.cluster.local.", A, &["empty.testns.svc.cluster.local. 30 A 10.0.0.4"], &[]),
        ("dual.testns.svc.cluster.local.", A, &["dual.testns.svc.cluster.local. 30 A 10.0.0.2"], &[]),
        ("dual.testns.svc.cluster.local.", AAAA, &["dual.testns.svc.cluster.local. 30 AAAA fd00::2"], &[]),
        (
            "headless.testns.svc.cluster.local.",
            A,
            &[
                "headless.testns.svc.cluster.local. 30 A 172.0.0.1",
                "headless.testns.svc.cluster.local. 30 A 172.0.0.2",
                "headless.testns.svc.cluster.local. 30 A 172.0.0.3",
            ],
            &[],
        ),
        (
            "5678-abcd--1.six.testns.svc.cluster.local.",
            AAAA,
            &["5678-abcd--1.six.testns.svc.cluster.local. 30 AAAA 5678:abcd::1"],
            &[],
        ),
        (
            "5678-abcd--0.six.testns.svc.cluster.local.",
            AAAA,
            &["5678-abcd--0.six.testns.svc.cluster.local. 30 AAAA 5678:abcd::"],
            &[],
        ),
        (
            "twin.named.testns.svc.cluster.local.",
            A,
            &[
                "twin.named.testns.svc.cluster.local. 30 A 172.0.1.1",
                "twin.named.testns.svc.cluster.local. 30 A 172.0.1.2",
            ],
            &[],
        ),
        ("web-0.named.testns.svc.cluster.local.", A, &["web-0.named.testns.svc.cluster.local. 30 A 172.0.1.3"], &[]),
        (
            // Endpoints times ports, each target's addresses once.
            "_dns._udp.named.testns.svc.cluster.local.",
            SRV,
            &[
                "_dns._udp.named.testns.svc.cluster.local. 30 SRV 0 25 53 twin.named.testns.svc.cluster.local.",
                "_dns._udp.named.testns.svc.cluster.local. 30 SRV 0 25 53 web-0.named.testns.svc.cluster.local.",
                "_dns._udp.named.testns.svc.cluster.local. 30 SRV 0 25 5353 twin.named.testns.svc.cluster.local.",
                "_dns._udp.named.testns.svc.cluster.local. 30 SRV 0 25 5353 web-0.named.testns.svc.cluster.local.",
            ],
            &[
                "twin.named.testns.svc.cluster.local. 30 A 172.0.1.1",
                "twin.named.testns.svc.cluster.local. 30 A 172.0.1.2",
                "web-0.named.testns.svc.cluster.local. 30 A 172.0.1.3",
            ],
        ),
        (
            // Of each Service that selects the endpoint.
            "1.0.0.172.in-addr.arpa.",
            PTR,
            &[
                "1.0.0.172.in-addr.arpa. 30 PTR 172-0-0-1.headless.testns.svc.cluster.local.",
                "1.0.0.172.in-addr.arpa. 30 PTR web-0.named.testns.svc.cluster.local.",
            ],
            &[],
        ),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.8.7.6.5.ip6.arpa.",
            PTR,
            &[
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.8.7.6.5.ip6.arpa. 30 PTR 5678-abcd--1.six.testns.svc.cluster.local.",
            ],
            &[],
        ),
        ("svc1.testns.svc.clusterset.local.", A, &["svc1.testns.svc.clusterset.local. 30 A 10.1.0.1"], &[]),
        (
            "web-0.east.set1.testns.svc.clusterset.local.",
            A,
            &["web-0.east.set1.testns.svc.clusterset.local. 30 A 172.1.0.1"],
            &[],
        ),
        // Of the bare name, all ports.
        (
            svc1,
            SRV,
            &["svc1.testns.svc.cluster.local. 30 SRV 0 100 80 svc1.testns.svc.cluster.local."],
            &["svc1.testns.svc.cluster.local. 30 A 10.0.0.1"],
        ),
        (
            "_http._tcp.svc1.testns.svc.cluster.local.",
            SRV,
            &["_http._tcp.svc1.testns.svc.cluster.local. 30 SRV 0 100 80 svc1.testns.svc.cluster.local."],
            &["svc1.testns.svc.cluster.local. 30 A 10.0.0.1"],
        ),
        (
            "dual.testns.svc.cluster.local.",
            SRV,
            &["dual.testns.svc.cluster.local. 30 SRV 0 100 80 dual.testns.svc.cluster.local."],
            &["dual.testns.svc.cluster.local. 30 A 10.0.0.2", "dual.testns.svc.cluster.local. 30 AAAA fd00::2"],
        ),
        ("1.0.0.10.in-addr.arpa.", PTR, &["1.0.0.10.in-addr.arpa. 30 PTR svc1.testns.svc.cluster.local."], &[]),
        (
            "172-0-0-1.headless.testns.svc.cluster.local.",
            A,
            &["172-0-0-1.headless.testns.svc.cluster.local. 30 A 172.0.0.1"],
            &[],
        ),
        ("10-240-0-1.testns.pod.cluster.local.", A, &["10-240-0-1.testns.pod.cluster.local. 30 A 10.240.0.1"], &[]),
        (
            "5678-abcd--1.testns.pod.cluster.local.",
            AAAA,
            &["5678-abcd--1.testns.pod.cluster.local. 30 AAAA 5678:abcd::1"],
            &[],
        ),
        (
            "cluster.local.",
            NS,
            &["cluster.local. 30 NS kube-dns.kube-system.svc.cluster.local."],
            &["kube-dns.kube-system.svc.cluster.local. 30 A 10.0.0.10"],
        ),
        ("cluster.local.", SOA, &[SOA_TEXT], &[]),
        (
            "inside.testns.svc.cluster.local.",
            A,
            &[
                "inside.testns.svc.cluster.local. 30 CNAME dual.testns.svc.cluster.local.",
                "dual.testns.svc.cluster.local. 30 A 10.0.0.2",
            ],
            &[],
        ),
        (
            "inside.testns.svc.cluster.local.",
            CNAME,
            &["inside.testns.svc.cluster.local. 30 CNAME dual.testns.svc.cluster.local."],
            &[],
        ),
        (svc1, ANY, &["svc1.testns.svc.cluster.local. 8482 TYPE13 [7, 82, 70, 67, 56, 52, 56, 50, 0]"], &[]),
    ] {
        assert_eq!(ask(&server, name, kind), answered(answer, additional), "{name} {kind}");
    }
}

#[test]
fn names_that_exist_without_such_data() {
    let server = server();
    for (name, kind) in [
        ("svc1.testns.svc.cluster.local.", AAAA),
        ("svc1.testns.svc.cluster.local.", 65),
        ("svc1.testns.svc.cluster.local.", 1000),
        ("testns.svc.cluster.local.", A),
        ("svc.cluster.local.", A),
        ("pod.cluster.local.", A),
        ("testns.pod.cluster.local.", A),
        ("cluster.local.", A),
        ("cluster.local.", SRV),
        // Empty non-terminals, which CoreDNS denies (RFC 8020).
        ("_tcp.svc1.testns.svc.cluster.local.", A),
        ("10-240-0-1.testns.pod.cluster.local.", AAAA),
        ("5678-abcd--1.testns.pod.cluster.local.", A),
        // ExternalName has no SRV.
        ("inside.testns.svc.cluster.local.", SRV),
        ("outside.testns.svc.cluster.local.", SRV),
        // Endpoints of the other family only.
        ("six.testns.svc.cluster.local.", A),
        ("headless.testns.svc.cluster.local.", AAAA),
        ("dns-version.cluster.local.", A),
    ] {
        assert_eq!(ask(&server, name, kind), denied(0, &[]), "{name} {kind}");
    }
    let reverse = ask(&server, "0.10.in-addr.arpa.", PTR);
    assert_eq!((reverse.code, reverse.answer.len()), (0, 0), "a part of a reverse name");
    assert!(reverse.authority[0].starts_with("in-addr.arpa. 30 SOA ns.dns.in-addr.arpa."), "{reverse:?}");
}

#[test]
fn names_that_do_not_exist() {
    let server = server();
    for name in [
        "nothing.testns.svc.cluster.local.",
        "svc1.nowhere.svc.cluster.local.",
        "x.svc1.testns.svc.cluster.local.",
        "_udp.svc1.testns.svc.cluster.local.",
        "172-0-0-9.headless.testns.svc.cluster.local.",
        "nothing.testns.pod.cluster.local.",
        "10-240-0-256.testns.pod.cluster.local.",
        "a.10-240-0-1.testns.pod.cluster.local.",
        "10-240-0-1.nowhere.pod.cluster.local.",
        "sub.outside.testns.svc.cluster.local.",
        "nothing.cluster.local.",
        // Its port has no name.
        "_http._tcp.dual.testns.svc.cluster.local.",
    ] {
        assert_eq!(ask(&server, name, A), denied(3, &[]), "{name}");
    }
    // RFC 6604: the code is of the last name; the alias is there (coredns#6088).
    let alias = "missing.testns.svc.cluster.local. 30 CNAME nothing.testns.svc.cluster.local.";
    assert_eq!(ask(&server, "missing.testns.svc.cluster.local.", A), denied(3, &[alias]));
}

#[test]
fn what_cannot_be_known_fails() {
    let server = server();
    for name in ["circle.testns.svc.cluster.local.", "outside.testns.svc.cluster.local."] {
        let shown = ask(&server, name, A);
        assert_eq!((shown.code, shown.answer.len()), (2, 0), "{name}");
    }
    assert_eq!(ask(&server, "example.org.", A).code, 2, "no step answers");
    assert_eq!(ask(&server, "cluster.local.", AXFR).code, 5);
    let mut chaos = query("version.bind.", TXT, None);
    let end = chaos.len();
    chaos[end - 1] = 3;
    assert_eq!(Shown::of(&server.udp(&chaos)).code, 5);
}

#[test]
fn nothing_is_denied_before_the_names_are_there() {
    let mut server = Server::unsynced("127.0.0.1:0", KUBERNETES);
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A).code, 2);
    assert_eq!(server.worker.unready(), ["kubernetes"]);
    server.names(true, NAMES, &[]);
    assert_eq!(server.worker.unready(), [""; 0]);
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A).code, 0);
    server.names(false, &[], &["k0 svc1.testns.svc.cluster.local."]);
    // Its ports are still below it: their rows are other rows.
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A), denied(0, &[]));
    server.names(false, &[], &["k0 _http._tcp.svc1.testns.svc.cluster.local."]);
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A), denied(3, &[]));
    server.names(true, &[NAMES[1]], &[]);
    assert_eq!(ask(&server, "dual.testns.svc.cluster.local.", A), denied(3, &[]));
}

/// As between two commits of a Corefile that changes: its rows are there before who asks for them, or after.
#[test]
fn nothing_is_denied_by_a_set_without_rows() {
    let mut server = server();
    let other: Vec<_> = NAMES.iter().map(|(key, row)| (key.replace("k0", "k1"), row.replace("k0", "k1"))).collect();
    let other: Vec<_> = other.iter().map(|(key, row)| (key.as_str(), row.as_str())).collect();
    server.names(true, &other, &[]);
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A).code, 2);
    assert_eq!(ask(&server, "nothing.testns.svc.cluster.local.", A).code, 2);
    assert_eq!(server.worker.unready(), ["kubernetes"]);
    server.names(true, NAMES, &[]);
    assert_eq!(ask(&server, "svc1.testns.svc.cluster.local.", A).code, 0);
    assert_eq!(server.worker.unready(), [""; 0]);
}

#[test]
fn unknown_names_fall_through_where_they_may() {
    let steps = KUBERNETES.replace("\"fallthrough\":null", "\"fallthrough\":[\"in-addr.arpa.\"]");
    let server = Server::start("[::1]:0", &steps, NAMES);
    assert_eq!(ask(&server, "9.9.9.9.in-addr.arpa.", PTR).code, 2, "the next step, of which there is none");
    assert_eq!(ask(&server, "1.0.0.10.in-addr.arpa.", PTR).code, 0);
    assert_eq!(ask(&server, "nothing.cluster.local.", A).code, 3);
}

#[test]
fn addresses_take_turns() {
    let server = server();
    let client = server.client();
    let mut first = std::collections::BTreeMap::<String, usize>::new();
    let mut room = [0; 512];
    for _ in 0..30 {
        client.send(&query("headless.testns.svc.cluster.local.", A, None)).unwrap();
        let length = client.recv(&mut room).unwrap();
        let shown = Shown::of(&room[..length]);
        assert_eq!(shown.answer.len(), 3);
        *first.entry(shown.answer[0].clone()).or_default() += 1;
    }
    assert_eq!(first.into_values().collect::<Vec<_>>(), [10, 10, 10]);
}
