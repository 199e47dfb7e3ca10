//! Steps that change questions and answers of those behind them.

mod common;

use common::{Server, Shown, query};
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const SOA: &str =
    r#"{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}"#;

fn kubernetes() -> String {
    format!(
        r#"{{"plugin":"kubernetes","set":"k0","zones":["cluster.local.","net."],"ttl":30,"fallthrough":null,"soa":{SOA}}}"#
    )
}

const ROWS: &[(&str, &str)] = &[
    ("web.cluster.local.", r#"{"type":"A","ip":"10.0.0.1"}"#),
    ("six.cluster.local.", r#"{"type":"AAAA","ip":"fd00::6"}"#),
    ("both.cluster.local.", r#"{"type":"A","ip":"10.0.0.2"},{"type":"AAAA","ip":"fd00::2"}"#),
    (
        "many.cluster.local.",
        r#"{"type":"A","ip":"10.1.0.1"},{"type":"A","ip":"10.2.0.1"},{"type":"A","ip":"10.3.0.1"}"#,
    ),
    ("alias.cluster.local.", r#"{"type":"CNAME","target":"web.cluster.local."}"#),
    ("out.cluster.local.", r#"{"type":"CNAME","target":"old.net."}"#),
    (
        "_http._tcp.web.cluster.local.",
        r#"{"type":"SRV","priority":0,"weight":100,"port":80,"target":"web.cluster.local."}"#,
    ),
    ("mail.cluster.local.", r#"{"type":"MX","preference":5,"target":"web.cluster.local."}"#),
    ("text.cluster.local.", r#"{"type":"TXT","texts":["hello"]}"#),
    ("new.net.", r#"{"type":"A","ip":"10.0.0.9"}"#),
    ("db.shop.svc.cluster.local.", r#"{"type":"A","ip":"10.0.0.20"}"#),
    ("web.shop.svc.cluster.local.", r#"{"type":"A","ip":"10.0.0.21"}"#),
    ("web.front.svc.cluster.local.", r#"{"type":"A","ip":"10.0.0.22"}"#),
    ("empty.front.svc.cluster.local.", r#"{"type":"TXT","texts":["x"]}"#),
];

fn start(address: &str, steps: &str) -> Server {
    let rows: Vec<(String, String)> = ROWS
        .iter()
        .map(|(name, records)| {
            (format!("k0 {name}"), format!(r#"{{"set":"k0","name":"{name}","records":[{records}]}}"#))
        })
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(key, row)| (&key[..], &row[..])).collect();
    Server::start(address, &format!("{steps},{}", kubernetes()), &rows)
}

fn rewrite(rules: &[&str]) -> String {
    format!(r#"{{"plugin":"rewrite","rules":[{}]}}"#, rules.join(","))
}

fn rule(stop: bool, change: &str) -> String {
    format!(r#"{{"stop":{stop},"change":{{{change}}}}}"#)
}

fn name(how: &str, from: &str, to: &str, auto: bool, answer: &str) -> String {
    format!(
        r#""field":"name","matching":{{"how":"{how}","text":"{from}"}},"to":[{to}],"auto":{auto},"answer":[{answer}]"#
    )
}

fn text(text: &str) -> String {
    format!(r#"{{"text":"{text}"}}"#)
}

#[test]
fn names_are_rewritten_and_put_back() {
    let to = text("web.cluster.local.");
    for (change, asked, kind, answer) in [
        (name("exact", "shop.example.", &to, true, ""), "Shop.Example.", A, "Shop.Example. 30 A 10.0.0.1"),
        (name("prefix", "x-", &text(""), true, ""), "x-web.cluster.local.", A, "x-web.cluster.local. 30 A 10.0.0.1"),
        (name("prefix", "x-", &text(""), false, ""), "x-web.cluster.local.", A, "web.cluster.local. 30 A 10.0.0.1"),
        (
            name("suffix", ".example.", &text(".cluster.local."), true, ""),
            "web.example.",
            A,
            "web.example. 30 A 10.0.0.1",
        ),
        (
            name("suffix", ".example.", &text(".cluster.local."), false, ""),
            "web.example.",
            A,
            "web.cluster.local. 30 A 10.0.0.1",
        ),
        (
            name("substring", "shop", &text("web"), true, ""),
            "shop.cluster.local.",
            A,
            "shop.cluster.local. 30 A 10.0.0.1",
        ),
        (
            name(
                "regex",
                "^([a-z]+)-at-(cluster)\\\\.example\\\\.$",
                r#"{"group":1},{"text":"."},{"group":2},{"text":".local."}"#,
                true,
                "",
            ),
            "web-at-cluster.example.",
            A,
            "web-at-cluster.example. 30 A 10.0.0.1",
        ),
        // Names in data, too.
        (
            name("suffix", ".example.", &text(".cluster.local."), true, ""),
            "_http._tcp.web.example.",
            SRV,
            "_http._tcp.web.example. 30 SRV 0 100 80 web.example.",
        ),
        // As the rules say.
        (
            name(
                "suffix",
                ".example.",
                &text(".cluster.local."),
                false,
                r#"{"what":"name","pattern":"(.*)\\.cluster\\.local\\.$","to":[{"group":1},{"text":".a."}]},{"what":"value","pattern":"^web\\.(.*)$","to":[{"text":"w."},{"group":1}]}"#,
            ),
            "_http._tcp.web.example.",
            SRV,
            "_http._tcp.web.a. 30 SRV 0 100 80 w.cluster.local.",
        ),
    ] {
        let server = start("127.0.0.1:0", &rewrite(&[&rule(true, &change)]));
        let shown = server.ask(asked, kind);
        assert_eq!((shown.code, &shown.answer[..]), (0, &[answer.to_string()][..]), "{change}");
        assert_eq!(
            server.ask("both.cluster.local.", A).answer,
            ["both.cluster.local. 30 A 10.0.0.2"],
            "others are as they were"
        );
    }
    let change = name("suffix", ".example.", &text(".cluster.local."), true, "");
    let mail = start("127.0.0.1:0", &rewrite(&[&rule(true, &change)])).udp(&query("mail.example.", MX, None));
    assert!(mail.windows(13).any(|part| part == b"\x03web\x07example\0"), "the target of MX is put back, too");
}

#[test]
fn rules_follow_on_each_other_unless_told_to_stop() {
    let first = name("exact", "a.example.", &text("b.example."), true, "");
    let second = name("exact", "b.example.", &text("web.cluster.local."), true, "");
    let steps = |stop| rewrite(&[&rule(stop, &first), &rule(true, &second)]);
    assert_eq!(start("127.0.0.1:0", &steps(false)).ask("a.example.", A).answer, ["a.example. 30 A 10.0.0.1"]);
    assert_eq!(start("127.0.0.1:0", &steps(true)).ask("a.example.", A).code, 2);
    let wrong = name("exact", "a.example.", &text("a..b."), true, "");
    assert_eq!(start("127.0.0.1:0", &rewrite(&[&rule(true, &wrong)])).ask("a.example.", A).code, 2, "that is no name");
}

#[test]
fn questions_and_answers_are_rewritten_in_other_ways() {
    let matching = |how: &str, text: &str| format!(r#""matching":{{"how":"{how}","text":"{text}"}}"#);
    let server = |change: &str| start("127.0.0.1:0", &rewrite(&[&rule(true, change)]));
    let shown = server(r#""field":"type","from":15,"to":1"#).udp(&query("web.cluster.local.", MX, None));
    assert_eq!(shown[12 + 19..][..2], [0, 15], "the question is the client's");
    assert_eq!(Shown::of(&shown).answer, ["web.cluster.local. 30 A 10.0.0.1"]);
    let mut chaos = query("web.cluster.local.", A, None);
    *chaos.last_mut().unwrap() = 3;
    let shown = server(r#""field":"class","from":3,"to":1"#).udp(&chaos);
    assert_eq!((Shown::of(&shown).answer.len(), shown[12 + 19 + 3]), (1, 3));
    for (min, max, ttl) in [(60, 60, 60), (0, 10, 10), (20, 40, 30), (100, 2147483647, 100)] {
        let change = format!(r#""field":"ttl",{},"min":{min},"max":{max}"#, matching("suffix", ".local."));
        let server = server(&change);
        assert_eq!(server.ask("web.cluster.local.", A).answer, [format!("web.cluster.local. {ttl} A 10.0.0.1")]);
        assert_eq!(server.ask("new.net.", A).answer, ["new.net. 30 A 10.0.0.9"]);
    }
    let change = format!(r#""field":"rcode",{},"from":3,"to":0"#, matching("regex", "^gone"));
    let server = server(&change);
    assert_eq!(server.ask("gone.cluster.local.", A).code, 0);
    assert_eq!(server.ask("other.cluster.local.", A).code, 3);
    assert_eq!(server.ask("web.cluster.local.", A).code, 0);
}

#[test]
fn aliases_are_led_elsewhere() {
    for (how, from, to) in [
        ("exact", "old.net.", text("new.net.")),
        ("prefix", "old", text("new")),
        ("suffix", "old.net.", text("new.net.")),
        ("substring", "ol", text("new.net.")),
        ("regex", "^(o)(l)d\\\\.(.*)$", r#"{"text":"new."},{"group":3}"#.to_string()),
    ] {
        let change = format!(r#""field":"cname","matching":{{"how":"{how}","text":"{from}"}},"to":[{to}]"#);
        let shown = start("127.0.0.1:0", &rewrite(&[&rule(true, &change)])).ask("out.cluster.local.", A);
        if how == "substring" {
            assert_eq!(shown.answer[0], "out.cluster.local. 30 CNAME new.net.d.net.");
            continue;
        }
        assert_eq!(shown.answer, ["out.cluster.local. 30 CNAME new.net.", "new.net. 30 A 10.0.0.9"], "{how}");
    }
    // What an alias leads to is rewritten, too, when it is looked up.
    let change = name("exact", "old.net.", &text("new.net."), true, "");
    let shown = start("127.0.0.1:0", &rewrite(&[&rule(true, &change)])).ask("old.net.", A);
    assert_eq!(shown.answer, ["old.net. 30 A 10.0.0.9"]);
    let plain = start("127.0.0.1:0", &rewrite(&[&rule(true, &change)])).ask("alias.cluster.local.", A);
    assert_eq!(plain.answer, ["alias.cluster.local. 30 CNAME web.cluster.local.", "web.cluster.local. 30 A 10.0.0.1"]);
}

/// Answers every query with 192.0.2.53, AAAA with nothing, and keeps what it was asked.
fn upstream() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    std::thread::spawn(move || {
        let mut room = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut room) {
            list.lock().unwrap().push(room[..length].to_vec());
            let end = room[12..].iter().position(|octet| *octet == 0).unwrap() + 17;
            let has = room[end - 3] == 1;
            let head = [room[0], room[1], 0x81, 0x80, 0, 1, 0, u8::from(has), 0, 0, 0, 0];
            let record: &[u8] = if has { b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x35" } else { b"" };
            let _ = socket.send_to(&[&head, &room[12..end], record].concat(), from);
        }
    });
    (address, seen)
}

fn forward(address: SocketAddr) -> String {
    format!(
        r#"{{"plugin":"forward","from":".","except":["cluster.local."],"upstreams":[{{"transport":"dns","address":"127.0.0.1","port":{}}}],
        "policy":"sequential","forceTcp":false,"preferUdp":false,"expireMs":10000,"readTimeoutMs":2000,"maxFails":2,"next":[],
        "nextOnNodata":false,"failover":[],"failFast":false,"healthCheck":{{"intervalMs":500,"recursionDesired":true,"domain":"."}},"tls":{{}}}}"#,
        address.port()
    )
}

/// The data of OPT, which is the last record.
fn options(packet: &[u8]) -> Vec<u8> {
    let start = packet.windows(3).rposition(|part| part == [0, 0, 41]).unwrap();
    packet[start + 11..].to_vec()
}

#[test]
fn servers_are_told_what_the_rules_say() {
    let with = |options: &[u8]| {
        let mut packet = query("a.example.org.", A, Some(1232));
        let length = packet.len();
        packet[length - 1] = options.len() as u8;
        [packet, options.to_vec()].concat()
    };
    let change = |action: &str, option: &str, revert: bool| {
        format!(r#""field":"edns0","action":"{action}","option":{option},"revert":{revert}"#)
    };
    let local = |data: &str| format!(r#"{{"kind":"local","code":65518,"data":{data}}}"#);
    let octets = local(r#"{"octets":"abcd"}"#);
    let subnet = r#"{"kind":"subnet","ipv4Bits":24,"ipv6Bits":56}"#;
    let ours = b"\xff\xee\0\x02\xab\xcd";
    let theirs = b"\xff\xee\0\x01\x07";
    for (rule_text, sent, told, seen) in [
        (change("set", &octets, false), &b""[..], &ours[..], &ours[..]),
        (change("set", &octets, true), b"", ours, b""),
        (change("set", &octets, true), theirs, ours, theirs),
        (change("set", &octets, false), theirs, ours, ours),
        (change("replace", &octets, false), b"", b"", b""),
        (change("replace", &octets, false), theirs, ours, ours),
        (change("append", &octets, true), b"", ours, b""),
        (change("unset", &octets, false), theirs, b"", b""),
        (change("set", subnet, true), b"", b"\0\x08\0\x07\0\x01\x18\0\x7f\0\0", b""),
        (change("set", r#"{"kind":"nsid"}"#, true), b"", b"\0\x03\0\0", b""),
        (change("set", &local(r#"{"variable":"qname"}"#), true), b"", b"\xff\xee\0\x0ea.example.org.", b""),
        (change("set", &local(r#"{"variable":"qtype"}"#), true), b"", b"\xff\xee\0\x02\0\x01", b""),
        (change("set", &local(r#"{"variable":"clientIp"}"#), true), b"", b"\xff\xee\0\x04\x7f\0\0\x01", b""),
        (change("set", &local(r#"{"variable":"protocol"}"#), true), b"", b"\xff\xee\0\x03udp", b""),
        (change("set", &local(r#"{"variable":"serverIp"}"#), true), b"", b"\xff\xee\0\x04\x7f\0\0\x01", b""),
    ] {
        let (address, asked) = upstream();
        let server = start("127.0.0.1:0", &format!("{},{}", rewrite(&[&rule(true, &rule_text)]), forward(address)));
        let answer = server.udp(&with(sent));
        assert_eq!(Shown::of(&answer).answer, ["a.example.org. 300 A 192.0.2.53"]);
        assert_eq!(options(&asked.lock().unwrap()[0]), told, "told by {rule_text}");
        assert_eq!(options(&answer), seen, "seen after {rule_text} of {sent:?}");
        let plain = Shown::of(&server.udp(&query("a.example.org.", A, None)));
        assert_eq!((plain.code, plain.additional.len()), (0, 0), "a client without EDNS sees none");
    }
}

#[test]
fn what_is_known_of_a_query_goes_into_what_is_asked() {
    let metadata = r#"{"plugin":"metadata","zones":["cluster.local.","org."],
        "kubernetes":{"zones":["cluster.local."],"multicluster":[],"clients":"k0-clients"}}"#;
    let told = |label: &str| {
        let option = format!(r#"{{"kind":"local","code":65518,"data":{{"metadata":"{label}"}}}}"#);
        rule(true, &format!(r#""field":"edns0","action":"set","option":{option},"revert":true"#))
    };
    let client = r#"{"set":"k0-clients","name":"1.0.0.127.in-addr.arpa.","records":[{"type":"TXT","texts":["shop","cart-0","app=web"]}]}"#;
    for (label, value) in [
        ("kubernetes/client-namespace", "shop"),
        ("kubernetes/client-pod-name", "cart-0"),
        ("kubernetes/client-label/app", "web"),
        ("kubernetes/client-label/ap", ""),
        ("kubernetes/service", ""),
        ("nobody/says", ""),
    ] {
        let (address, asked) = upstream();
        let steps = format!("{metadata},{},{}", rewrite(&[&told(label)]), forward(address));
        let mut server = start("127.0.0.1:0", &steps);
        server.names(false, &[("k0-clients 1.0.0.127.in-addr.arpa.", client)], &[]);
        server.udp(&query("a.example.org.", A, None));
        let option = [&b"\xff\xee\0"[..], &[value.len() as u8], value.as_bytes()].concat();
        let wanted = if value.is_empty() { Vec::new() } else { option };
        assert_eq!(options(&asked.lock().unwrap()[0]), wanted, "{label}");
        server.udp(&query("a.example.com.", A, None));
        let seen = asked.lock().unwrap();
        let other = seen.iter().find(|packet| packet[12..].windows(3).any(|part| part.eq_ignore_ascii_case(b"com")));
        assert_eq!(options(other.unwrap()), b"", "the name is in none of the zones");
    }
    // CoreDNS's example: a short name is looked up in the namespace of who asks.
    let to = r#"{"group":1},{"text":"."},{"metadata":"kubernetes/client-namespace"},{"text":".svc.cluster.local."}"#;
    let own = rule(true, &name("regex", r"^([^.]+)\\.example\\.org\\.$", to, true, ""));
    let mut server = start("127.0.0.1:0", &format!("{metadata},{}", rewrite(&[&own])));
    assert_eq!(server.ask("db.example.org.", A).code, 2, "nobody knows who asks: the rule is passed over");
    server.names(false, &[("k0-clients 1.0.0.127.in-addr.arpa.", client)], &[]);
    assert_eq!(server.ask("db.example.org.", A).answer, ["db.example.org. 30 A 10.0.0.20"]);
}

fn dns64(prefix: &str, all: bool, ipv4: bool) -> String {
    format!(r#"{{"plugin":"dns64","prefix":"{prefix}","translateAll":{all},"allowIpv4":{ipv4}}}"#)
}

#[test]
fn addresses_are_translated() {
    let server = start("[::1]:0", &dns64("64:ff9b::/96", false, false));
    assert_eq!(server.ask("web.cluster.local.", AAAA).answer, ["web.cluster.local. 5 AAAA 64:ff9b::a00:1"]);
    assert_eq!(server.ask("six.cluster.local.", AAAA).answer, ["six.cluster.local. 30 AAAA fd00::6"]);
    assert_eq!(server.ask("both.cluster.local.", AAAA).answer, ["both.cluster.local. 30 AAAA fd00::2"]);
    assert_eq!(server.ask("web.cluster.local.", A).answer, ["web.cluster.local. 30 A 10.0.0.1"]);
    assert_eq!(
        server.ask("alias.cluster.local.", AAAA).answer,
        ["alias.cluster.local. 30 CNAME web.cluster.local.", "web.cluster.local. 5 AAAA 64:ff9b::a00:1"]
    );
    let gone = server.ask("gone.cluster.local.", AAAA);
    assert_eq!((gone.code, gone.authority.len()), (3, 1), "a name that does not exist has no address to translate");
    let text = server.ask("text.cluster.local.", AAAA);
    assert_eq!((text.code, text.answer.len(), text.authority.len()), (0, 0, 1));
    let all = start("[::1]:0", &dns64("64:ff9b::/96", true, false));
    assert_eq!(all.ask("both.cluster.local.", AAAA).answer, ["both.cluster.local. 30 AAAA 64:ff9b::a00:2"]);
    let four = start("127.0.0.1:0", &dns64("64:ff9b::/96", false, false));
    assert_eq!(four.ask("web.cluster.local.", AAAA).answer.len(), 0, "who asks over IPv4 has it");
    // RFC 6052 2.4, as far as 10.0.0.1 shows it.
    for (prefix, address) in [
        ("2001:db8::/32", "2001:db8:a00:1::"),
        ("2001:db8:100::/40", "2001:db8:10a:0:1::"),
        ("2001:db8:122::/48", "2001:db8:122:a00:0:100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:30a:0:1::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:a:0:100:0"),
    ] {
        let server = start("127.0.0.1:0", &dns64(prefix, false, true));
        let shown = server.ask("web.cluster.local.", AAAA).answer;
        let ip: std::net::Ipv6Addr = address.parse().unwrap();
        assert_eq!(shown, [format!("web.cluster.local. 5 AAAA {ip}")], "{prefix}");
    }
}

#[test]
fn addresses_of_others_are_translated() {
    let (address, asked) = upstream();
    let server = start("[::1]:0", &format!("{},{}", dns64("64:ff9b::/96", false, false), forward(address)));
    assert_eq!(server.ask("a.example.org.", AAAA).answer, ["a.example.org. 300 AAAA 64:ff9b::c000:235"]);
    // More than once where an answer took longer than 600 ms.
    let kinds: BTreeSet<u8> = asked.lock().unwrap().iter().map(|packet| packet[12 + 15 + 1]).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [A as u8, AAAA as u8]);
    // Who validates by himself gets what is signed.
    let mut packet = query("b.example.org.", AAAA, Some(1232));
    packet[3] |= 0x10;
    let length = packet.len();
    packet[length - 4] = 0x80;
    assert_eq!(Shown::of(&server.udp(&packet)).answer.len(), 0);
}

#[test]
fn addresses_of_preferred_networks_come_first() {
    let server = start("127.0.0.1:0", r#"{"plugin":"loadbalance","prefer":["10.3.0.0/16","10.1.0.0/16"]}"#);
    for _ in 0..6 {
        let shown = server.ask("many.cluster.local.", A);
        assert_eq!(
            shown.answer,
            [3, 1, 2].map(|network| format!("many.cluster.local. 30 A 10.{network}.0.1")),
            "whosever turn it is"
        );
    }
    let chain = server.ask("alias.cluster.local.", A).answer;
    assert!(chain[0].contains("CNAME"), "{chain:?}");
}

#[test]
fn search_lists_are_walked_here() {
    let (address, _) = upstream();
    let autopath = r#"{"plugin":"autopath","zones":["."],"pods":null,"search":["front.svc.cluster.local.","shop.svc.cluster.local.","svc.cluster.local.","cluster.local."]}"#;
    let server = start("127.0.0.1:0", &format!("{autopath},{}", forward(address)));
    assert_eq!(server.ask("web.front.svc.cluster.local.", A).answer, ["web.front.svc.cluster.local. 30 A 10.0.0.22"]);
    assert_eq!(
        server.ask("DB.front.svc.cluster.local.", A).answer,
        [
            "DB.front.svc.cluster.local. 30 CNAME DB.shop.svc.cluster.local.",
            "DB.shop.svc.cluster.local. 30 A 10.0.0.20"
        ]
    );
    assert_eq!(
        server.ask("a.example.org.front.svc.cluster.local.", A).answer,
        ["a.example.org.front.svc.cluster.local. 300 CNAME a.example.org.", "a.example.org. 300 A 192.0.2.53"]
    );
    let empty = server.ask("empty.front.svc.cluster.local.", A);
    assert_eq!(
        (empty.code, empty.answer.len(), empty.authority.len()),
        (0, 0, 1),
        "a name that exists ends the search"
    );
    assert_eq!(
        server.ask("text.front.svc.cluster.local.", TXT).answer[0],
        "text.front.svc.cluster.local. 30 CNAME text.cluster.local."
    );
    let shop = server.ask("db.shop.svc.cluster.local.", A);
    assert_eq!(shop.answer, ["db.shop.svc.cluster.local. 30 A 10.0.0.20"], "other search domains are not walked from");
    let nothing = start("127.0.0.1:0", autopath).ask("gone.front.svc.cluster.local.", A);
    assert_eq!((nothing.code, nothing.authority.len()), (3, 1), "what nobody knows is denied as it was asked");
    assert_eq!(server.ask("out.cluster.local.", CNAME).answer, ["out.cluster.local. 30 CNAME old.net."]);
}

#[test]
fn search_lists_are_those_of_the_namespace_that_a_client_is_in() {
    let autopath = r#"{"plugin":"autopath","zones":["."],"search":["corp.example."],"pods":{"set":"k0-clients","zones":["cluster.local."]}}"#;
    let mut server = start("127.0.0.1:0", autopath);
    assert_eq!(server.ask("db.front.svc.cluster.local.", A).code, 3, "nobody knows who asks");
    let client =
        |records: &str| format!(r#"{{"set":"k0-clients","name":"1.0.0.127.in-addr.arpa.","records":[{records}]}}"#);
    let is = |server: &mut Server, records: &str| {
        server.names(false, &[("k0-clients 1.0.0.127.in-addr.arpa.", &client(records))], &[]);
    };
    is(&mut server, r#"{"type":"TXT","texts":["front","web-1"]}"#);
    assert_eq!(
        server.ask("db.shop.front.svc.cluster.local.", A).answer,
        [
            "db.shop.front.svc.cluster.local. 30 CNAME db.shop.svc.cluster.local.",
            "db.shop.svc.cluster.local. 30 A 10.0.0.20"
        ]
    );
    assert_eq!(server.ask("web.front.svc.cluster.local.", A).answer, ["web.front.svc.cluster.local. 30 A 10.0.0.22"]);
    assert_eq!(server.ask("new.net.front.svc.cluster.local.", A).answer[1], "new.net. 30 A 10.0.0.9");
    assert_eq!(server.ask("db.shop.shop.svc.cluster.local.", A).code, 3, "that is another namespace's search domain");
    is(&mut server, r#"{"type":"TXT","texts":["shop"]}"#);
    assert_eq!(server.ask("db.shop.front.svc.cluster.local.", A).code, 3, "the address is another pod's now");
    assert_eq!(server.ask("db.shop.shop.svc.cluster.local.", A).answer.len(), 2);
    is(&mut server, "");
    assert_eq!(server.ask("db.shop.shop.svc.cluster.local.", A).code, 3, "pods that share the address do not agree");
}

#[test]
fn answers_that_do_not_fit_are_cut_as_ever() {
    let texts: Vec<String> = (0..120).map(|at| format!(r#"{{"type":"A","ip":"10.9.0.{at}"}}"#)).collect();
    let row = format!(r#"{{"set":"k0","name":"lots.cluster.local.","records":[{}]}}"#, texts.join(","));
    let change = name("exact", "lots.example.", &text("lots.cluster.local."), true, "");
    let steps = format!("{},{}", rewrite(&[&rule(true, &change)]), kubernetes());
    let server = Server::start("127.0.0.1:0", &steps, &[("k0 lots.cluster.local.", &row)]);
    let cut = Shown::of(&server.udp(&query("lots.example.", A, Some(512))));
    assert_eq!((cut.flags.as_str(), cut.answer.len(), cut.additional.len()), ("aa tc rd", 0, 1));
    let whole = Shown::of(&server.tcp(&query("lots.example.", A, None)));
    assert_eq!((whole.flags.as_str(), whole.answer.len()), ("aa rd", 120));
}
