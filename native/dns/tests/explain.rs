//! Who gave an answer: told without asking anybody, and without being counted.

mod common;

use common::upstream::{CACHE, Upstream, address, forward};
use common::{Server, query};
use serde_json::Value;
use wire::protocol::{Explain, Question};

const A: u16 = 1;
const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
const HOSTS: &str =
    r#"{"plugin":"hosts","set":"h0","zones":["."],"ttl":60,"fallthrough":["."],"fallthroughUnsupported":false}"#;
const NAMES: common::Rows = &[
    ("h0 db.example.org.", r#"{"set":"h0","name":"db.example.org.","records":[{"type":"A","ip":"192.0.2.1"}]}"#),
    (
        "k0 web.ns1.svc.cluster.local.",
        r#"{"set":"k0","name":"web.ns1.svc.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"}],"object":"Service ns1/web"}"#,
    ),
    (
        "k0 out.ns1.svc.cluster.local.",
        r#"{"set":"k0","name":"out.ns1.svc.cluster.local.","records":[{"type":"CNAME","target":"db.example.org."}],"object":"Service ns1/out"}"#,
    ),
];
const WEB: &str = "kubernetes web.ns1.svc.cluster.local. A (Service ns1/web)";

fn start(steps: &[&str]) -> Server {
    Server::start("127.0.0.1:0", &steps.join(","), NAMES)
}

fn explain(server: &mut Server, name: &str, kind: &str) -> Value {
    let asked = Explain { name: name.to_string(), kind: kind.to_string(), from: Some("10.244.0.9".to_string()) };
    server.worker.ask(&Question::Explain(asked)).unwrap()
}

/// `PLUGIN NAME TYPE (OBJECT)` of each.
fn by(server: &mut Server, name: &str, kind: &str) -> Vec<String> {
    let said = explain(server, name, kind);
    let shown = |voice: &Value| {
        let text = |field: &str| voice[field].as_str().unwrap_or("nobody").to_string();
        let object = voice["object"].as_str().map(|object| format!(" ({object})")).unwrap_or_default();
        let kept = if voice["kept"] == true { " kept" } else { "" };
        format!("{} {} {}{object}{kept}", text("plugin"), text("name"), text("type"))
    };
    said["by"].as_array().unwrap().iter().map(shown).collect()
}

fn rewrite(change: &str) -> String {
    format!(r#"{{"plugin":"rewrite","rules":[{{"stop":true,"change":{{{change}}}}}]}}"#)
}

#[test]
fn steps_and_what_they_made_it_of() {
    let mut server = start(&[HOSTS, KUBERNETES]);
    assert_eq!(by(&mut server, "Web.ns1.svc.cluster.local.", "a"), [WEB]);
    assert_eq!(explain(&mut server, "web.ns1.svc.cluster.local.", "A")["code"], 0);
    assert_eq!(by(&mut server, "db.example.org.", "A"), ["hosts db.example.org. A"]);
    assert_eq!(explain(&mut server, "gone.cluster.local.", "NAPTR")["code"], 3);
    assert_eq!(by(&mut server, "gone.cluster.local.", "NAPTR"), ["kubernetes gone.cluster.local. NAPTR"]);
    let alias = ["kubernetes out.ns1.svc.cluster.local. A (Service ns1/out)", "hosts db.example.org. A"];
    assert_eq!(by(&mut server, "out.ns1.svc.cluster.local.", "A"), alias);
    assert_eq!(by(&mut server, "example.com.", "A"), ["nobody example.com. A"]);
    assert_eq!(explain(&mut server, "example.com.", "A")["code"], 2);
}

#[test]
fn steps_without_rows() {
    let local = r#"{"plugin":"local","localhostPrefix":false}"#;
    let any = r#"{"plugin":"any"}"#;
    let rule = r#"{"plugin":"acl","rules":[{"zones":["secret.example."],"policies":[{"action":"drop","types":[],"networks":["10.244.0.0/16"]}]}]}"#;
    let header = r#"{"plugin":"header","query":[],"response":[{"flag":"aa","set":false}]}"#;
    let mut server = start(&[local, any, rule, header, r#"{"plugin":"minimal"}"#, KUBERNETES]);
    assert_eq!(by(&mut server, "localhost.", "A"), ["local localhost. A"]);
    assert_eq!(by(&mut server, "web.ns1.svc.cluster.local.", "ANY"), ["any web.ns1.svc.cluster.local. ANY"]);
    assert_eq!(
        by(&mut server, "web.ns1.svc.cluster.local.", "A"),
        [WEB],
        "flags and what is left out are nobody's answer"
    );
    let dropped = explain(&mut server, "secret.example.", "A");
    assert_eq!((&dropped["dropped"], &dropped["code"]), (&true.into(), &Value::Null));
    assert_eq!(by(&mut server, "secret.example.", "A"), ["acl secret.example. A"]);
}

#[test]
fn what_is_rewritten() {
    let name = rewrite(
        r#""field":"name","matching":{"how":"suffix","text":".old.example."},"to":[{"text":".ns1.svc.cluster.local."}],"auto":true,"answer":[]"#,
    );
    let mut server = start(&[&name, KUBERNETES]);
    assert_eq!(by(&mut server, "web.old.example.", "A"), ["rewrite web.old.example. A", WEB]);
    assert_eq!(by(&mut server, "web.ns1.svc.cluster.local.", "A"), [WEB], "no rule is for it");
    let kind = rewrite(r#""field":"type","from":15,"to":1"#);
    let mut server = start(&[&kind, KUBERNETES]);
    assert_eq!(
        by(&mut server, "web.ns1.svc.cluster.local.", "MX"),
        ["rewrite web.ns1.svc.cluster.local. MX", WEB],
        "another type"
    );
    let ttl = |ttl: u32| {
        rewrite(&format!(
            r#""field":"ttl","matching":{{"how":"suffix","text":".cluster.local."}},"min":{ttl},"max":{ttl}"#
        ))
    };
    let changed = ["rewrite web.ns1.svc.cluster.local. A", WEB];
    assert_eq!(
        by(&mut start(&[&ttl(7), KUBERNETES]), "web.ns1.svc.cluster.local.", "A"),
        changed,
        "the answer is changed"
    );
    assert_eq!(by(&mut start(&[&ttl(30), KUBERNETES]), "web.ns1.svc.cluster.local.", "A"), [WEB], "and is not");
    let alias = rewrite(
        r#""field":"cname","matching":{"how":"exact","text":"db.example.org."},"to":[{"text":"web.ns1.svc.cluster.local."}]"#,
    );
    let mut server = start(&[&alias, HOSTS, KUBERNETES]);
    let led = by(&mut server, "out.ns1.svc.cluster.local.", "A");
    assert_eq!(led.first().unwrap(), "rewrite out.ns1.svc.cluster.local. A");
    assert_eq!(led.last().unwrap(), WEB);
}

#[test]
fn what_is_searched_for() {
    let autopath = r#"{"plugin":"autopath","zones":["."],"pods":null,"search":["ns2.svc.cluster.local.","ns1.svc.cluster.local.","cluster.local."]}"#;
    let mut server = start(&[autopath, KUBERNETES]);
    assert_eq!(
        by(&mut server, "web.ns2.svc.cluster.local.", "A"),
        ["autopath web.ns2.svc.cluster.local. A", WEB],
        "what did not answer is not told"
    );
    assert_eq!(
        by(&mut server, "gone.ns2.svc.cluster.local.", "A"),
        ["kubernetes gone.ns2.svc.cluster.local. A"],
        "nothing is found: what is said of the name itself counts"
    );
    assert_eq!(by(&mut server, "web.ns1.svc.cluster.local.", "A"), [WEB]);
}

#[test]
fn what_is_translated() {
    let dns64 = r#"{"plugin":"dns64","prefix":"64:ff9b::/96","translateAll":false,"allowIpv4":true}"#;
    let mut server = start(&[dns64, KUBERNETES]);
    assert_eq!(by(&mut server, "web.ns1.svc.cluster.local.", "AAAA"), ["dns64 web.ns1.svc.cluster.local. AAAA", WEB]);
    assert_eq!(by(&mut server, "web.ns1.svc.cluster.local.", "A"), [WEB]);
    assert_eq!(by(&mut server, "gone.cluster.local.", "AAAA"), ["kubernetes gone.cluster.local. AAAA"]);
}

#[test]
fn upstreams_and_what_they_said_before() {
    let upstream = Upstream::start(|packet, _| vec![address(packet, 7)], |packet| address(packet, 7));
    let mut server = start(&[CACHE, KUBERNETES, &forward(&[&upstream], "")]);
    let figures = |server: &mut Server| {
        let text = server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().to_string();
        let lines = text.lines().filter(|line| line.starts_with("coredns_cache_") || line.starts_with("coredns_dns_"));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    let first = explain(&mut server, "example.org.", "A");
    assert_eq!((&first["code"], &first["by"][0]["kept"]), (&Value::Null, &false.into()), "nobody is asked for it");
    assert_eq!(first["by"][0]["upstreams"][0]["address"], upstream.address.to_string());
    assert_eq!(upstream.datagrams.load(std::sync::atomic::Ordering::SeqCst), 0);
    server.udp(&query("example.org.", A, None));
    let before = figures(&mut server);
    assert_eq!(by(&mut server, "example.org.", "A"), ["forward example.org. A kept"]);
    assert_eq!(by(&mut server, "other.org.", "A"), ["forward other.org. A"]);
    assert_eq!(figures(&mut server), before, "an explanation is no request");
}

#[test]
fn layers_over_upstreams() {
    let upstream = Upstream::start(|packet, _| vec![address(packet, 7)], |packet| address(packet, 7));
    let autopath = r#"{"plugin":"autopath","zones":["."],"pods":null,"search":["ns2.svc.cluster.local."]}"#;
    let mut server = start(&[autopath, CACHE, KUBERNETES, &forward(&[&upstream], "")]);
    let asked = "example.org.ns2.svc.cluster.local.";
    let led = |kept: &str| vec![format!("autopath {asked} A"), format!("forward example.org. A{kept}")];
    assert_eq!(by(&mut server, asked, "A"), led(""));
    assert_eq!(server.ask(asked, A).code, 0);
    assert_eq!(by(&mut server, asked, "A"), led(" kept"));
}
