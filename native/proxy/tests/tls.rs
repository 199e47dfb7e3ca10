//! TLS to clients and backends, as curl and openssl see it.

mod common;

use common::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    fn new() -> Authority {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        let name = format!("fairlead-proxy-tls-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, dir }
    }

    /// Chain and key.
    fn signs(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn pair(&self, names: &[&str]) -> Value {
        let (chain, key) = self.signs(names);
        json!({ "kind": "pair", "chain": chain, "key": key })
    }

    fn curl(&self, server: &Server, host: &str, flags: &[&str]) -> Output {
        let port = server.address.port();
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert"]).arg(self.dir.join("ca.pem"));
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]).args(flags);
        command.arg(format!("https://{host}:{port}/x")).output().expect("curl is installed")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn https(changes: &[(&str, Value)]) -> Value {
    let mut row = json!({ "http": http(), "protocols": ["TLSv1.2", "TLSv1.3"], "ciphers": [], "sessionTickets": true,
        "http2": true });
    changes.iter().for_each(|(name, value)| row[name] = value.clone());
    listener(json!({ "https": row }))
}

fn sni(host: &str, secret: &str) -> Value {
    json!({ "kind": "sni", "host": host, "listeners": ["web"], "shows": { "certificate": { "certificate": secret } } })
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn each_name_is_shown_its_certificate() {
    let authority = Authority::new();
    let backend = Backend::plain();
    let mut rows = to(backend.address);
    rows[0].1 = set(rows[0].1.clone(), "/host", "");
    rows.extend([("s1", sni("a.test", "exact")), ("s2", sni("*.a.test", "wild")), ("s3", sni("lost.test", "missing"))]);
    let secrets = [
        ("exact", authority.pair(&["a.test"])),
        ("wild", authority.pair(&["*.a.test"])),
        ("all", authority.pair(&["b.test"])),
    ];
    let mut server = Server::secret(&https(&[]), &rows, &secrets);
    let get = |server: &Server, host: &str, flag: &str| {
        text(&authority.curl(server, host, &[flag, "-w", " %{http_version}"]))
    };
    assert_eq!(get(&server, "a.test", "--http2"), "GET /x HTTP/1.1 2");
    assert_eq!(get(&server, "a.test", "--http1.1"), "GET /x HTTP/1.1 1.1");
    assert_eq!(get(&server, "w.a.test", "--tlsv1.2"), "GET /x HTTP/1.1 2");
    assert_eq!(backend.last().header("x-forwarded-proto"), Some("https"));
    for host in ["v.w.a.test", "b.test", "lost.test"] {
        assert!(
            get(&server, host, "--http2").contains("unrecognized name"),
            "{host}: {}",
            get(&server, host, "--http2")
        );
    }
    server.change(&[("s4", sni("", "all"))], &[]);
    assert_eq!(get(&server, "b.test", "--http2"), "GET /x HTTP/1.1 2");
    assert!(get(&server, "v.w.a.test", "--http2").contains("no alternative certificate subject name"));
    // One that comes later is shown from then on.
    assert_eq!(
        commit(&mut *server.worker, "secrets", false, &[("missing", authority.pair(&["lost.test"]))], &[]),
        [""; 0]
    );
    assert_eq!(get(&server, "lost.test", "--http2"), "GET /x HTTP/1.1 2");
}

#[test]
fn protocols_and_http2_are_as_the_listener_says() {
    let authority = Authority::new();
    let backend = Backend::plain();
    let mut rows = to(backend.address);
    rows.push(("s", sni("a", "a")));
    let secrets = [("a", authority.pair(&["a"]))];
    let changes = [
        ("protocols", json!(["TLSv1.2"])),
        ("http2", json!(false)),
        ("ciphers", json!(["ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-SHA"])),
    ];
    let server = Server::secret(&https(&changes), &rows, &secrets);
    let output = authority.curl(&server, "a", &["--http2", "-v", "-w", " %{http_version}"]);
    let said = text(&output);
    assert!(said.contains("TLSv1.2 / ECDHE-ECDSA-AES256-GCM-SHA384") && said.contains("GET /x HTTP/1.1 1.1"), "{said}");
    assert!(!authority.curl(&server, "a", &["--tlsv1.3"]).status.success());
    assert!(
        !authority
            .curl(&server, "a", &["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"])
            .status
            .success()
    );
}

#[test]
fn sessions_are_taken_up_again() {
    let authority = Authority::new();
    let backend = Backend::plain();
    let mut rows = to(backend.address);
    rows.push(("s", sni("a", "a")));
    let secrets = [("a", authority.pair(&["a"]))];
    for (version, tickets) in [("-tls1_2", true), ("-tls1_3", true), ("-tls1_3", false)] {
        let server = Server::secret(&https(&[("sessionTickets", json!(tickets))]), &rows, &secrets);
        let session = authority.dir.join("session");
        drop(fs::remove_file(&session));
        let connect = |flag: &str| {
            let mut command = Command::new("openssl");
            command.args([
                "s_client",
                "-connect",
                &server.address.to_string(),
                "-servername",
                "a",
                version,
                "-ign_eof",
                flag,
            ]);
            let child = command
                .arg(&session)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("openssl is installed");
            let request = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            std::io::Write::write_all(&mut child.stdin.as_ref().unwrap(), request.as_bytes()).unwrap();
            text(&child.wait_with_output().unwrap())
        };
        let first = connect("-sess_out");
        assert!(first.contains("New, TLSv1") && first.contains("200 OK"), "{first}");
        if tickets {
            let second = connect("-sess_in");
            assert!(second.contains("Reused, TLSv1") && second.contains("200 OK"), "{version}: {second}");
        } else {
            assert!(!session.exists(), "{first}");
        }
    }
}

#[test]
fn a_challenge_is_shown_to_who_offers_its_protocol_only() {
    // As RFC 8737 3 wants it: self-signed, with an extension that nobody else knows and everybody must.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a".to_string()]).unwrap();
    params.custom_extensions.push(rcgen::CustomExtension::new_acme_identifier(&[7; 32]));
    let chain = params.self_signed(&key).unwrap().pem();
    let challenge = json!({ "kind": "pair", "chain": chain, "key": key.serialize_pem(), "challenge": "a" });
    let server = Server::secret(&https(&[]), &[], &[("c", challenge)]);
    let connect = |flags: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &server.address.to_string(), "-servername", "a"]).args(flags);
        text(&command.stdin(Stdio::null()).output().expect("openssl is installed"))
    };
    assert!(
        connect(&["-alpn", "acme-tls/1"]).contains("ALPN protocol: acme-tls/1"),
        "{}",
        connect(&["-alpn", "acme-tls/1"])
    );
    assert!(connect(&[]).contains("unrecognized name"));
}

