//! Which endpoint a request reaches, and what becomes of it when that fails.

mod common;

use common::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Backends that say their number.
fn numbered(count: usize) -> Vec<Backend> {
    (0..count).map(|number| Backend::answering(move |_| ok(&number.to_string()))).collect()
}

/// `/` of host `a` leads to these; endpoint `N` is the Nth.
fn rows(backends: &[Backend], change: &[(&str, Value)]) -> Vec<(&'static str, Value)> {
    const KEYS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut row = cluster("c");
    change.iter().for_each(|(name, value)| row[name] = value.clone());
    let mut rows = vec![("route", route(json!({ "prefix": "/" }), forward("c"))), ("cluster", row)];
    rows.extend(backends.iter().zip(KEYS).map(|(backend, key)| (key, endpoint("c", backend.address))));
    rows
}

fn counts(server: &Server, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let reply = server.get("a", "/");
        assert_eq!(reply.status, 200);
        *counts.entry(reply.body).or_default() += 1;
    }
    counts
}

#[test]
fn each_has_its_turn_and_those_of_more_weight_more_often() {
    let backends = numbered(10);
    let server = Server::start(&rows(&backends, &[]));
    assert!(counts(&server, 100).values().all(|count| *count == 10));
    let mut weighed = rows(&backends[..3], &[]);
    weighed[2].1["weight"] = 3.into();
    weighed[4].1["weight"] = 0.into();
    let counted = counts(&Server::start(&weighed), 400);
    assert!(!counted.contains_key("2") && (295..=305).contains(&counted["0"]), "{counted:?}");
}

#[test]
fn one_that_drains_gets_nothing_new_unless_there_is_no_other() {
    let backends = numbered(2);
    let all = rows(&backends, &[]);
    let mut server = Server::start(&all);
    let draining = |at: usize| set(all[at + 2].1.clone(), "/draining", true);
    server.change(&[("0", draining(0))], &[]);
    assert_eq!(counts(&server, 20), BTreeMap::from([("1".to_string(), 20)]));
    server.change(&[("1", draining(1))], &[]);
    assert_eq!(counts(&server, 20).len(), 2);
    server.change(&[], &["0", "1"]);
    assert_eq!(server.get("a", "/").status, 503);
}

#[test]
fn a_client_sticks_to_its_endpoint() {
    let backends = numbered(3);
    let sticky =
        json!({ "name": "route", "path": "/", "maxAgeSeconds": 60, "sameSite": "Lax", "changeOnFailure": false });
    let all = rows(&backends, &[("sticky", sticky)]);
    let mut server = Server::start(&all);
    let first = server.get("a", "/");
    let cookie = first.header("set-cookie").unwrap().to_string();
    assert!(cookie.ends_with("; Path=/; HttpOnly; Max-Age=60; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("127.0.0.1"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let ask = |server: &Server| server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=y; {pair}\r\n\r\n"));
    for _ in 0..10 {
        let reply = ask(&server);
        assert_eq!((&reply.body, reply.header("set-cookie")), (&first.body, None));
    }
    let key = ["0", "1", "2"][first.body.parse::<usize>().unwrap()];
    let row = &all.iter().find(|(held, _)| *held == key).unwrap().1;
    server.change(&[(key, set(row.clone(), "/draining", true))], &[]);
    assert_eq!(ask(&server).body, first.body);
    server.change(&[], &[key]);
    let reply = ask(&server);
    assert!(reply.body != first.body && reply.header("set-cookie").is_some(), "{reply:?}");
}

#[test]
fn a_hash_moves_only_the_share_of_who_goes() {
    let backends = numbered(4);
    let mut server = Server::start(&rows(&backends, &[("balance", json!({ "hash": "$request_uri" }))]));
    let owners = |server: &Server| (0..60).map(|n| server.get("a", &format!("/{n}")).body).collect::<Vec<_>>();
    let before = owners(&server);
    assert_eq!(owners(&server), before);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 4);
    server.change(&[], &["2"]);
    for (before, after) in before.iter().zip(owners(&server)) {
        assert!(if before == "2" { after != "2" } else { after == *before }, "{before} {after}");
    }
}

