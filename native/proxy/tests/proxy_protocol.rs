//! Connections that begin with a header of the PROXY protocol, from whom it is expected.

mod common;

use common::*;
use serde_json::{Value, json};
use wire::protocol::Question;

const TOLD: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\n";
const REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";

fn behind(networks: Value, changes: &[(&str, Value)]) -> Value {
    let mut row = http();
    changes.iter().for_each(|(name, value)| row[name] = value.clone());
    let mut row = listener(json!({ "http": row }));
    row["proxyProtocol"] = networks;
    row
}

#[test]
fn a_header_says_who_the_client_is_and_where_it_went_to() {
    let backend = Backend::plain();
    let server = Server::with(&behind(json!(["127.0.0.0/8"]), &[]), &to(backend.address));
    let reply = server.ask(&format!("{TOLD}{REQUEST}"));
    assert_eq!(reply.status, 200);
    let got = backend.last();
    assert_eq!(got.header("x-real-ip"), Some("192.0.2.7"));
    assert_eq!(got.header("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(got.header("x-forwarded-port"), Some("8443"));
    assert_eq!(got.header("x-forwarded-proto"), Some("http"));
    // Octet by octet, and of the other version.
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([203, 0, 113, 9, 198, 51, 100, 1, 0, 80, 1, 187]);
    for (header, address, scheme) in [
        (TOLD.as_bytes(), "192.0.2.7", "http"),
        (&binary, "203.0.113.9", "https"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", "http"),
    ] {
        let mut client = server.connect();
        for octet in [header, REQUEST.as_bytes()].concat() {
            client.octets(&[octet]);
        }
        assert_eq!(client.reply().status, 200);
        let got = backend.last();
        assert_eq!(got.header("x-real-ip"), Some(address));
        assert_eq!(got.header("x-forwarded-proto"), Some(scheme), "what ended TLS at port 443 before us");
    }
}

#[test]
fn who_is_to_send_a_header_and_does_not_is_not_served() {
    let backend = Backend::plain();
    let mut server = Server::with(&behind(json!(["127.0.0.0/8"]), &[]), &to(backend.address));
    for text in [REQUEST, "PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = server.connect();
        client.say(text);
        assert_eq!(client.rest(), "");
    }
    assert_eq!(backend.count(), 0);
    let line = r#"fairlead_proxy_connections_refused_total{listener="web",reason="proxy_protocol"} 2"#;
    eventually("both are told", || server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains(line));
    // From somebody else it is payload, and no good one.
    let row = behind(json!(["192.0.2.0/24", "2001:db8::/32"]), &[]);
    let server = Server::with(&row, &to(backend.address));
    assert_eq!(server.ask(REQUEST).status, 200);
    assert_eq!(server.ask(&format!("{TOLD}{REQUEST}")).status, 400);
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    let backend = Backend::plain();
    let mut row = behind(json!(["127.0.0.0/8"]), &[]);
    row["proxyProtocolTimeoutMs"] = 50.into();
    let server = Server::with(&row, &to(backend.address));
    for part in ["", "PROXY TCP4"] {
        let mut client = server.connect();
        client.say(part);
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn a_header_that_is_cut_off_is_told_and_a_look_at_the_port_is_not() {
    let backend = Backend::plain();
    let mut server = Server::with(&behind(json!(["127.0.0.0/8"]), &[]), &to(backend.address));
    for part in ["", "PROXY TCP4", ""] {
        let mut client = server.connect();
        client.say(part);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "");
    }
    let line = "fairlead_proxy_connections_refused_total{listener=\"web\",reason=\"proxy_protocol\"} 1\n";
    eventually("one is told", || server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains(line));
}

#[test]
fn fields_of_trusted_clients_hold_for_the_client_that_the_header_names() {
    let backend = Backend::plain();
    let trusted = [("trusted", json!(["192.0.2.0/24"])), ("appendForwarded", json!(true))];
    let server = Server::with(&behind(json!(["127.0.0.0/8"]), &trusted), &to(backend.address));
    server.ask(&format!("{TOLD}{REQUEST}"));
    let got = backend.last();
    assert_eq!(got.header("x-real-ip"), Some("6.6.6.6"));
    assert_eq!(got.header("x-forwarded-for"), Some("6.6.6.6, 192.0.2.7"));
    assert_eq!(got.header("x-forwarded-proto"), Some("https"));
    server.ask(&format!("PROXY TCP4 203.0.113.9 198.51.100.1 1 80\r\n{REQUEST}"));
    let got = backend.last();
    assert_eq!(got.header("x-real-ip"), Some("203.0.113.9"), "one that is not trusted is not believed");
    assert_eq!(got.header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(got.header("x-forwarded-proto"), Some("http"));
}

#[test]
fn curl_speaks_it() {
    let backend = Backend::plain();
    let server = Server::with(&behind(json!(["127.0.0.0/8"]), &[]), &to(backend.address));
    let url = format!("http://{}/", server.address);
    let output = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "60", "--haproxy-protocol", "-H", "Host: a", &url])
        .output()
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "GET / HTTP/1.1", "{output:?}");
}
