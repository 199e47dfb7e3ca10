//! monitor and conntrack against the real kernel.

mod common;

use common::{CARRIER, Namespace, Running};
use serde_json::{Value, json};
use std::fmt::Write;

/// Reads until an event came for each of `wanted`, which hold a part of it.
fn all_told(monitor: &mut Running, mut wanted: Vec<Value>) {
    while !wanted.is_empty() {
        let event = monitor.json();
        assert_ne!(event["event"], "overrun");
        wanted.retain(|part| part.as_object().unwrap().iter().any(|(name, value)| event.get(name) != Some(value)));
    }
}

#[test]
fn each_transaction_of_nftables_is_counted() {
    let Some(namespace) = Namespace::make() else { return };
    let mut monitor = namespace.start(&[CARRIER, "monitor", "--nft"]);
    let ready = monitor.json();
    assert_eq!(ready["event"], "ready");
    let before = ready["generation"].as_u64().unwrap();
    namespace.run(&["nft", "add table inet fairlead_t; add map inet fairlead_t m { type ipv4_addr : ipv4_addr; }"]);
    assert_eq!(monitor.json(), json!({"event": "nft-generation", "id": before + 1}));
    // What is committed in quick succession may be told at once: the number counts.
    for batch in 0..4 {
        let mut text = String::from("add element inet fairlead_t m {");
        for number in 0..1000 {
            write!(text, "10.{batch}.{}.{} : 1.1.1.1,", number >> 8, number & 255).unwrap();
        }
        namespace.run_with(&["nft", "-f", "-"], &format!("{text}}}"));
    }
    while monitor.json() != json!({"event": "nft-generation", "id": before + 5}) {}
    namespace.run(&["nft", "list ruleset"]);
    namespace.run(&["nft", "flush ruleset"]);
    assert_eq!(monitor.json(), json!({"event": "nft-generation", "id": before + 6}));
}

#[test]
fn links_addresses_routes_and_neighbours_are_told() {
    let Some(namespace) = Namespace::make() else { return };
    let mut monitor =
        namespace.start(&["timeout", "120", CARRIER, "monitor", "--link", "--address", "--route", "--neighbour"]);
    assert_eq!(monitor.json(), json!({"event": "ready"}));
    let script = "ip link add fa0 type veth peer name fa1; ip link set fa0 up; ip link set fa1 up
        ip address add 10.1.0.1/24 dev fa0; ip address add fd01::1/64 dev fa0 nodad; ip route add 10.9.0.0/16 via 10.1.0.2
        ip neighbour add 10.1.0.2 lladdr 02:00:00:00:00:09 dev fa0";
    namespace.run(&["sh", "-ec", script]);
    // The kernel tells some of it later, from a work queue, and in no certain order.
    all_told(
        &mut monitor,
        vec![
            json!({"event": "link", "op": "new", "name": "fa0", "kind": "veth", "mtu": 1500}),
            json!({"event": "link", "op": "new", "name": "fa0", "up": true, "running": true}),
            json!({"event": "address", "op": "new", "address": "10.1.0.1", "prefixLength": 24}),
            json!({"event": "address", "op": "new", "address": "fd01::1", "prefixLength": 64}),
            json!({"event": "route", "op": "new", "destination": "10.9.0.0", "prefixLength": 16, "gateway": "10.1.0.2",
                   "table": 254}),
            json!({"event": "neighbour", "op": "new", "family": "ipv4", "address": "10.1.0.2",
                   "linkAddress": "02:00:00:00:00:09"}),
        ],
    );
    namespace.run(&["ip", "link", "del", "fa0"]);
    all_told(
        &mut monitor,
        vec![
            json!({"event": "address", "op": "delete", "address": "10.1.0.1"}),
            json!({"event": "link", "op": "delete", "name": "fa0"}),
            json!({"event": "link", "op": "delete", "name": "fa1"}),
        ],
    );
}

