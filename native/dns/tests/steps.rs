//! Steps beside kubernetes, cache and forward.

mod common;

use common::{PATIENCE, Server, query};

const A: u16 = 1;
const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;

fn hosts(fallthrough: &str, unsupported: bool) -> String {
    format!(
        r#"{{"plugin":"hosts","set":"h0","zones":["."],"ttl":60,"fallthrough":{fallthrough},"fallthroughUnsupported":{unsupported}}}"#
    )
}

const NAMES: common::Rows = &[
    (
        "h0 db.example.org.",
        r#"{"set":"h0","name":"db.example.org.","records":[{"type":"A","ip":"192.0.2.1"},{"type":"A","ip":"192.0.2.2"}]}"#,
    ),
    ("h0 *.wild.org.", r#"{"set":"h0","name":"*.wild.org.","records":[{"type":"A","ip":"192.0.2.3"}]}"#),
    (
        "h0 1.2.0.192.in-addr.arpa.",
        r#"{"set":"h0","name":"1.2.0.192.in-addr.arpa.","records":[{"type":"PTR","target":"db.example.org."}]}"#,
    ),
    (
        "k0 web.ns1.svc.cluster.local.",
        r#"{"set":"k0","name":"web.ns1.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"}],"object":"Service ns1/web"}"#,
    ),
];

#[test]
fn hosts_files_answer_what_they_have() {
    let server = Server::start(
        "127.0.0.1:0",
        &[&hosts("null", false), KUBERNETES].map(|step| step.to_string()).join(","),
        NAMES,
    );
    let shown = server.ask("db.example.org.", A);
    assert_eq!(shown.answer, ["db.example.org. 60 A 192.0.2.1", "db.example.org. 60 A 192.0.2.2"]);
    assert_eq!(server.ask("any.wild.org.", A).answer, ["any.wild.org. 60 A 192.0.2.3"]);
    assert_eq!(server.ask("1.2.0.192.in-addr.arpa.", 12).answer, ["1.2.0.192.in-addr.arpa. 60 PTR db.example.org."]);
    let nodata = server.ask("db.example.org.", 28);
    assert_eq!((nodata.code, nodata.answer.len()), (0, 0));
    for name in ["example.org.", "two.any.wild.org.", "wild.org.", "web.ns1.svc.cluster.local."] {
        assert_eq!(server.ask(name, A).code, 2, "{name}: there is no SOA to deny it with");
    }
}

#[test]
fn hosts_files_let_the_next_step_answer() {
    let steps = [&hosts("[\".\"]", true), KUBERNETES].map(|step| step.to_string()).join(",");
    let server = Server::start("127.0.0.1:0", &steps, NAMES);
    assert_eq!(server.ask("web.ns1.svc.cluster.local.", A).answer.len(), 1);
    assert_eq!(server.ask("db.example.org.", 28).code, 0, "the name exists");
    assert_eq!(server.ask("db.example.org.", 16).code, 2, "another type is asked of the next step; there is none");
    assert_eq!(server.ask("9.9.9.9.in-addr.arpa.", 12).code, 2);
}

#[test]
fn who_may_ask_what() {
    let policy = |action: &str, types: &str, networks: &str| {
        format!(r#"{{"zones":["."],"policies":[{{"action":"{action}","types":[{types}],"networks":[{networks}]}}]}}"#)
    };
    for (rules, code, answers) in [
        (policy("block", "", "\"127.0.0.0/8\""), Some(5), 0),
        (policy("block", "", "\"10.0.0.0/8\""), Some(0), 1),
        (policy("filter", "1", ""), Some(0), 0),
        (policy("filter", "28", ""), Some(0), 1),
        (policy("drop", "", ""), None, 0),
        (policy("allow", "", "") + "," + &policy("block", "", ""), Some(0), 1),
    ] {
        let steps = format!(r#"{{"plugin":"acl","rules":[{rules}]}},{KUBERNETES}"#);
        let server = Server::start("127.0.0.1:0", &steps, NAMES);
        let asked = query("web.ns1.svc.cluster.local.", A, None);
        match code {
            Some(code) => {
                let shown = common::Shown::of(&server.udp(&asked));
                assert_eq!((shown.code, shown.answer.len()), (code, answers), "{rules}");
            }
            None => {
                // One thread answers in order: were there an answer, it would come before that to a message without question.
                let client = server.client();
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                client.send(&asked).unwrap();
                client.send(&[0; 12]).unwrap();
                let mut room = [0; 512];
                let length = client.recv(&mut room).unwrap();
                assert_eq!((length, room[3] & 0xf), (12, 1), "FORMERR, and nothing before");
            }
        }
    }
}

#[test]
fn rewritten_names_are_answered_as_they_were_asked() {
    let rewrite = r#"{"plugin":"rewrite","rules":[{"stop":true,"change":{"field":"name","matching":{"how":"suffix","text":".old.example."},
        "to":[{"text":".ns1.svc.cluster.local."}],"auto":true,"answer":[]}}]}"#;
    let server = Server::start("127.0.0.1:0", &format!("{rewrite},{KUBERNETES}"), NAMES);
    assert_eq!(server.ask("web.OLD.example.", A).code, 0);
    assert_eq!(server.ask("web.OLD.example.", A).answer, ["web.OLD.example. 30 A 10.0.0.1"]);
    let gone = server.ask("gone.old.example.", A);
    assert_eq!((gone.code, gone.authority.len()), (3, 1));
    let soa = "cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. SERIAL 7200 1800 86400 5";
    assert_eq!(gone.authority, [soa]);
    assert_eq!(server.ask("gone.cluster.local.", A).authority, [soa]);
}

