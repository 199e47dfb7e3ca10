//! Tables of one controller after those of another, which followed another Corefile.

mod common;

use common::{Server, packed};
use supervisor::Changes;

const A: u16 = 1;

fn kubernetes(set: &str) -> String {
    let soa = r#""soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}"#;
    format!(r#"{{"plugin":"kubernetes","set":"{set}","zones":["cluster.local."],"ttl":5,{soa}}}"#)
}

fn put(server: &mut Server, epoch: &str, table: &str, whole: bool, rows: common::Rows) {
    let packed = packed(table, rows);
    let rows: Vec<(&str, Option<&[u8]>)> = packed.iter().map(|(key, octets)| (*key, Some(&octets[..]))).collect();
    let changes = Changes::of_rows(table, whole, &rows).in_epoch(epoch);
    assert_eq!(server.worker.commit(changes).unwrap().refused, []);
}

fn names(server: &mut Server, epoch: &str, whole: bool, rows: &[(&str, &str)]) {
    let rows: Vec<(String, String)> = rows
        .iter()
        .map(|(key, ip)| {
            let (set, name) = key.split_once(' ').unwrap();
            let records = format!(r#"[{{"type":"A","ip":"{ip}"}}]"#);
            (key.to_string(), format!(r#"{{"set":"{set}","name":"{name}","records":{records}}}"#))
        })
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(key, row)| (&key[..], &row[..])).collect();
    put(server, epoch, "names", whole, &rows);
}

fn servers(server: &mut Server, epoch: &str, set: &str) {
    let at = server.address;
    let listen = format!(r#"{{"transport":"dns","address":"{}","port":{}}}"#, at.ip(), at.port());
    let row = format!(r#"{{"listen":[{listen}],"zones":["."],"steps":[{}]}}"#, kubernetes(set));
    put(server, epoch, "servers", true, &[("0", &row)]);
}

/// The response code, and the address.
fn asked(server: &Server, name: &str) -> (u16, String) {
    let shown = server.ask(name, A);
    let address = shown.answer.first().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    (shown.code, address.to_string())
}

const WEB: &str = "web.cluster.local.";
const OLD: &str = "k1 web.cluster.local.";

/// What one controller has said, and then the names of another.
fn between() -> Server {
    let mut server = Server::unsynced("127.0.0.1:0", &kubernetes("k1"));
    servers(&mut server, "first", "k1");
    names(&mut server, "first", true, &[(OLD, "10.0.0.1"), ("h1 gone.cluster.local.", "10.0.0.9")]);
    names(&mut server, "second", true, &[("k2 web.cluster.local.", "10.0.0.2")]);
    server
}

#[test]
fn servers_answer_as_before_until_those_of_the_other_controller_come() {
    let mut server = between();
    assert_eq!(asked(&server, WEB), (0, "10.0.0.1".to_string()));
    servers(&mut server, "second", "k2");
    assert_eq!(asked(&server, WEB), (0, "10.0.0.2".to_string()));
    // Nobody asks for them any more: they are gone.
    let stats = server.worker.ask(&wire::protocol::Question::Stats).unwrap();
    assert_eq!(stats["sets"]["k1"]["rows"], 0);
    assert_eq!(stats["sets"]["h1"]["rows"], 0);
}

#[test]
fn what_a_controller_says_of_a_set_counts_at_once() {
    let mut server = between();
    names(&mut server, "second", false, &[("k1 other.cluster.local.", "10.0.0.3")]);
    assert_eq!(asked(&server, "other.cluster.local."), (0, "10.0.0.3".to_string()));
    assert_eq!(asked(&server, WEB).0, 3, "it said nothing of this one");
}

#[test]
fn a_controller_that_takes_a_set_away_takes_it_away() {
    let mut server = between();
    servers(&mut server, "second", "k1");
    names(&mut server, "second", true, &[("k2 web.cluster.local.", "10.0.0.2")]);
    assert_eq!(asked(&server, WEB).0, 2, "names of it are still to come");
}
