//! TLS that goes on to its backend as it came, beside hosts whose TLS ends here.

mod common;

use common::*;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::io::Read;
use std::net::{Shutdown, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use wire::protocol::Question;

fn https() -> Value {
    listener(
        json!({ "https": { "http": http(), "protocols": ["TLSv1.2", "TLSv1.3"], "ciphers": [], "sessionTickets": true,
        "http2": true } }),
    )
}

/// The certificate signs itself.
fn pair(name: &str) -> (Value, String) {
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::new(vec![name.to_string()]).unwrap().self_signed(&key).unwrap().pem();
    (json!({ "kind": "pair", "chain": chain, "key": key.serialize_pem() }), chain)
}

fn sni(host: &str, shows: Value) -> Value {
    json!({ "kind": "sni", "host": host, "listeners": ["web"], "shows": shows })
}

fn ending(name: &str, backend: SocketAddr, more: &[(&str, Value)]) -> (Server, String) {
    let (pair, chain) = pair(name);
    let mut rows = to(backend);
    rows[0].1 = set(rows[0].1.clone(), "/host", "");
    rows.push(("own", sni(name, json!({ "certificate": { "certificate": "pair" } }))));
    rows.extend(more.iter().map(|(key, row)| (*key, row.clone())));
    (Server::secret(&https(), &rows, &[("pair", pair)]), chain)
}

fn passing(name: &str, to: SocketAddr) -> Vec<(&'static str, Value)> {
    vec![
        ("pass", sni(name, json!({ "passthrough": "p" }))),
        ("p", set(cluster("p"), "/protocol", "raw")),
        ("pe", endpoint("p", to)),
    ]
}

/// Of a client that knows this certificate only.
fn curl(server: &Server, host: &str, chain: &str, flags: &[&str]) -> String {
    let port = server.address.port();
    let path = std::env::temp_dir().join(format!("fairlead-pass-{}-{host}-{port}.pem", std::process::id()));
    std::fs::write(&path, chain).unwrap();
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "--resolve", &format!("{host}:{port}:127.0.0.1"), "--cacert"]);
    let output = command.arg(&path).args(flags).arg(format!("https://{host}:{port}/x")).output();
    std::fs::remove_file(&path).unwrap();
    let output = output.expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What rustls' client says first.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = name.to_string().try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut octets = Vec::new();
    connection.write_tls(&mut octets).unwrap();
    octets
}

fn refused(server: &mut Server, reason: &str, count: u32) -> bool {
    let line = format!("fairlead_proxy_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}} {count}\n");
    server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains(&line)
}

#[test]
fn each_name_ends_where_it_is_to() {
    let (far, near) = (Backend::answering(|_| ok("far")), Backend::answering(|_| ok("near")));
    let (behind, far_chain) = ending("pass.test", far.address, &[]);
    let (front, near_chain) = ending("a.test", near.address, &passing("pass.test", behind.address));
    for flags in [&["--http1.1"][..], &["--http2"], &["--tls-max", "1.2"]] {
        assert_eq!(curl(&front, "pass.test", &far_chain, flags), "far");
        assert_eq!(curl(&front, "a.test", &near_chain, flags), "near");
    }
    assert_eq!(curl(&front, "PASS.test", &far_chain, &[]), "far");
    let error = curl(&front, "pass.test", &near_chain, &[]);
    assert!(error.contains("certificate"), "the certificate is the backend's own: {error}");
    assert!(curl(&front, "c.test", &near_chain, &[]).contains("unrecognized name"));
}

#[test]
fn it_goes_on_octet_by_octet_as_it_came() {
    let (said, heard) = channel();
    let said = std::sync::Mutex::new(said);
    let backend = Backend::raw(move |mut client| {
        let mut octets = Vec::new();
        client.stream.read_to_end(&mut octets).unwrap();
        said.lock().unwrap().send(octets).unwrap();
        client.say("end");
    });
    let (front, _) = ending("a.test", backend.address, &passing("*.test", backend.address));
    let whole = hello("x.test");
    // In records of a few octets, as large ones of post-quantum keys come in pieces.
    let records = |size| -> Vec<u8> {
        let parts = whole[5..].chunks(size);
        parts.flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat()).collect()
    };
    for octets in [whole.clone(), records(200), records(40)] {
        for size in [1, 30, 10_000] {
            let mut client = front.connect();
            octets.chunks(size).for_each(|piece| client.octets(piece));
            client.say("and more");
            client.stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.rest(), "end");
            assert!(heard.recv().unwrap() == [&octets[..], b"and more"].concat());
        }
    }
}

#[test]
fn what_cannot_be_read_goes_nowhere() {
    let backend = Backend::raw(|_| {});
    let (mut front, _) = ending("a.test", backend.address, &passing("pass.test", backend.address));
    let mut long = vec![22, 3, 1, 0x40, 0, 1, 0, 0x40, 0];
    long.resize(5 + 0x4000, 0);
    let alert = String::from_utf8_lossy(b"\x15\x03\x03\0\x02\x02\x32").into_owned();
    for octets in [b"GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n".to_vec(), long] {
        let mut client = front.connect();
        let _ = std::io::Write::write_all(&mut client.stream, &octets);
        let rest = client.rest();
        // What is not read when the connection ends may take the alert along.
        assert!(rest == alert || (rest.is_empty() && octets.len() > 100), "{rest:?}");
    }
    // It is counted when the connection has ended.
    eventually("both are told", || refused(&mut front, "client_hello", 2));
    front.change(&[], &["pe"]);
    let mut client = front.connect();
    client.octets(&hello("pass.test"));
    assert_eq!(client.rest(), "");
    eventually("it is told", || refused(&mut front, "no_endpoint", 1));
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}