#[test]
fn the_monitor_tells_of_legacy_iptables() {
    let Some(namespace) = Namespace::make() else { return };
    let rules = |text: &str| namespace.run(&["bash", "-c", &format!("XTABLES_LOCKFILE=/dev/null {text}")]);
    rules("iptables-legacy -t nat -A PREROUTING -j ACCEPT");
    let mut monitor = namespace.start(&[CARRIER, "monitor", "--xtables", "nat"]);
    assert_eq!(monitor.json(), json!({"event": "ready"}));
    let mut nat = || {
        loop {
            let event = monitor.json();
            if event["event"] == "xtables" && event["family"] == 4 && event["table"] == "nat" {
                return event["entries"].as_u64().unwrap();
            }
        }
    };
    let first = nat();
    rules("iptables-legacy -t nat -N MINE");
    assert_eq!(nat(), first + 2);
    rules("iptables-legacy -t nat -A MINE -j RETURN");
    assert_eq!(nat(), first + 3);
    rules("iptables-legacy -t nat -F");
    assert_eq!(nat(), first + 1);
}

#[test]
fn a_table_of_iptables_is_watched_once_it_is_there_and_never_made() {
    let Some(namespace) = Namespace::make() else { return };
    let mut monitor =
        namespace.start(&[CARRIER, "monitor", "--nft", "--xtables", "raw", "--xtables", "nat", "--xtables", "mangle"]);
    assert_eq!(monitor.json()["event"], "ready");
    // What is told of nftables was seen in the same round as what is told of iptables.
    namespace.run(&["nft", "add", "table", "ip", "round"]);
    assert_eq!(monitor.json()["event"], "nft-generation");
    let names = || namespace.run(&["sh", "-c", "cat /proc/self/net/ip_tables_names || true"]);
    assert_eq!(names(), "");
    namespace.run(&["bash", "-c", "XTABLES_LOCKFILE=/dev/null iptables-legacy -t raw -A OUTPUT -j ACCEPT"]);
    let raw = monitor.json();
    assert_eq!((&raw["event"], &raw["family"], &raw["table"]), (&json!("xtables"), &json!(4), &json!("raw")));
    assert_eq!(names(), "raw\n");
}

#[test]
fn a_table_that_iptables_does_not_have_is_an_error() {
    let output = std::process::Command::new(CARRIER).args(["monitor", "--xtables", "rules"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--xtables rules: there is raw, mangle, nat"));
}

#[test]
fn the_monitor_tells_of_ipsets() {
    let Some(namespace) = Namespace::make() else { return };
    let ipset = |text: &str| namespace.run(&["bash", "-c", &format!("ipset {text}")]);
    ipset("create peers hash:ip");
    ipset("add peers 10.0.0.1");
    let mut monitor = namespace.start(&[CARRIER, "monitor", "--set", "peers", "--set", "ranges"]);
    assert_eq!(monitor.json(), json!({"event": "ready"}));
    let told = |name: &str, members: Value| json!({"event": "set", "name": name, "members": members});
    assert_eq!(monitor.json(), told("peers", json!(1)));
    assert_eq!(monitor.json(), told("ranges", json!(null)));
    ipset("create ranges hash:net family inet6");
    assert_eq!(monitor.json(), told("ranges", json!(0)));
    ipset("add peers 10.0.0.2");
    assert_eq!(monitor.json(), told("peers", json!(2)));
    ipset("flush peers");
    assert_eq!(monitor.json(), told("peers", json!(0)));
    ipset("destroy peers");
    assert_eq!(monitor.json(), told("peers", json!(null)));
}

#[test]
fn the_monitor_ends_with_its_reader() {
    let Some(namespace) = Namespace::make() else { return };
    let mut shell =
        namespace.start(&["bash", "-c", &format!("{CARRIER} monitor --nft | head -1; echo ${{PIPESTATUS[0]}}")]);
    assert!(shell.line().contains("ready"));
    assert_eq!(shell.line(), "0\n");
}

/// Frontends 10.96.0.1 (translated to 127.0.0.1:5301), 10.96.0.2 (to :5302), 10.96.0.3 (not translated), fd00::1.
fn flows(namespace: &Namespace) {
    namespace.run(&[
        "sh",
        "-ec",
        "for a in 10.96.0.1 10.96.0.2 10.96.0.3; do ip address add $a/32 dev lo; done
        ip address add fd00::1/128 dev lo nodad",
    ]);
    // None ends by itself while it is looked at.
    for timeout in ["udp_timeout", "tcp_timeout_close"] {
        namespace.run(&["sh", "-c", &format!("echo 3600 >/proc/sys/net/netfilter/nf_conntrack_{timeout}")]);
    }
    namespace.run(&[
        "nft",
        "table inet t { chain o { type nat hook output priority -100;
          ip daddr 10.96.0.1 udp dport 53 dnat ip to 127.0.0.1:5301
          ip daddr 10.96.0.2 udp dport 53 dnat ip to 127.0.0.1:5302
          ip6 daddr fd00::1 udp dport 53 dnat ip6 to [::1]:5301
          ip daddr 10.96.0.1 tcp dport 53 dnat ip to 127.0.0.1:5301
 }
 }",
    ]);
    // Nobody answers; the entries stay all the same.
    let mut places = String::from("[fd00::1]:53");
    for host in 1..=3 {
        write!(places, ",10.96.0.{host}:53,10.96.0.{host}:54").unwrap();
    }
    namespace.carrier(&["load", "connect", "--udp", "--to", &places, "--count", "7", "--timeout-ms", "1"], "");
}

