//! HTTP/1.1 on both sides, through real sockets.

mod common;

use common::*;
use serde_json::json;
use std::sync::atomic::Ordering;

#[test]
fn a_request_reaches_the_backend_and_its_answer_the_client() {
    let backend = Backend::answering(|_| {
        Some("HTTP/1.1 201 Made\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\nhi".into())
    });
    let server = Server::start(&to(backend.address));
    let reply = server.ask(
        "POST /p//q/%7e/../r?x=%2F&y HTTP/1.1\r\nHost: A:80\r\nUser-Agent: t\r\nX-Forwarded-For: 9.9.9.9\r\n\
         Forwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX_Forwarded_For: 9.9.9.9\r\n\
         Connection: x-mine, close, host\r\nX-Mine: 1\r\nProxy-Connection: x\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    assert_eq!((reply.status, reply.body.as_str()), (201, "hi"));
    let own: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "x-a").map(|(_, value)| value.as_str()).collect();
    assert_eq!(own, ["1", "2"]);
    assert_eq!((reply.header("x-hop"), reply.header("keep-alive")), (None, None));
    assert_eq!(reply.header("connection"), Some("close"));
    let got = backend.last();
    assert_eq!((got.line.as_str(), got.body.as_str()), ("POST /p/q/r?x=%2F&y HTTP/1.1", "hello"));
    for (name, value) in [
        ("host", Some("A:80")),
        ("user-agent", Some("t")),
        ("content-length", Some("5")),
        ("te", Some("trailers")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-scheme", Some("http")),
        ("x-scheme", Some("http")),
        ("x-forwarded-host", Some("A:80")),
        ("x-forwarded-port", Some(server.address.port().to_string().as_str())),
        ("forwarded", None),
        ("x_forwarded_for", None),
        ("x-mine", None),
        ("connection", None),
        ("proxy-connection", None),
        ("upgrade", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let names: Vec<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.len() == names.iter().collect::<std::collections::BTreeSet<_>>().len(), "{names:?}");
    let id = got.header("x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
}

#[test]
fn who_is_trusted_is_believed() {
    let backend = Backend::plain();
    for (append, sent) in [(false, "10.1.1.1"), (true, "6.6.6.6, 10.1.1.1, 127.0.0.1")] {
        let row = set(http(), "/trusted", json!(["127.0.0.0/8", "10.2.0.0/16"]));
        let row = set(row, "/appendForwarded", append);
        let server = Server::with(&listener(json!({ "http": row })), &to(backend.address));
        let chain = if append { "6.6.6.6, 10.1.1.1" } else { "6.6.6.6, 10.1.1.1, 10.2.2.2" };
        let reply = server.ask(&format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {chain}\r\nX-Forwarded-Proto: https\r\nX-Request-ID: mine\r\n\
             Forwarded: for=10.1.1.1\r\n\r\n"
        ));
        assert_eq!(reply.status, 200);
        let got = backend.last();
        assert_eq!(got.header("x-forwarded-for"), Some(sent));
        assert_eq!(got.header("x-real-ip"), Some("10.1.1.1"));
        assert_eq!(got.header("x-forwarded-proto"), Some("https"));
        assert_eq!(got.header("forwarded"), Some("for=10.1.1.1"));
        assert_eq!(got.header("x-request-id"), Some("mine"));
    }
}

#[test]
fn connections_are_kept_on_both_sides() {
    let backend = Backend::answering(|got| match got.line.contains("chunked") {
        true => Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n".into()),
        false => ok("hi!"),
    });
    let server = Server::start(&to(backend.address));
    let mut client = server.connect();
    for number in 0..50 {
        let path = ["/plain", "/chunked"][number % 2];
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.reply().body, "hi!");
    }
    // One that is sent before the other is answered.
    client.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!([client.reply().body, client.reply().body], ["hi!", "hi!"]);
    assert_eq!(client.rest(), "");
    assert_eq!((backend.connections.load(Ordering::SeqCst), backend.count()), (1, 52));
}

#[test]
fn a_connection_that_the_backend_closed_meanwhile_costs_nobody_a_request() {
    // It ends each connection after its answer, without saying so.
    let backend = Backend::raw(|mut client| {
        if let Some(got) = request(&mut client) {
            client.say(&ok(&got.body).unwrap());
        }
    });
    let server = Server::start(&to(backend.address));
    for number in 0..50 {
        let body = format!("n{number:03}");
        let reply =
            server.ask(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{body}"));
        assert!(reply.status == 200 && reply.body == body || reply.status == 502, "{reply:?}");
        let reply = server.get("a", "/");
        assert_eq!(reply.status, 200);
    }
}

#[test]
fn bodies_flow_both_ways_before_either_is_whole() {
    let backend = Backend::raw(|mut client| {
        client.line();
        while !client.line().is_empty() {}
        client.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = client.chunk() {
            client.say(&format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8(chunk).unwrap()));
        }
        client.say("0\r\n\r\n");
    });
    let server = Server::start(&to(backend.address));
    let mut client = server.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for word in ["one", "two", "three"] {
        client.say(&format!("{:x}\r\n{word}\r\n", word.len()));
        if word == "one" {
            assert_eq!(client.head().status, 200);
        }
        assert_eq!(client.chunk().unwrap(), word.as_bytes());
    }
    client.say("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
}

#[test]
fn a_backend_is_not_read_faster_than_its_client_reads() {
    let (sent, taken) = (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), 256 << 20);
    let counted = sent.clone();
    let backend = Backend::raw(move |mut client| {
        drop(request(&mut client));
        client.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {taken}\r\n\r\n"));
        let piece = "x".repeat(1 << 20);
        for _ in 0..taken >> 20 {
            client.say(&piece);
            counted.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let server = Server::start(&to(backend.address));
    let mut client = server.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // Nothing is read, and others are served; whatever the buffers of sockets hold, it is not all.
    let other = Backend::plain();
    drop(other);
    let mut before = usize::MAX;
    eventually("it waits", || {
        let now = sent.load(Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let quiet = now == before;
        before = now;
        quiet
    });
    assert!(before < taken / 2, "{before} octets of {taken} were taken from the backend");
    let mut left = taken;
    while left > 0 {
        left -= client.exactly(left.min(1 << 20)).len();
    }
}

#[test]
fn a_tunnel_opens_after_101_only() {
    let backend = Backend::raw(|mut client| {
        let got = request(&mut client).unwrap();
        if got.line.contains("/no") {
            return client.say("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
        }
        assert_eq!((got.header("connection"), got.header("upgrade")), (Some("upgrade"), Some("websocket")));
        client.say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Y: z\r\n\r\nfirst",
        );
        loop {
            match client.line().as_str() {
                "" => return,
                line => client.say(&format!("{}\n", line.to_uppercase())),
            }
        }
    });
    let server = Server::start(&to(backend.address));
    let ask =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut client = server.connect();
    client.say(&ask("/ws"));
    let head = client.head();
    assert_eq!((head.status, head.header("upgrade"), head.header("x-y")), (101, Some("websocket"), Some("z")));
    assert_eq!(client.exactly(5), b"first");
    for word in ["get / http/1.1", "\u{1}\u{2}", "three"] {
        client.say(&format!("{word}\n"));
        assert_eq!(client.line(), word.to_uppercase().trim_end());
    }
    drop(client);
    // No 101: it is a request like any other, and what follows is read as one.
    let mut client = server.connect();
    client.say(&(ask("/no") + &ask("/no")));
    assert_eq!((client.reply().status, client.reply().status), (400, 400));
}

#[test]
fn a_backend_that_switches_unasked_is_not_obeyed() {
    let backend = Backend::answering(|_| {
        Some("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".into())
    });
    let server = Server::start(&to(backend.address));
    assert_eq!(server.get("a", "/").status, 502);
}

#[test]
fn what_no_backend_answers_is_answered_here() {
    let quiet = Backend::raw(|mut client| drop(client.rest()));
    let odd = Backend::answering(|_| Some("what?\r\n\r\n".into()));
    let mut rows = vec![
        ("gone", route(json!({ "exact": "/gone" }), forward("gone"))),
        ("none", route(json!({ "exact": "/none" }), forward("none"))),
        ("c1", cluster("none")),
        ("refused", route(json!({ "exact": "/refused" }), forward("refused"))),
        ("c2", cluster("refused")),
        ("e2", endpoint("refused", nobody())),
        ("slow", set(route(json!({ "exact": "/slow" }), forward("slow")), "/action/forward/timeouts/readMs", 50)),
        ("c3", cluster("slow")),
        ("e3", endpoint("slow", quiet.address)),
        ("late", set(route(json!({ "exact": "/late" }), forward("slow")), "/action/forward/timeouts/requestMs", 50)),
        ("odd", route(json!({ "exact": "/odd" }), forward("odd"))),
        ("c4", cluster("odd")),
        ("e4", endpoint("odd", odd.address)),
        (
            "weightless",
            set(route(json!({ "exact": "/weightless" }), forward("odd")), "/action/forward/clusters/0/weight", 0),
        ),
    ];
    rows.push((
        "say",
        route(
            json!({ "prefix": "/say" }),
            json!({ "respond": { "status": 418, "headers": [["X-A", "b"]], "body": "tea" } }),
        ),
    ));
    let server = Server::start(&rows);
    for (path, status) in [
        ("/gone", 503),
        ("/none", 503),
        ("/weightless", 503),
        ("/refused", 502),
        ("/odd", 502),
        ("/slow", 504),
        ("/late", 504),
        ("/", 404),
        ("/sayx", 404),
        ("/say/", 418),
    ] {
        let reply = server.get("a", path);
        assert_eq!((reply.status, reply.header("server")), (status, Some("fairlead")), "{path}");
        assert!(reply.header("date").is_some() && reply.header("content-type").is_some(), "{path}");
    }
    assert_eq!((server.get("a", "/say").body.as_str(), server.get("b", "/say").status), ("tea", 404));
    for (request, status) in [
        ("GET /../say HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /say HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET /say HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        ("TRACE /say HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET http://a/say HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        ("GET http://a/say HTTP/1.1\r\nHost: a\r\n\r\n", 418),
        ("GET /x/%2e%2e/say HTTP/1.1\r\nHost: A.:8080\r\n\r\n", 418),
        ("HEAD /say HTTP/1.1\r\nHost: a\r\n\r\n", 418),
    ] {
        let mut client = server.connect();
        client.say(request);
        assert_eq!(client.head().status, status, "{request:?}");
    }
}

#[test]
fn redirects_say_where() {
    let redirect = |row| json!({ "redirect": row });
    let mut rows = Vec::new();
    for (key, path, row) in [
        ("1", json!({ "prefix": "/tls" }), json!({ "status": 308, "scheme": "https", "port": 443 })),
        ("2", json!({ "prefix": "/tls2" }), json!({ "status": 301, "scheme": "https", "port": 8443, "host": "b" })),
        ("3", json!({ "prefix": "/old" }), json!({ "status": 302, "path": { "prefix": "/new" } })),
        ("4", json!({ "prefix": "/var" }), json!({ "status": 307, "location": "https://x.$host$request_uri?$arg_k" })),
        (
            "5",
            json!({ "pattern": { "pattern": "/N(\\d+)", "ignoreCase": true } }),
            json!({ "status": 302, "port": 80, "path": { "pattern": "/m?id=$1" } }),
        ),
    ] {
        rows.push((key, route(path, redirect(row))));
    }
    let server = Server::start(&rows);
    let port = server.address.port();
    for (path, status, location) in [
        ("/tls/x?y=1", 308, "https://a/tls/x?y=1".to_string()),
        ("/tls2", 301, "https://b:8443/tls2".to_string()),
        ("/old/x/", 302, format!("http://a:{port}/new/x/")),
        ("/old", 302, format!("http://a:{port}/new")),
        ("/var//x?k=v", 307, "https://x.a/var//x?k=v?v".to_string()),
        ("/n12?z=1", 302, "http://a/m?id=12&z=1".to_string()),
    ] {
        let reply = server.get("a", path);
        assert_eq!((reply.status, reply.header("location")), (status, Some(location.as_str())), "{path}");
    }
}

#[test]
fn paths_and_hosts_are_rewritten() {
    let backend = Backend::plain();
    let rewrite = |path, by| set(route(path, forward("c")), "/action/forward/rewrite", by);
    let server = Server::start(&[
        ("c", cluster("c")),
        ("e", endpoint("c", backend.address)),
        ("1", rewrite(json!({ "prefix": "/api" }), json!({ "prefix": "/" }))),
        (
            "2",
            rewrite(
                json!({ "pattern": { "pattern": "/s(/|$)(.*)", "ignoreCase": true } }),
                json!({ "pattern": "/$2" }),
            ),
        ),
        ("3", set(rewrite(json!({ "exact": "/full" }), json!({ "full": "/else" })), "/action/forward/host", "inner")),
    ]);
    for (path, line) in [
        ("/api/x?q=1", "GET /x?q=1 HTTP/1.1"),
        ("/api", "GET / HTTP/1.1"),
        ("/S/x/y", "GET /x/y HTTP/1.1"),
        ("/s", "GET / HTTP/1.1"),
        ("/full?a", "GET /else?a HTTP/1.1"),
    ] {
        assert_eq!(server.get("a", path).body, line, "{path}");
    }
    assert_eq!(backend.last().header("host"), Some("inner"));
    assert_eq!(backend.last().header("x-forwarded-host"), Some("a"));
}

#[test]
fn what_is_too_large_is_refused() {
    let backend = Backend::plain();
    let mut rows = to(backend.address);
    rows[0].1 = set(rows[0].1.clone(), "/action/forward/bodyMaxBytes", 10);
    let server = Server::start(&rows);
    let post =
        |fields: &str, body: &str| server.ask(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")).status;
    assert_eq!(post("Content-Length: 10", "0123456789"), 200);
    assert_eq!(post("Content-Length: 11", "0123456789a"), 413);
    assert_eq!(post("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"), 200);
    assert_eq!(post("Transfer-Encoding: chunked", "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n"), 413);
    // The answer is read by a client that sends on: the connection is not reset under it.
    assert_eq!(post("Content-Length: 1000000", &"x".repeat(1_000_000)), 413);
    assert_eq!(server.ask(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000))).status, 414);
    assert_eq!(server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000))).status, 431);
    assert_eq!(server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100))).status, 431);
}

