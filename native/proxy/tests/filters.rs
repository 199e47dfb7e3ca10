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

#[test]
fn clients_from_elsewhere_get_403() {
    let backend = Backend::plain();
    for (sources, status) in [
        (json!({ "allow": ["10.0.0.0/8"], "deny": [] }), 403),
        (json!({ "allow": ["127.0.0.0/8"], "deny": [] }), 200),
        (json!({ "allow": [], "deny": ["127.0.0.1/32"] }), 403),
    ] {
        for any in [false, true] {
            let rows = filtered(&backend, json!({ "sources": sources, "satisfyAny": any }));
            assert_eq!(Server::start(&rows).get("a", "/").status, status, "{sources}");
        }
    }
    assert_eq!(backend.count(), 2);
}

#[test]
fn the_client_is_who_a_trusted_proxy_says() {
    let backend = Backend::plain();
    let rows = filtered(&backend, json!({ "sources": { "allow": ["10.0.0.0/8"], "deny": [] } }));
    let ask = |trusted: Value| {
        let server = Server::with(&listener(json!({ "http": set(http(), "/trusted", trusted) })), &rows);
        server.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n").status
    };
    assert_eq!((ask(json!(["127.0.0.1/32"])), ask(json!([]))), (200, 403));
}

fn cors(origins: Value) -> Value {
    json!({ "cors": { "origins": origins, "methods": ["GET", "PUT"], "headers": ["X-A", "X-B"], "expose": ["X-C"],
        "credentials": true, "maxAgeSeconds": 60 } })
}

#[test]
fn origins_that_are_allowed_read_responses_and_their_preflights_are_answered() {
    let backend = Backend::answering(|_| {
        Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: http://backend\r\n\r\n".into())
    });
    let server = Server::start(&filtered(&backend, cors(json!(["https://*.shop.org"]))));
    let ask = |method: &str, origin: &str| {
        server.ask(&format!("{method} / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"))
    };
    let preflight = ask("OPTIONS", "https://x.shop.org");
    assert_eq!((preflight.status, backend.count()), (204, 0));
    let reply = ask("GET", "https://x.shop.org");
    for reply in [&preflight, &reply] {
        for (name, value) in [
            ("access-control-allow-origin", "https://x.shop.org"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "X-A, X-B"),
            ("access-control-expose-headers", "X-C"),
            ("access-control-max-age", "60"),
            ("vary", "Origin"),
        ] {
            assert_eq!(lines(&reply.headers, name), [value], "{name}");
        }
    }
    let other = ask("GET", "https://evil.org");
    assert_eq!(other.header("access-control-allow-origin"), Some("http://backend"), "the backend's own affair");
    assert_eq!(ask("OPTIONS", "https://evil.org").status, 200, "from the backend");
}

