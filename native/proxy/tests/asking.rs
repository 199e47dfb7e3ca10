//! What the proxy asks others for: leave, pages of errors; and whom it gives copies to.

mod common;

use common::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn external(more: Value) -> Value {
    let mut row = json!({ "cluster": "auth", "url": "http://auth.example:81/check?u=$request_uri", "responseHeaders": ["X-User"],
        "requestHeaders": [["X-Original-URL", "$scheme://$http_host$request_uri"], ["X-Original-Method", "$request_method"],
            ["X-Forwarded-For", "$proxy_add_x_forwarded_for"], ["X-None", "$http_none"]],
        "redirectParameter": "rd", "alwaysSetCookie": false, "timeoutMs": 60000 });
    more.as_object().unwrap().iter().for_each(|(name, value)| row[name] = value.clone());
    row
}

/// `/` of host `a` leads to `backend`, with these filters; `other` is one more cluster.
fn rows(backend: &Backend, filters: Value, other: &'static str, address: &Backend) -> Vec<(&'static str, Value)> {
    let mut rows = to(backend.address);
    rows[0].1["filters"] = filters;
    rows.push(("other", cluster(other)));
    rows.push(("other endpoint", endpoint(other, address.address)));
    rows
}

fn guarded(backend: &Backend, auth: &Backend, more: Value) -> Server {
    Server::start(&rows(backend, json!({ "external": external(more) }), "auth", auth))
}

/// A response with this status line and these fields, and no body.
fn said(status: &str, fields: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{fields}\r\n"))
}

