//! Zones of files, as an authoritative server answers them.

mod common;

use common::{Server, Shown, query};

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const DNAME: u16 = 39;
const DS: u16 = 43;
const AXFR: u16 = 252;
const ANY: u16 = 255;

const FILE: &str = r#"{"plugin":"file","zones":[{"zone":"example.org.","set":"f0"},{"zone":"sub.example.org.","set":"f1"}],"fallthrough":null}"#;
const NEGATIVE: &str = "example.org. 300 SOA ns.example.org. host.example.org. SERIAL 7200 1800 86400 300";
const SERVER: &str = "example.org. 3600 NS ns.example.org.";

const ROWS: &[(&str, &str)] = &[
    (
        "example.org.",
        r#"{"type":"SOA","mname":"ns.example.org.","rname":"host.example.org.","serial":1,"refresh":7200,"retry":1800,"expire":86400,"minimum":300,"ttl":3600},
           {"type":"NS","target":"ns.example.org.","ttl":3600},{"type":"MX","preference":10,"target":"mail.example.org.","ttl":60}"#,
    ),
    ("ns.example.org.", r#"{"type":"A","ip":"192.0.2.53","ttl":3600}"#),
    ("mail.example.org.", r#"{"type":"A","ip":"192.0.2.25","ttl":60},{"type":"AAAA","ip":"2001:db8::25","ttl":60}"#),
    ("www.example.org.", r#"{"type":"CNAME","target":"web.example.org.","ttl":60}"#),
    (
        "web.example.org.",
        r#"{"type":"A","ip":"192.0.2.80","ttl":60},{"type":"OTHER","code":65280,"data":"00ff","ttl":60}"#,
    ),
    ("a.b.c.example.org.", r#"{"type":"TXT","texts":["deep"],"ttl":60}"#),
    (
        "*.wild.example.org.",
        r#"{"type":"A","ip":"192.0.2.99","ttl":60},{"type":"MX","preference":1,"target":"mail.example.org.","ttl":60}"#,
    ),
    ("there.wild.example.org.", r#"{"type":"TXT","texts":["own"],"ttl":60}"#),
    ("x.between.wild.example.org.", r#"{"type":"TXT","texts":["x"],"ttl":60}"#),
    ("*.alias.example.org.", r#"{"type":"CNAME","target":"web.example.org.","ttl":60}"#),
    (
        "child.example.org.",
        r#"{"type":"NS","target":"ns.child.example.org.","ttl":600},{"type":"OTHER","code":43,"data":"000105010a","ttl":600}"#,
    ),
    ("ns.child.example.org.", r#"{"type":"A","ip":"192.0.2.54","ttl":600}"#),
    (
        "old.example.org.",
        r#"{"type":"OTHER","code":39,"data":"076578616d706c65036f726700","ttl":600},{"type":"TXT","texts":["kept"],"ttl":60}"#,
    ),
    ("away.example.org.", r#"{"type":"CNAME","target":"www.example.net.","ttl":60}"#),
    ("gone.example.org.", r#"{"type":"CNAME","target":"nothing.example.org.","ttl":60}"#),
    ("down.example.org.", r#"{"type":"CNAME","target":"x.child.example.org.","ttl":60}"#),
    ("one.example.org.", r#"{"type":"CNAME","target":"two.example.org.","ttl":60}"#),
    ("two.example.org.", r#"{"type":"CNAME","target":"one.example.org.","ttl":60}"#),
];

fn start(steps: &str) -> Server {
    let rows: Vec<(String, String)> = ROWS
        .iter()
        .map(|(name, records)| {
            (format!("f0 {name}"), format!(r#"{{"set":"f0","name":"{name}","records":[{records}]}}"#))
        })
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(key, row)| (&key[..], &row[..])).collect();
    Server::start("127.0.0.1:0", steps, &rows)
}

type Case<'a> = (&'a str, u16, u16, &'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[test]
fn names_of_a_zone() {
    let server = start(FILE);
    let cases: &[Case] = &[
        (
            "example.org.",
            SOA,
            0,
            "aa",
            &["example.org. 3600 SOA ns.example.org. host.example.org. SERIAL 7200 1800 86400 300"],
            &[SERVER],
            &[],
        ),
        ("example.org.", NS, 0, "aa", &[SERVER], &[], &["ns.example.org. 3600 A 192.0.2.53"]),
        ("EXAMPLE.org.", A, 0, "aa", &[], &[NEGATIVE], &[]),
        ("web.example.org.", A, 0, "aa", &["web.example.org. 60 A 192.0.2.80"], &[SERVER], &[]),
        ("web.example.org.", 65280, 0, "aa", &["web.example.org. 60 TYPE65280 [0, 255]"], &[SERVER], &[]),
        ("web.example.org.", AAAA, 0, "aa", &[], &[NEGATIVE], &[]),
        (
            "www.example.org.",
            A,
            0,
            "aa",
            &["www.example.org. 60 CNAME web.example.org.", "web.example.org. 60 A 192.0.2.80"],
            &[SERVER],
            &[],
        ),
        ("www.example.org.", CNAME, 0, "aa", &["www.example.org. 60 CNAME web.example.org."], &[SERVER], &[]),
        ("www.example.org.", AAAA, 0, "aa", &["www.example.org. 60 CNAME web.example.org."], &[NEGATIVE], &[]),
        ("gone.example.org.", A, 3, "aa", &["gone.example.org. 60 CNAME nothing.example.org."], &[NEGATIVE], &[]),
        ("nothing.example.org.", A, 3, "aa", &[], &[NEGATIVE], &[]),
        // Empty non-terminals.
        ("b.c.example.org.", A, 0, "aa", &[], &[NEGATIVE], &[]),
        ("c.example.org.", TXT, 0, "aa", &[], &[NEGATIVE], &[]),
        // Wildcards, of the closest name that exists only.
        ("any.wild.example.org.", A, 0, "aa", &["any.wild.example.org. 60 A 192.0.2.99"], &[SERVER], &[]),
        ("a.b.wild.example.org.", A, 0, "aa", &["a.b.wild.example.org. 60 A 192.0.2.99"], &[SERVER], &[]),
        ("any.wild.example.org.", TXT, 0, "aa", &[], &[NEGATIVE], &[]),
        ("there.wild.example.org.", A, 0, "aa", &[], &[NEGATIVE], &[]),
        ("x.there.wild.example.org.", A, 3, "aa", &[], &[NEGATIVE], &[]),
        ("between.wild.example.org.", A, 0, "aa", &[], &[NEGATIVE], &[]),
        ("y.between.wild.example.org.", A, 3, "aa", &[], &[NEGATIVE], &[]),
        ("wild.example.org.", A, 0, "aa", &[], &[NEGATIVE], &[]),
        (
            "z.alias.example.org.",
            A,
            0,
            "aa",
            &["z.alias.example.org. 60 CNAME web.example.org.", "web.example.org. 60 A 192.0.2.80"],
            &[SERVER],
            &[],
        ),
        // Delegations.
        (
            "child.example.org.",
            A,
            0,
            "",
            &[],
            &["child.example.org. 600 NS ns.child.example.org."],
            &["ns.child.example.org. 600 A 192.0.2.54"],
        ),
        (
            "ns.child.example.org.",
            A,
            0,
            "",
            &[],
            &["child.example.org. 600 NS ns.child.example.org."],
            &["ns.child.example.org. 600 A 192.0.2.54"],
        ),
        (
            "x.y.child.example.org.",
            NS,
            0,
            "",
            &[],
            &["child.example.org. 600 NS ns.child.example.org."],
            &["ns.child.example.org. 600 A 192.0.2.54"],
        ),
        ("child.example.org.", DS, 0, "aa", &["child.example.org. 600 TYPE43 [0, 1, 5, 1, 10]"], &[SERVER], &[]),
        (
            "down.example.org.",
            A,
            0,
            "aa",
            &["down.example.org. 60 CNAME x.child.example.org."],
            &["child.example.org. 600 NS ns.child.example.org."],
            &["ns.child.example.org. 600 A 192.0.2.54"],
        ),
        // DNAME.
        (
            "web.old.example.org.",
            A,
            0,
            "aa",
            &[
                "old.example.org. 600 TYPE39 [7, 101, 120, 97, 109, 112, 108, 101, 3, 111, 114, 103, 0]",
                "web.old.example.org. 600 CNAME web.example.org.",
                "web.example.org. 60 A 192.0.2.80",
            ],
            &[SERVER],
            &[],
        ),
        ("old.example.org.", TXT, 0, "aa", &["old.example.org. 60 TXT \"kept\""], &[SERVER], &[]),
        (
            "old.example.org.",
            DNAME,
            0,
            "aa",
            &["old.example.org. 600 TYPE39 [7, 101, 120, 97, 109, 112, 108, 101, 3, 111, 114, 103, 0]"],
            &[SERVER],
            &[],
        ),
        // What is elsewhere is for who asks to look up.
        ("away.example.org.", A, 0, "aa", &["away.example.org. 60 CNAME www.example.net."], &[], &[]),
        ("example.org.", ANY, 0, "aa", &["example.org. 8482 TYPE13 [7, 82, 70, 67, 56, 52, 56, 50, 0]"], &[], &[]),
    ];
    for (name, kind, code, flags, answer, authority, additional) in cases {
        for packet in [server.udp(&query(name, *kind, None)), server.tcp(&query(name, *kind, None))] {
            let shown = Shown::of(&packet);
            let flags = if flags.is_empty() { "rd".to_string() } else { format!("{flags} rd") };
            let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
            let expected = Shown {
                code: *code,
                flags,
                answer: owned(answer),
                authority: owned(authority),
                additional: owned(additional),
            };
            let lower = |records: &[String]| records.iter().map(|text| text.replace("EXAMPLE", "example")).collect();
            let shown = Shown { authority: lower(&shown.authority), ..shown };
            assert_eq!(shown, expected, "{name} {kind}");
        }
    }
    let mail = server.ask("example.org.", MX);
    assert_eq!(mail.additional, ["mail.example.org. 60 A 192.0.2.25", "mail.example.org. 60 AAAA 2001:db8::25"]);
    let long =
        format!("{}.old.example.org.", ["x".repeat(60), "y".repeat(60), "z".repeat(60), "w".repeat(50)].join("."));
    assert_eq!(server.ask(&long, A).code, 0, "it is shorter without old");
    assert_eq!(server.ask("one.example.org.", A).code, 2, "a circle");
    assert_eq!(server.ask("example.org.", AXFR).code, 5);
    assert_eq!(server.ask("x.sub.example.org.", A).code, 2, "a zone that is not loaded");
    assert_eq!(server.ask("example.net.", A).code, 2);
}

#[test]
fn names_that_a_zone_does_not_have_may_be_asked_of_the_next_step() {
    let falls = FILE.replace("null", r#"["c.example.org.","more.example.org."]"#);
    let kubernetes = r#"{"plugin":"kubernetes","set":"k0","zones":["example.org.","example.net."],"ttl":5,"fallthrough":null,
        "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
    let mut server = start(&format!("{falls},{kubernetes}"));
    server.names(
        false,
        &[
            (
                "k0 x.more.example.org.",
                r#"{"set":"k0","name":"x.more.example.org.","records":[{"type":"A","ip":"10.0.0.1"}]}"#,
            ),
            (
                "k0 web.example.org.",
                r#"{"set":"k0","name":"web.example.org.","records":[{"type":"A","ip":"10.0.0.2"}]}"#,
            ),
            (
                "k0 www.example.net.",
                r#"{"set":"k0","name":"www.example.net.","records":[{"type":"A","ip":"10.0.0.3"}]}"#,
            ),
            ("k0 c.example.org.", r#"{"set":"k0","name":"c.example.org.","records":[{"type":"A","ip":"10.0.0.4"}]}"#),
        ],
        &[],
    );
    assert_eq!(server.ask("x.more.example.org.", A).answer, ["x.more.example.org. 5 A 10.0.0.1"]);
    assert_eq!(
        server.ask("c.example.org.", A).answer,
        ["c.example.org. 5 A 10.0.0.4"],
        "CoreDNS lets what is only part of names fall through"
    );
    assert_eq!(server.ask("web.example.org.", A).answer, ["web.example.org. 60 A 192.0.2.80"]);
    assert_eq!(server.ask("other.example.org.", A).code, 3);
    assert_eq!(
        server.ask("away.example.org.", A).answer,
        ["away.example.org. 60 CNAME www.example.net.", "www.example.net. 5 A 10.0.0.3"]
    );
}

#[test]
fn a_zone_that_changes_is_answered_as_it_is_now() {
    let mut server = start(FILE);
    let row = r#"{"set":"f0","name":"web.example.org.","records":[{"type":"A","ip":"192.0.2.81","ttl":60}]}"#;
    server.names(false, &[("f0 web.example.org.", row)], &["f0 a.b.c.example.org."]);
    assert_eq!(server.ask("www.example.org.", A).answer[1], "web.example.org. 60 A 192.0.2.81");
    assert_eq!(server.ask("c.example.org.", A).code, 3, "what was only part of a name is gone with it");
    server.names(false, &[], &["f0 example.org."]);
    assert_eq!(server.ask("web.example.org.", A).code, 2, "without its SOA record there is no zone");
}