#[test]
fn templates_make_answers_of_names() {
    let template = r#"{"plugin":"template","templates":[
        {"class":1,"type":1,"zones":["ip.example."],"patterns":["^ip-(?P<a>[0-9]+)-(?P<b>[0-9a-f]+)\\.ip\\.example\\.$"],
         "answer":[{"owner":["name"],"ttl":60,"type":1,"data":[[{"text":"10.0."},{"namedGroup":"a"},{"text":"."},
            {"number":{"group":"b","base":16,"bits":16}}]]}],"additional":[],"authority":[],"rcode":0,"extendedError":null,"fallthrough":null},
        {"class":255,"type":255,"zones":["alias.example."],"patterns":[],
         "answer":[{"owner":["name"],"ttl":60,"type":5,"data":[[{"text":"web.ns1.svc.cluster.local."}]]}],
         "additional":[],"authority":[],"rcode":0,"extendedError":null,"fallthrough":null},
        {"class":1,"type":28,"zones":["."],"patterns":[],"answer":[],"additional":[],
         "authority":[{"owner":["zone"],"ttl":60,"type":6,"data":[[{"text":"ns."}],[{"text":"mail."}],[{"text":"1"}],[{"text":"2"}],[{"text":"3"}],[{"text":"4"}],[{"text":"5"}]]}],
         "rcode":3,"extendedError":null,"fallthrough":null}]}"#;
    let server = Server::start("127.0.0.1:0", &format!("{template},{KUBERNETES}"), NAMES);
    assert_eq!(server.ask("IP-7-ff.ip.example.", A).answer, ["IP-7-ff.ip.example. 60 A 10.0.7.255"]);
    for wrong in ["ip-7-fff.ip.example.", "ip-999-1.ip.example.", "other.ip.example."] {
        assert_eq!(server.ask(wrong, A).code, 2, "{wrong}");
    }
    let alias = server.ask("a.alias.example.", A);
    assert_eq!(
        alias.answer,
        ["a.alias.example. 60 CNAME web.ns1.svc.cluster.local.", "web.ns1.svc.cluster.local. 30 A 10.0.0.1"]
    );
    let denied = server.ask("any.org.", 28);
    assert_eq!((denied.code, &denied.authority[..]), (3, &[". 60 SOA ns. mail. SERIAL 2 3 4 5".to_string()][..]));
    assert_eq!(
        server.ask("web.ns1.svc.cluster.local.", A).answer.len(),
        1,
        "what no template is for is asked of the next step"
    );
}