#[test]
fn who_is_let_in_brings_along_what_the_other_server_says() {
    let backend = Backend::plain();
    let auth = Backend::answering(|_| said("200 OK", "X-User: alice\r\nSet-Cookie: s=1\r\nSet-Cookie: t=2\r\n"));
    let server = guarded(&backend, &auth, json!({}));
    let reply = server.ask(
        "POST /p?q=1 HTTP/1.1\r\nHost: a:80\r\nX-User: root\r\nX-None: 1\r\nX-Mine: 1\r\nCookie: c=1\r\nContent-Length: 5\r\n\
         Connection: close\r\n\r\nhello",
    );
    assert_eq!(reply.status, 200);
    let cookies: Vec<_> =
        reply.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["s=1", "t=2"]);
    let asked = auth.last();
    assert_eq!((asked.line.as_str(), asked.body.as_str()), ("GET /check?u=/p?q=1 HTTP/1.1", ""), "never with the body");
    for (name, value) in [
        ("host", Some("auth.example")),
        ("x-original-url", Some("http://a:80/p?q=1")),
        ("x-original-method", Some("POST")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", None),
        ("content-length", None),
        ("x-none", None),
        ("x-mine", Some("1")),
        ("cookie", Some("c=1")),
        ("x-original-uri", None),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
    let got = backend.last();
    assert_eq!((got.header("x-user"), got.body.as_str()), (Some("alice"), "hello"));
    assert_eq!(asked.header("x-request-id"), got.header("x-request-id"));
    assert!(got.header("x-request-id").is_some());
}

#[test]
fn what_a_client_says_of_itself_is_not_what_the_other_server_says() {
    let (backend, auth) = (Backend::plain(), Backend::answering(|_| said("204 No Content", "")));
    let server = guarded(&backend, &auth, json!({ "method": "HEAD" }));
    let reply = server.ask("GET / HTTP/1.1\r\nHost: a\r\nX-User: root\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.status, 200);
    assert_eq!(backend.last().header("x-user"), None);
    let asked = auth.last();
    assert_eq!((asked.line.as_str(), asked.header("x-original-uri")), ("HEAD /check?u=/ HTTP/1.1", Some("/")));
}

#[test]
fn refusals_are_passed_on_and_all_else_is_500() {
    let backend = Backend::plain();
    let auth = Backend::answering(|got| {
        let code = got.line.rsplit_once("/check?u=/").unwrap().1.split(' ').next().unwrap().to_string();
        if code == "none" { None } else { said(&code, "WWW-Authenticate: Basic realm=x\r\nSet-Cookie: s=1\r\n") }
    });
    let server = guarded(&backend, &auth, json!({}));
    for (code, status) in [("401", 401), ("403", 403), ("302", 500), ("404", 500), ("500", 500), ("none", 500)] {
        let reply = server.get("a", &format!("/{code}"));
        assert_eq!(reply.status, status, "{code}");
        assert_eq!(reply.header("www-authenticate"), (code == "401").then_some("Basic realm=x"), "{code}");
        assert_eq!(reply.header("set-cookie"), None, "{code}");
    }
    assert_eq!(backend.count(), 0);
    let server = guarded(&backend, &auth, json!({ "alwaysSetCookie": true }));
    assert_eq!(server.get("a", "/401").header("set-cookie"), Some("s=1"));
    let mut server = guarded(&backend, &auth, json!({ "cluster": "gone" }));
    assert_eq!(server.get("a", "/").status, 500);
    server.change(&[], &["other endpoint"]);
    assert_eq!(server.get("a", "/").status, 500);
    assert_eq!(backend.count(), 0);
}

#[test]
fn who_is_unknown_is_led_to_sign_in_and_back() {
    let (backend, auth) = (Backend::plain(), Backend::answering(|_| said("401 Unauthorized", "Set-Cookie: s=1\r\n")));
    for (url, location) in [
        ("https://login.example/in", "https://login.example/in?rd=http://a%2Fp%3Fq%3D1%262"),
        ("https://login.example/in?x=1", "https://login.example/in?x=1&rd=http://a%2Fp%3Fq%3D1%262"),
        ("https://login.example/in?rd=https://$host/", "https://login.example/in?rd=https://a/"),
    ] {
        let server = guarded(&backend, &auth, json!({ "signIn": url }));
        let reply = server.get("a", "/p?q=1&2");
        assert_eq!((reply.status, reply.header("location")), (302, Some(location)));
        assert_eq!(reply.header("set-cookie"), Some("s=1"));
    }
    let server = guarded(&backend, &auth, json!({ "signIn": "/in", "redirectParameter": "to" }));
    assert_eq!(server.get("a", "/").header("location"), Some("/in?to=http://a%2F"));
}

#[test]
fn answers_are_kept_for_as_long_as_the_rule_and_they_themselves_allow() {
    let backend = Backend::plain();
    let auth = Backend::answering(|got| match got.header("cookie").unwrap_or_default() {
        "c=bad" => said("401 Unauthorized", ""),
        "c=short" => said("200 OK", "Cache-Control: no-store\r\n"),
        "c=error" => said("500 Error", ""),
        _ => said("200 OK", "X-User: alice\r\n"),
    });
    let cache = json!({ "key": "$cookie_c", "statuses": [{ "statuses": [200, 401], "ms": 600_000 }] });
    let server = guarded(&backend, &auth, json!({ "cache": cache }));
    let ask = |cookie: &str| {
        server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: c={cookie}\r\nConnection: close\r\n\r\n")).status
    };
    for (cookie, status, asked) in [("good", 200, 1), ("bad", 401, 1), ("short", 200, 3), ("error", 500, 3)] {
        let before = auth.count();
        for _ in 0..3 {
            assert_eq!(ask(cookie), status, "{cookie}");
        }
        assert_eq!(auth.count() - before, asked, "{cookie}");
    }
    assert_eq!(backend.last().header("cookie"), Some("c=short"));
    ask("good");
    assert_eq!(backend.last().header("x-user"), Some("alice"), "of an answer that was kept, too");
}

#[test]
fn one_reason_is_enough_where_any_is() {
    let (backend, auth) = (Backend::plain(), Backend::answering(|_| said("401 Unauthorized", "")));
    for (allow, status, asked) in [("127.0.0.0/8", 200, 0), ("10.0.0.0/8", 401, 1)] {
        let filters = json!({ "external": external(json!({})), "satisfyAny": true,
            "sources": { "allow": [allow], "deny": [] } });
        let server = Server::start(&rows(&backend, filters, "auth", &auth));
        let before = auth.count();
        assert_eq!((server.get("a", "/").status, auth.count() - before), (status, asked));
    }
}

#[test]
fn pages_of_errors_come_from_their_cluster() {
    let backend = Backend::answering(|got| match got.line.contains("/lost") {
        true => Some("HTTP/1.1 404 Lost\r\nContent-Length: 3\r\nX-Own: 1\r\n\r\nown".into()),
        false => Some("HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nown".into()),
    });
    let pages = Backend::answering(|got| {
        let code = got.header("x-code").unwrap();
        Some(format!("HTTP/1.1 {code} Page\r\nContent-Length: 4\r\nContent-Type: text/html\r\n\r\npage"))
    });
    let errors = json!({ "errors": { "statuses": [404, 503], "cluster": "pages", "headers": [["X-Namespace", "n"]] } });
    let mut server = Server::start(&rows(&backend, errors, "pages", &pages));
    let reply = server.ask(
        "POST /lost?q HTTP/1.1\r\nHost: a:80\r\nAccept: text/html\r\nX-Code: 1\r\nX-Namespace: mine\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\nhi",
    );
    assert_eq!((reply.status, reply.body.as_str(), reply.header("x-own")), (404, "page", None));
    let got = pages.last();
    assert_eq!((got.line.as_str(), got.body.as_str()), ("POST /?q HTTP/1.1", ""));
    for (name, value) in [
        ("x-code", "404"),
        ("x-format", "text/html"),
        ("x-original-uri", "/lost?q"),
        ("x-namespace", "n"),
        ("host", "a"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    let reply = server.get("a", "/gone");
    assert_eq!((reply.status, reply.body.as_str()), (410, "own"));
    server.change(&[], &["endpoint"]);
    assert_eq!(server.get("a", "/").body, "page", "of what the proxy says itself, too");
    server.change(&[("other endpoint", endpoint("pages", nobody()))], &[]);
    assert_eq!((server.get("a", "/").status, server.get("a", "/").body.as_str()), (503, "503 Service Unavailable\n"));
}

fn mirrored(backend: &Backend, copy: &Backend, more: Value) -> Server {
    let mut row = json!({ "cluster": "copy", "ppm": 1_000_000, "withBody": true });
    more.as_object().unwrap().iter().for_each(|(name, value)| row[name] = value.clone());
    let mut rows = rows(backend, json!({}), "copy", copy);
    rows[0].1["action"]["forward"]["mirrors"] = json!([row]);
    Server::start(&rows)
}

fn count(server: &mut Server, result: &str) -> u64 {
    let text = server.worker.ask(&wire::protocol::Question::Metrics).unwrap();
    let name = format!("fairlead_proxy_mirrored_total{{result=\"{result}\"}} ");
    let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_string();
    line.parse().unwrap()
}

#[test]
fn copies_go_to_the_mirror_and_their_answers_nowhere() {
    let backend = Backend::plain();
    let copy = Backend::answering(|_| said("500 Error", ""));
    let server = mirrored(&backend, &copy, json!({ "host": "mirror.example", "target": "/m$request_uri" }));
    let ask = |body: &str| {
        let reply = server.ask(&format!(
            "POST /p?q HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}0\r\n\r\n"
        ));
        assert_eq!(reply.status, 200);
    };
    ask("2\r\nhe\r\n3\r\nllo\r\n");
    eventually("the copy", || copy.count() == 1);
    let got = copy.last();
    assert_eq!((got.line.as_str(), got.body.as_str()), ("POST /m/p?q HTTP/1.1", "hello"));
    assert_eq!((got.header("host"), got.header("x-mine")), (Some("mirror.example"), Some("1")));
    assert_eq!(backend.last().body, "hello");
    let server = mirrored(&backend, &copy, json!({ "withBody": false }));
    server.ask("POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    eventually("the copy", || copy.count() == 2);
    let got = copy.last();
    assert_eq!((got.line.as_str(), got.body.as_str(), got.header("host")), ("POST /p?q HTTP/1.1", "", Some("a")));
}

#[test]
fn a_mirror_that_is_silent_or_gone_holds_up_nobody_and_long_bodies_are_not_copied() {
    let backend = Backend::plain();
    let begun = Arc::new(AtomicUsize::new(0));
    let held = begun.clone();
    let silent = Backend::raw(move |mut client| {
        request(&mut client);
        held.fetch_add(1, Ordering::SeqCst);
        client.rest();
    });
    let mut server = mirrored(&backend, &silent, json!({}));
    for _ in 0..20 {
        assert_eq!(server.get("a", "/").status, 200);
    }
    eventually("copies are under way", || begun.load(Ordering::SeqCst) > 0);
    server.change(&[("other endpoint", endpoint("copy", nobody()))], &[]);
    assert_eq!(server.get("a", "/").status, 200);
    eventually("it failed", || count(&mut server, "failed") > 0);
    let long = "x".repeat(1 << 20);
    let dropped = count(&mut server, "dropped");
    let reply = server.ask(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{long}y",
        long.len() + 1
    ));
    assert_eq!(reply.status, 200);
    eventually("it was dropped", || count(&mut server, "dropped") > dropped);
}
