//! Bodies that are held between client and backend, and those that are too long.

mod common;

use common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PIECE: usize = 64 << 10;

/// Sends pieces as fast as they are taken, and counts those that were.
fn flood(pieces: usize) -> (Backend, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let held = sent.clone();
    let backend = Backend::raw(move |mut client| {
        while request(&mut client).is_some() {
            client.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", pieces * PIECE));
            for _ in 0..pieces {
                client.say(&"x".repeat(PIECE));
                held.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (backend, sent)
}

#[test]
fn a_buffered_response_leaves_its_backend_while_the_client_does_not_read() {
    const PIECES: usize = 1024; // 64 MiB: more than sockets hold
    let (backend, sent) = flood(PIECES);
    let rows = |bytes: usize| {
        let mut rows = to(backend.address);
        rows[0].1 = set(rows[0].1.clone(), "/action/forward/bufferResponseBytes", bytes);
        rows
    };
    let server = Server::start(&rows(PIECES * PIECE));
    let mut client = server.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("all of it was taken", || sent.load(Ordering::SeqCst) == PIECES);
    let head = client.head();
    assert_eq!(head.header("content-length"), Some((PIECES * PIECE).to_string().as_str()));
    assert!(client.exactly(PIECES * PIECE).iter().all(|octet| *octet == b'x'));

    // With a small buffer the backend waits for the client.
    sent.store(0, Ordering::SeqCst);
    let server = Server::start(&rows(4096));
    let mut client = server.connect();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client.exactly(PIECE);
    assert!(sent.load(Ordering::SeqCst) < PIECES);
    client.exactly((PIECES - 1) * PIECE);
    eventually("all of it was sent", || sent.load(Ordering::SeqCst) == PIECES);
}

#[test]
fn what_comes_in_pieces_is_not_held_back() {
    let backend = Backend::raw(|mut client| {
        request(&mut client);
        client.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        client.line(); // until the client has it
        client.say("3\r\ntwo\r\n0\r\n\r\n");
    });
    let mut rows = to(backend.address);
    rows[0].1 = set(rows[0].1.clone(), "/action/forward/bufferResponseBytes", 1 << 20);
    let server = Server::start(&rows);
    let mut client = server.connect();
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().unwrap(), b"one");
    drop(client);
    drop(server);
}

#[test]
fn a_body_that_is_too_long_is_refused_whether_it_says_so_or_not() {
    let backend = Backend::plain();
    for buffered in [false, true] {
        let mut rows = to(backend.address);
        rows[0].1 = set(rows[0].1.clone(), "/action/forward/bodyMaxBytes", 10);
        rows[0].1 = set(rows[0].1.clone(), "/action/forward/bufferRequest", buffered);
        let server = Server::start(&rows);
        let before = backend.count();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        assert_eq!(server.ask(&format!("{head}Content-Length: 11\r\n\r\n12345678901")).status, 413);
        assert_eq!(
            server.ask(&format!("{head}Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n")).status,
            413
        );
        assert_eq!(backend.count(), before, "no backend took it for a request");
        assert_eq!(
            server.ask(&format!("{head}Transfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n")).status,
            200
        );
        assert_eq!(backend.last().body, "1234567890");
        let length = buffered.then_some("10");
        assert_eq!(backend.last().header("content-length"), length, "one that is whole says how long it is");
    }
}