#[test]
fn backends_are_reached_by_tls() {
    let authority = Authority::new();
    let other = Authority::new();
    let (chain, key) = authority.signs(&["inner.test"]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.issuer.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let backend = Backend::raw(move |client| {
        let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut stream = client.stream.try_clone().unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        let mut octets = [0; 4096];
        if std::io::Read::read(&mut stream, &mut octets).is_ok_and(|count| count > 0) {
            let name = format!("{:?} {}", stream.conn.server_name(), stream.conn.peer_certificates().is_some());
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}", name.len());
            drop(std::io::Write::write_all(&mut stream, answer.as_bytes()));
        }
    });
    let trust =
        |authority: &Authority| json!({ "kind": "trust", "certificates": authority.issuer.pem(), "revoked": "" });
    let secrets = [("ca", trust(&authority)), ("other", trust(&other)), ("me", authority.pair(&["me"]))];
    for (tls, status, body) in [
        (json!({ "verify": "nothing", "protocols": ["TLSv1.2", "TLSv1.3"] }), 200, "None false"),
        (
            json!({ "serverName": "x.test", "verify": "nothing", "protocols": ["TLSv1.2"] }),
            200,
            "Some(\"x.test\") false",
        ),
        (
            json!({ "serverName": "inner.test", "verify": { "trust": "ca" }, "certificate": "me", "protocols": ["TLSv1.3"] }),
            200,
            "Some(\"inner.test\") true",
        ),
        (json!({ "serverName": "x.test", "verify": { "trust": "ca" }, "protocols": ["TLSv1.3"] }), 502, ""),
        (json!({ "serverName": "inner.test", "verify": { "trust": "other" }, "protocols": ["TLSv1.3"] }), 502, ""),
        (json!({ "serverName": "inner.test", "verify": { "trust": "gone" }, "protocols": ["TLSv1.3"] }), 502, ""),
        (json!({ "serverName": "inner.test", "verify": "system", "protocols": ["TLSv1.3"] }), 502, ""),
    ] {
        let mut rows = to(backend.address);
        rows[1].1["tls"] = tls.clone();
        let server = Server::secret(&listener(json!({ "http": http() })), &rows, &secrets);
        let reply = server.get("a", "/");
        assert_eq!(reply.status, status, "{tls}");
        assert!(status != 200 || reply.body == body, "{tls}: {}", reply.body);
    }
}