#[test]
fn with_all_origins_every_preflight_is_answered() {
    let backend = Backend::plain();
    let server = Server::start(&filtered(&backend, cors(json!(["*"]))));
    let reply = server.ask("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(server.get("a", "/").header("access-control-allow-origin"), Some("*"));
}

#[test]
fn cookies_and_locations_are_rewritten() {
    let backend = Backend::answering(|_| {
        let cookies = "Set-Cookie: a=1; Domain=in.org; Path=/app/x\r\nSet-Cookie: b=2\r\n";
        Some(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{cookies}Location: http://in.org:8080/app/\r\n\r\n"))
    });
    let server = Server::start(&filtered(
        &backend,
        json!({
            "cookies": { "domains": [["in.org", "$host"]], "paths": [["/app/", "/"]] },
            "locations": ["http://in.org:8080/app/", "https://$host$http_x_prefix/"],
        }),
    ));
    let reply = server.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Prefix: /p\r\n\r\n");
    assert_eq!(lines(&reply.headers, "set-cookie"), ["a=1; Domain=a; Path=/x", "b=2"]);
    assert_eq!(reply.header("location"), Some("https://a/p/"));
}

const ANN: &str = "ann:$2y$04$MefFeAT84JacqEBkFUZ8dOvgctl/g63fvNuonKZHUnkFoqde6Z6tS";
/// ann:secret.
const GOOD: &str = "Basic YW5uOnNlY3JldA==";

fn asking(authorization: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n")
}

#[test]
fn users_are_asked_for_their_password() {
    let backend = Backend::plain();
    let rows = filtered(&backend, json!({ "basic": { "users": "u", "realm": "the \"shop\"" } }));
    let secrets = [("u", json!({ "kind": "users", "lines": [ANN] }))];
    let mut server = Server::secret(&listener(json!({ "http": http() })), &rows, &secrets);
    let unknown = server.get("a", "/");
    assert_eq!((unknown.status, backend.count()), (401, 0));
    assert_eq!(unknown.header("www-authenticate"), Some("Basic realm=\"the \\\"shop\\\"\""));
    for wrong in ["Basic YW5uOndyb25n", "Basic ZXZlOnNlY3JldA==", "Basic %", "Bearer YW5uOnNlY3JldA==", "Basic"] {
        assert_eq!(server.ask(&asking(wrong)).status, 401, "{wrong}");
    }
    for good in [GOOD, GOOD, "basic YW5uOnNlY3JldA"] {
        assert_eq!(server.ask(&asking(good)).status, 200, "{good}");
    }
    assert_eq!(backend.last().header("authorization"), None);
    let other = json!({ "kind": "users", "lines": ["bob:{PLAIN}x"] });
    assert_eq!(commit(&mut *server.worker, "secrets", false, &[("u", other)], &[]), Vec::<String>::new());
    assert_eq!(server.ask(&asking(GOOD)).status, 401, "whoever was known is asked again when the users change");
    assert_eq!(commit(&mut *server.worker, "secrets", false, &[], &["u"]), Vec::<String>::new());
    assert_eq!(server.ask(&asking(GOOD)).status, 503);
}

#[test]
fn one_of_source_and_password_is_enough_if_the_route_says_so() {
    let backend = Backend::plain();
    let secrets = [("u", json!({ "kind": "users", "lines": [ANN] }))];
    let basic = json!({ "users": "u", "realm": "" });
    for (network, any, bare, authorized) in [
        ("127.0.0.0/8", true, 200, 200),
        ("127.0.0.0/8", false, 401, 200),
        ("10.0.0.0/8", true, 401, 200),
        ("10.0.0.0/8", false, 403, 403),
    ] {
        let sources = json!({ "allow": [network], "deny": [] });
        let rows = filtered(&backend, json!({ "sources": sources, "basic": basic, "satisfyAny": any }));
        let server = Server::secret(&listener(json!({ "http": http() })), &rows, &secrets);
        let statuses = (server.get("a", "/").status, server.ask(&asking(GOOD)).status);
        assert_eq!(statuses, (bare, authorized), "{network} {any}");
    }
}

fn limits(name: &str, more: Value) -> Value {
    let mut row = json!({ "name": name, "rates": [], "connections": 0, "exempt": [], "status": 429, "rateBytes": 0,
        "rateAfterBytes": 0 });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "limits": row })
}

#[test]
fn a_client_has_so_many_requests_in_a_time() {
    let backend = Backend::plain();
    // One in a day: what comes after the burst has to wait long.
    let rates = json!([{ "requests": 1, "perMs": 86_400_000, "burst": 3 }]);
    let server = Server::start(&filtered(&backend, limits("rate", json!({ "rates": rates }))));
    let statuses: Vec<u16> = (0..5).map(|_| server.get("a", "/").status).collect();
    assert_eq!((statuses, backend.count()), (vec![200, 200, 200, 429, 429], 3));
    let exempt = json!({ "rates": rates, "exempt": ["127.0.0.0/8"] });
    let server = Server::start(&filtered(&backend, limits("rate", exempt)));
    assert_eq!(server.get("a", "/").status, 200);
}

#[test]
fn a_client_has_so_many_requests_at_once() {
    let backend = Backend::raw(|mut client| {
        while let Some(got) = request(&mut client) {
            match got.line.contains("/slow") {
                true => {
                    client.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nso");
                    request(&mut client); // until the client has gone
                    return;
                }
                false => client.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            }
        }
    });
    let server = Server::start(&filtered(&backend, limits("once", json!({ "connections": 1 }))));
    let mut slow = server.connect();
    slow.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((slow.head().status, slow.exactly(2)), (200, b"so".to_vec()));
    assert_eq!(server.get("a", "/").status, 429);
    drop(slow);
    eventually("what the client had under way is given back", || server.get("a", "/").status == 200);
}

#[test]
fn a_response_is_no_faster_than_it_may_be() {
    let body = "x".repeat(3000);
    let text = body.clone();
    let backend = Backend::answering(move |_| ok(&text));
    let pace = json!({ "rateBytes": 1000, "rateAfterBytes": 1000 });
    let server = Server::start(&filtered(&backend, limits("pace", pace)));
    let began = std::time::Instant::now();
    let reply = server.get("a", "/");
    assert_eq!((reply.status, reply.body), (200, body));
    // The last of sixteen pieces begins when fifteen have had their time.
    assert!(began.elapsed() >= std::time::Duration::from_millis(1800), "{:?}", began.elapsed());
}