fn stale(namespace: &Namespace, ip: &str, endpoints: &[&str]) -> (u64, u64) {
    let question = json!({"ip": ip, "protocol": "udp", "port": 53, "endpoints": endpoints});
    let before = namespace.carrier(&["conntrack", "count"], "")["count"].as_u64().unwrap();
    let done = namespace.carrier(&["conntrack", "stale"], &format!("{question}\n"));
    let after = namespace.carrier(&["conntrack", "count"], "")["count"].as_u64().unwrap();
    let [of_family] = &done["families"].as_array().unwrap()[..] else { panic!("one family was asked about: {done}") };
    assert_eq!(of_family["family"], if ip.contains(':') { "IPv6" } else { "IPv4" });
    let deleted = of_family["deleted"].as_u64().unwrap();
    assert_eq!(before - after, deleted);
    (of_family["scanned"].as_u64().unwrap(), deleted)
}

#[test]
fn exactly_the_stale_entries_are_deleted() {
    let Some(namespace) = Namespace::make() else { return };
    flows(&namespace);
    let all = namespace.carrier(&["conntrack", "count"], "");
    assert_eq!(all["count"], 7);
    assert!(all["max"].as_u64().unwrap() > 0);
    assert_eq!(stale(&namespace, "10.96.0.1", &["127.0.0.1:5301", "127.0.0.1:9"]), (6, 0), "a healthy flow stays");
    assert_eq!(stale(&namespace, "10.96.0.1", &["127.0.0.1:9"]), (6, 1), "another endpoint");
    assert_eq!(stale(&namespace, "10.96.0.3", &["127.0.0.1:9"]), (5, 1), "never translated");
    assert_eq!(stale(&namespace, "10.96.0.2", &[]), (4, 1), "no endpoints left");
    assert_eq!(stale(&namespace, "10.96.0.2", &[]), (3, 0));
    assert_eq!(stale(&namespace, "fd00::1", &["[::1]:5302"]), (1, 1), "IPv6");
    assert_eq!(namespace.carrier(&["conntrack", "count"], "")["count"], 3, "the other port's flows stay");
}

#[test]
fn other_protocols_are_not_listed_and_stay() {
    let Some(namespace) = Namespace::make() else { return };
    flows(&namespace);
    // A refused connection leaves its TCP entry.
    namespace.carrier(&["load", "connect", "--to", "10.96.0.1:53", "--count", "1"], "");
    let (scanned, deleted) = stale(&namespace, "10.96.0.1", &[]);
    assert_eq!((scanned, deleted), (6, 1));
}

#[test]
fn thousands_of_stale_entries_go_in_one_call() {
    let Some(namespace) = Namespace::make() else { return };
    flows(&namespace);
    let words = [
        "load",
        "connect",
        "--udp",
        "--to",
        "10.96.0.3:53",
        "--count",
        "3000",
        "--threads",
        "100",
        "--timeout-ms",
        "1",
    ];
    namespace.carrier(&words, "");
    let (_, deleted) = stale(&namespace, "10.96.0.3", &["127.0.0.1:9"]);
    assert!(deleted > 2000, "{deleted}"); // Source ports may repeat.
    assert_eq!(namespace.carrier(&["conntrack", "count"], "")["count"], 6);
}

#[test]
fn a_wrong_line_deletes_nothing() {
    let Some(namespace) = Namespace::make() else { return };
    flows(&namespace);
    let input = "{\"ip\":\"10.96.0.1\",\"protocol\":\"udp\",\"port\":53,\"endpoints\":[]}\n{\"ip\":\"10.96.0.2\"}\n";
    let output = common::feed(namespace.command(&[CARRIER, "conntrack", "stale"]), input);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"));
    assert_eq!(namespace.carrier(&["conntrack", "count"], "")["count"], 7);
}