#[test]
fn a_secret_that_is_wrong_is_refused_without_a_word_of_it() {
    let authority = Authority::new();
    let mut server = Server::secret(&https(&[]), &[], &[]);
    let (chain, key) = authority.signs(&["a"]);
    let (_, another) = authority.signs(&["a"]);
    for (row, reason) in [
        (json!({ "kind": "pair", "chain": chain, "key": another }), "not that of the certificate"),
        (json!({ "kind": "pair", "chain": "hunter2", "key": key }), "no certificate"),
        (json!({ "kind": "pair", "chain": chain, "key": "hunter2" }), "no PEM of a key"),
        (json!({ "kind": "pair", "chain": chain, "key": 7 }), "cannot be read"),
        (json!({ "kind": "hunter2" }), "cannot be read"),
        (json!({ "kind": "trust", "certificates": "hunter2", "revoked": "" }), "ca.crt has no certificate"),
        (json!("hunter2"), "cannot be read"),
    ] {
        let refused = commit(&mut *server.worker, "secrets", false, &[("s", row)], &[]).join(" ");
        assert!(refused.contains(reason) && !refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_connection_of_http2_is_for_the_hosts_that_its_certificate_names() {
    let (authority, backend) = (Authority::new(), Backend::plain());
    let mut rows = to(backend.address);
    rows[0].1["host"] = "".into();
    rows.extend([
        ("one", sni("one.test", "both")),
        ("two", sni("two.test", "own")),
        ("three", sni("three.test", "other")),
        ("four", set(sni("four.test", ""), "/shows", json!({ "passthrough": "raw" }))),
        ("all", sni("", "both")),
    ]);
    let secrets = [
        ("both", authority.pair(&["one.test", "two.test", "unknown.test"])),
        ("own", authority.pair(&["two.test"])),
        ("other", authority.pair(&["three.test"])),
    ];
    let server = Server::secret(&https(&[]), &rows, &secrets);
    let ask = |name: &str, host: &str, flag: &str| {
        let named = format!("Host: {host}");
        let flags = [flag, "-H", &named, "-o", "/dev/null", "-w", "%{http_code}"];
        String::from_utf8(authority.curl(&server, name, &flags).stdout).unwrap()
    };
    for (name, host, status) in [
        ("one.test", "ONE.test", "200"),
        ("one.test", "two.test", "200"),
        ("one.test", "unknown.test", "200"),
        ("one.test", "three.test", "421"),
        ("one.test", "four.test", "421"),
        ("two.test", "one.test", "421"),
        ("unknown.test", "one.test", "200"),
    ] {
        assert_eq!(ask(name, host, "--http2"), status, "{name} {host}");
        assert_eq!(ask(name, host, "--http1.1"), "200", "HTTP/1.1 is not taken for others by mistake: {name} {host}");
    }
}
