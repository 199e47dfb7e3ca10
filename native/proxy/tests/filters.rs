//! What filters make of requests and responses, through real sockets.

mod common;

use common::*;
use serde_json::{Value, json};

/// `/` of host `a`, with these filters.
fn filtered(backend: &Backend, filters: Value) -> Vec<(&'static str, Value)> {
    let mut rows = to(backend.address);
    rows[0].1 = set(rows[0].1.clone(), "/filters", filters);
    rows
}

fn lines<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(held, _)| held == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn header_fields_are_edited_both_ways() {
    let backend = Backend::answering(|_| {
        Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Old: 1\r\nServer: b\r\nX-More: 1\r\n\r\n".into())
    });
    let server = Server::start(&filtered(
        &backend,
        json!({
            "requestHeaders": { "remove": ["X-Drop"], "set": [["X-Set", "$http_x_drop on $host"]], "add": [["X-Add", "2"]] },
            "responseHeaders": { "remove": ["x-old"], "set": [["Strict-Transport-Security", "max-age=1"]],
                "add": [["X-More", "$request_method $http_x_drop"]] },
        }),
    ));
    let reply = server.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Drop: this\r\nX-Set: mine\r\nX-Add: 1\r\n\r\n");
    let got = backend.last();
    assert_eq!((got.header("x-drop"), got.header("x-set")), (None, Some("this on a")));
    assert_eq!(lines(&got.headers, "x-add"), ["1", "2"]);
    assert_eq!((reply.header("x-old"), reply.header("strict-transport-security")), (None, Some("max-age=1")));
    assert_eq!(lines(&reply.headers, "x-more"), ["1", "GET this"]);
}

#[test]
fn responses_that_the_proxy_makes_are_edited_too() {
    let rows = vec![(
        "route",
        set(
            route(json!({ "prefix": "/" }), forward("none")),
            "/filters",
            json!({ "responseHeaders": { "remove": [], "set": [["X-Host", "$host"]], "add": [] } }),
        ),
    )];
    let reply = Server::start(&rows).get("a", "/");
    assert_eq!((reply.status, reply.header("x-host")), (503, Some("a")));
}

#[test]
fn a_cluster_of_a_route_has_filters_of_its_own() {
    let backend = Backend::plain();
    let edit = |name: &str| json!({ "remove": [], "set": [[name, "$http_x_in"]], "add": [] });
    let filters = json!({ "requestHeaders": edit("X-Own"), "responseHeaders": edit("X-Own") });
    let mut rows = filtered(&backend, json!({ "requestHeaders": edit("X-All"), "forwardedPrefix": "/p" }));
    rows[0].1 = set(rows[0].1.clone(), "/action/forward/clusters/0/filters", filters);
    let reply = Server::start(&rows).ask("GET / HTTP/1.1\r\nHost: a\r\nX-In: 7\r\n\r\n");
    assert_eq!((reply.status, reply.header("x-own"), reply.header("x-all")), (200, Some("7"), None));
    let got = backend.last();
    assert_eq!((got.header("x-own"), got.header("x-all")), (Some("7"), Some("7")));
    assert_eq!(got.header("x-forwarded-prefix"), Some("/p"));
}
