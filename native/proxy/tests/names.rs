//! Clusters that are names, and when a carrier that was just started is ready.

mod common;

use common::*;
use proxy::Proxy;
use serde_json::json;
use supervisor::Kind;

fn named(name: &str, port: u16) -> serde_json::Value {
    set(cluster("c"), "/resolve", json!({ "name": name, "port": port, "everyMs": 1000 }))
}

#[test]
fn a_name_that_is_an_address_is_not_looked_up() {
    let backend = Backend::plain();
    let mut server = Server::start(&[
        ("route", route(json!({ "prefix": "/" }), forward("c"))),
        ("cluster", named("127.0.0.1", backend.address.port())),
    ]);
    assert_eq!(server.get("a", "/").status, 200);
    server.change(&[("cluster", named("[::1]", nobody().port()))], &[]);
    assert_eq!(server.get("a", "/").status, 502);
    assert_eq!(server.worker.unready(), Vec::<String>::new());
}

#[test]
fn a_carrier_is_ready_once_it_has_routes_and_the_certificates_they_show() {
    let mut worker = Proxy.worker(1).unwrap();
    assert_eq!(worker.unready(), ["routes"]);
    let sni =
        json!({ "kind": "sni", "host": "", "listeners": ["web"], "shows": { "certificate": { "certificate": "k" } } });
    assert_eq!(commit(&mut *worker, "proxy", true, &[("sni", sni)], &[]), Vec::<String>::new());
    assert_eq!(worker.unready(), ["certificates"], "routes are from the disk, and certificates never");
    assert_eq!(commit(&mut *worker, "secrets", true, &[], &[]), Vec::<String>::new());
    assert_eq!(worker.unready(), Vec::<String>::new());
}