#[test]
fn the_less_busy_one_is_taken() {
    let backend = || Backend::raw(|mut client| drop(client.rest()));
    let backends = [backend(), backend()];
    let server = Server::start(&rows(&backends, &[("balance", json!("leastRequest"))]));
    let mut clients = Vec::new();
    for number in 1..=2 {
        let mut client = server.connect();
        client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let connected = || backends.iter().map(|backend| backend.connections.load(Ordering::SeqCst)).sum::<usize>();
        eventually("it is under way", || connected() == number);
        clients.push(client);
    }
    assert!(backends.iter().all(|backend| backend.connections.load(Ordering::SeqCst) == 1));
}

#[test]
fn what_fails_is_tried_elsewhere_if_it_may_be() {
    let good = Backend::plain();
    let cut = Backend::answering(|_| None);
    let busy = Backend::answering(|_| Some("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into()));
    let retry = |address, on: &str, value: Value| {
        let mut rows = to(good.address);
        rows[0].1 = set(rows[0].1.clone(), "/action/forward/retry/tries", 3);
        rows[0].1 = set(rows[0].1.clone(), &format!("/action/forward/retry/{on}"), value);
        rows.push(("bad", endpoint("c", address)));
        Server::start(&rows)
    };
    let statuses = |server: &Server, method: &str| {
        let ask = |_| server.ask(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).status;
        (0..10).map(ask).collect::<BTreeSet<u16>>()
    };
    let (only, both) = (BTreeSet::from([200]), BTreeSet::from([200, 502]));
    assert_eq!(statuses(&retry(nobody(), "onError", json!(true)), "GET"), only);
    assert_eq!(statuses(&retry(nobody(), "onError", json!(true)), "POST"), only, "nothing was sent");
    assert_eq!(statuses(&retry(nobody(), "onError", json!(false)), "GET"), both);
    assert_eq!(statuses(&retry(cut.address, "onError", json!(true)), "GET"), only);
    assert_eq!(statuses(&retry(cut.address, "onError", json!(true)), "POST"), both);
    assert_eq!(statuses(&retry(cut.address, "nonIdempotent", json!(true)), "POST"), only);
    assert_eq!(statuses(&retry(busy.address, "onStatuses", json!([503])), "GET"), only);
    assert_eq!(statuses(&retry(busy.address, "onStatuses", json!([502])), "GET"), BTreeSet::from([200, 503]));
}

#[test]
fn one_that_fails_is_passed_over() {
    let bad = Backend::answering(|_| Some("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into()));
    let backends = [bad.clone(), Backend::plain()];
    let ejection =
        |percent: u8| json!({ "failures": 2, "baseMs": 3_600_000, "maxMs": 3_600_000, "maxPercent": percent });
    let ask = |percent| {
        let server = Server::start(&rows(&backends, &[("ejection", ejection(percent))]));
        (0..20).filter(|_| server.get("a", "/").status == 503).count()
    };
    assert_eq!((ask(50), ask(49)), (2, 10));
}

#[test]
fn above_the_limit_of_requests_is_503() {
    let backend = Backend::raw(|mut client| match request(&mut client).unwrap().line.contains("/quick") {
        true => client.say(&ok("here").unwrap()),
        false => drop(client.rest()),
    });
    let limit = json!({ "connectionsMax": 10, "requestsMax": 1 });
    let server = Server::start(&rows(std::slice::from_ref(&backend), &[("circuit", limit)]));
    let mut client = server.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is under way", || backend.connections.load(Ordering::SeqCst) == 1);
    assert_eq!(server.get("a", "/quick").status, 503);
    drop(client);
    eventually("what its client has left is over", || server.get("a", "/quick").status == 200);
}