#[test]
fn who_is_too_slow_is_told_so() {
    let backend = Backend::plain();
    // Long enough for a busy machine to send what is sent in time.
    let names = ["headTimeoutMs", "bodyTimeoutMs", "idleTimeoutMs"];
    let row = names.iter().fold(http(), |row, name| set(row, &format!("/{name}"), 3000));
    let server = Server::with(&listener(json!({ "http": row })), &to(backend.address));
    let address = server.address;
    let slow = |text: &'static str, status: Option<u16>| {
        std::thread::spawn(move || {
            let mut client = Client::of(std::net::TcpStream::connect(address).unwrap());
            client.say(text);
            if let Some(status) = status {
                assert_eq!(client.reply().status, status, "{text:?}");
            }
            assert_eq!(client.rest(), "", "{text:?}");
        })
    };
    for client in [
        slow("GET / HTTP/1.1\r\nHost: a\r\nX-Slow", Some(408)),
        slow("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", Some(408)),
        slow("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(200)),
        slow("", None),
    ] {
        client.join().unwrap();
    }
}

#[test]
fn challenges_of_an_account_are_answered() {
    let backend = Backend::plain();
    let thumbprint = |hosts| json!({ "kind": "thumbprint", "thumbprint": "THUMB", "hosts": hosts });
    let mut rows = to(backend.address);
    rows.push(("t", thumbprint(json!([]))));
    let mut server = Server::start(&rows);
    let path = "/.well-known/acme-challenge/tok-EN_1";
    assert_eq!(server.get("a", path).body, "tok-EN_1.THUMB");
    assert_eq!(server.get("unknown", path).body, "tok-EN_1.THUMB");
    assert!(server.get("a", "/.well-known/acme-challenge/a.b").body.starts_with("GET /.well"));
    server.change(&[("t", thumbprint(json!(["b"])))], &[]);
    assert!(server.get("a", path).body.starts_with("GET"));
    let own = route(json!({ "prefix": "/.well-known/acme-challenge" }), forward("c"));
    server.change(&[("t", thumbprint(json!([]))), ("own", own)], &[]);
    assert!(server.get("a", path).body.starts_with("GET"));
    assert_eq!(server.get("b", path).body, "tok-EN_1.THUMB");
}

#[test]
fn a_listener_that_goes_lets_its_connections_finish() {
    let (begun, go) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let (said, wait) = (std::sync::Mutex::new(begun.0), std::sync::Mutex::new(go.1));
    let backend = Backend::answering(move |got| {
        if got.line.contains("/slow") {
            said.lock().unwrap().send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        ok("done")
    });
    let mut server = Server::start(&to(backend.address));
    let (mut idle, mut busy) = (server.connect(), server.connect());
    idle.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.reply().status, 200);
    busy.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    begun.1.recv().unwrap();
    server.close();
    assert_eq!(idle.rest(), "");
    // Every thread has heard of it then, also the one that has the other connection.
    eventually("nobody is accepted", || std::net::TcpStream::connect(server.address).is_err());
    go.0.send(()).unwrap();
    let reply = busy.reply();
    assert_eq!((reply.body.as_str(), reply.header("connection")), ("done", Some("close")));
    assert_eq!(busy.rest(), "");
}