#[test]
fn variables_are_what_nginx_has_them_for() {
    let backend = Backend::answering(|_| Some("HTTP/1.1 201 Made\r\nContent-Length: 0\r\nX-Version: 7\r\n\r\n".into()));
    let names = [
        ("request", "GET /p?q=1&b HTTP/1.1"),
        ("server_protocol", "HTTP/1.1"),
        ("https", ""),
        ("scheme", "http"),
        ("escaped_request_uri", "%2Fp%3Fq%3D1%26b"),
        ("args", "q=1&b"),
        ("is_args", "?"),
        ("arg_q", "1"),
        ("cookie_c", "d"),
        ("remote_addr", "127.0.0.1"),
        ("remote_user", "ann"),
        ("proxy_add_x_forwarded_for", "127.0.0.1"),
        ("namespace", "shop"),
        ("ingress_name", "web"),
        ("service_name", "front"),
        ("service_port", "http"),
        ("location_path", "/"),
        ("server_name", "a"),
        ("upstream_http_x_version", "7"),
        ("upstream_http_x_none", ""),
        ("upstream_status", "201"),
        ("upstream_addr", &backend.address.to_string()),
        ("proxy_upstream_name", "c"),
        ("status", "201"),
        ("ssl_protocol", ""),
    ]
    .map(|(name, value)| (name, value.to_string()));
    let set_: Vec<Value> =
        names.iter().map(|(name, _)| json!([format!("X-{}", name.replace('_', "-")), format!("${name}")])).collect();
    let mut rows = filtered(&backend, json!({ "responseHeaders": { "remove": [], "set": set_, "add": [] } }));
    rows[0].1["labels"] =
        json!({ "namespace": "shop", "ingress": "web", "service": "front", "path": "/", "port": "http" });
    let server = Server::start(&rows);
    let reply = server.ask(&format!(
        "GET /p?q=1&b HTTP/1.1\r\nHost: a\r\nCookie: c=d\r\nAuthorization: {GOOD}\r\nConnection: close\r\n\r\n"
    ));
    for (name, value) in names {
        let field = format!("x-{}", name.replace('_', "-"));
        assert_eq!(reply.header(&field).unwrap_or_default(), value, "${name}");
    }
}

fn compressing() -> Value {
    let row = json!({ "encodings": ["br", "gzip"], "level": 4, "minBytes": 100,
        "types": ["text/plain", "text/event-stream"] });
    listener(json!({ "http": set(http(), "/compression", row) }))
}

fn unzipped(octets: &[u8]) -> String {
    let mut text = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(octets);
    // As far as it goes: what has come is whole though the stream is not.
    let _ = std::io::Read::read_to_end(&mut decoder, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn responses_are_compressed_for_who_accepts_it() {
    let text = "a text that says the same again and again. ".repeat(50);
    let body = text.clone();
    let backend = Backend::answering(move |got| {
        let (more, length) = match got.line.contains("/small") {
            true => ("", 2),
            false => ("ETag: \"x\"\r\n", body.len()),
        };
        Some(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{more}Content-Length: {length}\r\n\r\n{}",
            &body[..length]
        ))
    });
    let server = Server::with(&compressing(), &to(backend.address));
    let ask = |path: &str, accepted: &str| {
        let mut client = server.connect();
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n"));
        let head = client.head();
        let mut octets = Vec::new();
        match head.header("content-length").map(|length| length.parse().unwrap()) {
            Some(length) => octets = client.exactly(length),
            None => {
                while let Some(chunk) = client.chunk() {
                    octets.extend(chunk);
                }
            }
        }
        (head, octets)
    };
    let (head, octets) = ask("/", "gzip");
    assert_eq!((head.header("content-encoding"), head.header("vary")), (Some("gzip"), Some("Accept-Encoding")));
    assert_eq!(head.header("etag"), Some("W/\"x\""));
    assert!(octets.len() < text.len() / 4 && unzipped(&octets) == text);
    assert_eq!(ask("/", "gzip, br").0.header("content-encoding"), Some("br"));
    let (head, octets) = ask("/", "identity");
    assert_eq!((head.header("content-encoding"), head.header("etag")), (None, Some("\"x\"")));
    assert_eq!((head.header("vary"), octets.len()), (Some("Accept-Encoding"), text.len()));
    assert_eq!(ask("/small", "gzip").0.header("content-encoding"), None);
}

#[test]
fn events_of_a_stream_are_not_held_back_by_compression() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::raw(move |mut client| {
        request(&mut client);
        client.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.say("b\r\ndata: one\n\n\r\n");
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        client.say("b\r\ndata: two\n\n\r\n0\r\n\r\n");
    });
    let server = Server::with(&compressing(), &to(backend.address));
    let mut client = server.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(client.head().header("content-encoding"), Some("gzip"));
    let mut octets = Vec::new();
    let mut until = |text: &str| {
        while unzipped(&octets) != text {
            let chunk = client.chunk().expect("more is to come");
            octets.extend(chunk);
        }
    };
    until("data: one\n\n");
    go.send(()).unwrap();
    until("data: one\n\ndata: two\n\n");
}
