//! Requests that two servers could read in two ways: the backend never sees one, nor anything that came behind it.

mod common;

use common::*;

/// Head and what follows it; each is sent with a request behind it.
const HOSTILE: &[&str] = &[
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
];

#[test]
fn a_hostile_head_is_the_last_of_its_connection() {
    let backend = Backend::plain();
    let server = Server::start(&to(backend.address));
    for hostile in HOSTILE {
        let mut client = server.connect();
        client.say("GET /before HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply().status, 200);
        client.say(&format!("{hostile}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        let status = client.reply().status;
        assert!(matches!(status, 400 | 501 | 505), "{hostile:?}: {status}");
        assert_eq!(client.rest(), "", "{hostile:?}");
        assert_eq!(backend.last().line, "GET /before HTTP/1.1", "{hostile:?}");
    }
    assert_eq!(backend.count(), HOSTILE.len());
}

#[test]
fn a_hostile_body_is_cut_off_and_nothing_behind_it_is_read() {
    // Whoever reads it reads on until it is whole.
    let backend = Backend::plain();
    let server = Server::start(&to(backend.address));
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nX: y\nZ: z\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let rest = client.rest();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{body:?}: {rest}");
        assert!(rest.matches("HTTP/1.1").count() <= 1, "{body:?}: {rest}");
    }
    let seen = backend.got.lock().unwrap();
    assert!(seen.iter().all(|got| !got.line.contains("smuggled")), "{seen:?}");
}

#[test]
fn what_is_in_order_passes_in_any_pieces() {
    let backend = Backend::answering(|got| ok(&format!("{} {}", got.line, got.body)));
    let server = Server::start(&to(backend.address));
    let requests = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
                    POST /2 HTTP/1.1\r\nhost:a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n\
                    GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    for size in [1, 2, 3, 7, 50, 1000] {
        let mut client = server.connect();
        for piece in requests.as_bytes().chunks(size) {
            client.say(std::str::from_utf8(piece).unwrap());
        }
        let bodies = [client.reply().body, client.reply().body, client.reply().body];
        assert_eq!(bodies, ["POST /1 HTTP/1.1 GET /", "POST /2 HTTP/1.1 abcde", "GET /3 HTTP/1.1 "], "{size}");
    }
}
