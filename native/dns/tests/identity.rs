//! Steps that say who is asked and who asks, and small changes to every answer.

mod common;

use common::{Server, Shown, query};

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
const NAMES: common::Rows = &[
    ("k0 web.cluster.local.", r#"{"set":"k0","name":"web.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"}]}"#),
    (
        "k0 cluster.local.",
        r#"{"set":"k0","name":"cluster.local.","records":[{"type":"NS","target":"web.cluster.local."}]}"#,
    ),
];

fn chaos(name: &str, kind: u16) -> Vec<u8> {
    let mut packet = query(name, kind, None);
    *packet.last_mut().unwrap() = 3;
    packet
}

#[test]
fn localhost_is_answered_here() {
    let local = |prefix: bool| format!(r#"{{"plugin":"local","localhostPrefix":{prefix}}},{KUBERNETES}"#);
    let server = Server::start("127.0.0.1:0", &local(true), NAMES);
    for (name, kind, answer) in [
        ("localhost.", A, "localhost. 604800 A 127.0.0.1"),
        ("LocalHost.", AAAA, "LocalHost. 604800 AAAA ::1"),
        ("localhost.", NS, "localhost. 604800 NS localhost."),
        ("a.localhost.", A, "a.localhost. 604800 A 127.0.0.1"),
        ("localhost.example.org.", A, "localhost.example.org. 604800 A 127.0.0.1"),
        ("127.in-addr.arpa.", NS, "127.in-addr.arpa. 604800 NS localhost."),
        ("1.0.0.127.in-addr.arpa.", PTR, "1.0.0.127.in-addr.arpa. 604800 PTR localhost."),
        ("0.in-addr.arpa.", SOA, "0.in-addr.arpa. 604800 SOA localhost. root.localhost. SERIAL 0 0 0 604800"),
    ] {
        let shown = server.ask(name, kind);
        assert_eq!((shown.code, shown.flags.as_str(), &shown.answer[..]), (0, "rd", &[answer.to_string()][..]));
    }
    for (name, kind, code, zone) in [
        ("localhost.", TXT, 0, "localhost."),
        ("a.localhost.", TXT, 0, "a.localhost."),
        ("127.in-addr.arpa.", A, 0, "127.in-addr.arpa."),
        ("2.0.0.127.in-addr.arpa.", PTR, 3, "127.in-addr.arpa."),
        ("1.0.0.127.in-addr.arpa.", A, 0, "127.in-addr.arpa."),
    ] {
        let shown = server.ask(name, kind);
        let soa = format!("{zone} 604800 SOA localhost. root.localhost. SERIAL 0 0 0 604800");
        assert_eq!((shown.code, shown.answer.len(), &shown.authority[..]), (code, 0, &[soa][..]), "{name} {kind}");
    }
    assert_eq!(server.ask("web.cluster.local.", A).answer.len(), 1, "the next step is asked for the rest");
    let server = Server::start("127.0.0.1:0", &local(false), NAMES);
    assert_eq!(server.ask("localhost.example.org.", A).code, 2, "without the switch that is a name like any other");
}

#[test]
fn bind_says_who_it_is() {
    let steps = format!(r#"{{"plugin":"chaos","version":"Fairlead-1","authors":["ann","bob"]}},{KUBERNETES}"#);
    let server = Server::start("127.0.0.1:0", &steps, NAMES);
    let ask = |name: &str, kind| Shown::of(&server.udp(&chaos(name, kind)));
    for name in ["version.bind.", "VERSION.server."] {
        assert_eq!(ask(name, TXT).answer, [format!("{name} 0 TXT \"Fairlead-1\"")]);
    }
    let mut authors = ask("authors.bind.", TXT).answer;
    authors.sort();
    assert_eq!(authors, ["authors.bind. 0 TXT \"ann\"", "authors.bind. 0 TXT \"bob\""]);
    assert_eq!((ask("id.server.", TXT).answer.len(), ask("hostname.bind.", TXT).answer.len()), (1, 1));
    assert_eq!(ask("other.bind.", TXT).code, 5);
    assert_eq!(ask("version.bind.", A).code, 5);
    assert_eq!(ask("web.cluster.local.", A).code, 5, "the cluster is in class IN");
    let packet = server.udp(&chaos("version.bind.", TXT));
    assert_eq!(packet[packet.len() - 11 - 8..][..2], [0, 3], "the record is of class CH");
}

#[test]
fn clients_hear_who_they_are() {
    let server = Server::start("127.0.0.1:0", r#"{"plugin":"whoami"}"#, NAMES);
    let client = server.client();
    client.send(&query("Who.Am.I.", A, None)).unwrap();
    let mut room = [0; 512];
    let length = client.recv(&mut room).unwrap();
    let shown = Shown::of(&room[..length]);
    let port = client.local_addr().unwrap().port();
    assert_eq!((shown.code, shown.flags.as_str(), shown.answer.len()), (0, "aa rd", 0));
    assert_eq!(shown.additional, ["Who.Am.I. 0 A 127.0.0.1".to_string(), format!("_udp.Who.Am.I. 0 SRV 0 0 {port} .")]);
    let shown = Shown::of(&server.tcp(&query(".", AAAA, None)));
    assert!(shown.additional[1].starts_with("_tcp. 0 SRV 0 0 "), "{shown:?}");
}

#[test]
fn identifiers_are_for_who_asks_for_them() {
    let server = Server::start("127.0.0.1:0", &format!(r#"{{"plugin":"nsid","data":"node-1"}},{KUBERNETES}"#), NAMES);
    let mut packet = query("web.cluster.local.", A, Some(1232));
    assert!(Shown::of(&server.udp(&packet)).additional[0].ends_with("data 0"));
    *packet.last_mut().unwrap() = 4;
    packet.extend([0, 3, 0, 0]);
    let answer = server.udp(&packet);
    assert!(Shown::of(&answer).additional[0].ends_with("data 10"));
    assert!(answer.ends_with(b"\0\x03\0\x06node-1"));
}

#[test]
fn flags_are_set_and_cleared() {
    let header = |query: &str, response: &str| {
        let steps = format!(r#"{{"plugin":"header","query":[{query}],"response":[{response}]}},{KUBERNETES}"#);
        Server::start("127.0.0.1:0", &steps, NAMES).ask("web.cluster.local.", A).flags
    };
    let rule = |flag: &str, set: bool| format!(r#"{{"flag":"{flag}","set":{set}}}"#);
    assert_eq!(header("", &rule("aa", false)), "rd");
    assert_eq!(header("", &rule("ra", true)), "aa rd ra");
    assert_eq!(header("", &rule("rd", false)), "aa");
    assert_eq!(header(&rule("rd", false), ""), "aa");
    assert_eq!(header(&rule("rd", false), &rule("rd", true)), "aa rd");
}

#[test]
fn answers_are_as_small_as_can_be() {
    let server = Server::start("127.0.0.1:0", &format!(r#"{{"plugin":"minimal"}},{KUBERNETES}"#), NAMES);
    let shown = server.ask("cluster.local.", NS);
    assert_eq!((shown.answer.len(), shown.additional.len()), (1, 0));
    let denied = server.ask("gone.cluster.local.", A);
    assert_eq!((denied.code, denied.authority.len()), (3, 1), "a denial needs its SOA record");
}

#[test]
fn what_is_kept_from_clients_is_said_to_be() {
    let rule = |action: &str| {
        let policy = format!(r#"{{"zones":["."],"policies":[{{"action":"{action}","types":[],"networks":[]}}]}}"#);
        format!(r#"{{"plugin":"acl","rules":[{policy}]}},{KUBERNETES}"#)
    };
    for (action, code, error) in [("block", 5, 15), ("filter", 0, 17)] {
        let server = Server::start("127.0.0.1:0", &rule(action), NAMES);
        let answer = server.udp(&query("web.cluster.local.", A, Some(1232)));
        assert_eq!(Shown::of(&answer).code, code);
        assert!(answer.ends_with(&[0, 15, 0, 2, 0, error]), "extended error {error} in {answer:?}");
        let plain = Shown::of(&server.udp(&query("web.cluster.local.", A, None)));
        assert_eq!((plain.code, plain.additional.len()), (code, 0), "who does not speak EDNS gets none");
    }
}
