//! Certificates of clients, as curl and openssl show them, taken as nginx takes them.

mod common;

use common::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn new(name: &str) -> Authority {
        Authority(CertifiedIssuer::self_signed(Authority::params(name), KeyPair::generate().unwrap()).unwrap())
    }

    fn below(&self, name: &str) -> Authority {
        let issuer = CertifiedIssuer::signed_by(Authority::params(name), KeyPair::generate().unwrap(), &self.0);
        Authority(issuer.unwrap())
    }

    /// Chain and key.
    fn signs(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Shop, Inc.");
        params.distinguished_name.push(DnType::CommonName, "Zoë");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn revokes(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// Host `a.test` asks for certificates as `clients` has it, `b.test` for none; both go to one backend.
struct World {
    server: Server,
    backend: Backend,
    authority: Authority,
    dir: PathBuf,
}

impl World {
    fn new(clients: &[(&str, Value)]) -> World {
        let authority = Authority::new("clients");
        let trust = json!({ "kind": "trust", "certificates": authority.0.pem(), "revoked": "" });
        World::with(authority, clients, trust)
    }

    fn with(authority: Authority, clients: &[(&str, Value)], trust: Value) -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fairlead-proxy-mtls-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let servers = Authority::new("servers");
        fs::write(dir.join("ca.pem"), servers.0.pem()).unwrap();
        let (chain, key) = servers.signs(&["a.test", "b.test", "c.test"], |_| {});
        let mut asked = json!({ "trust": "clients", "required": "on", "depth": 1, "pass": false });
        clients.iter().for_each(|(name, value)| asked[name] = value.clone());
        let sni = |host: &str, shown: Value| json!({ "kind": "sni", "host": host, "listeners": ["web"], "shows": { "certificate": shown } });
        let backend = Backend::plain();
        let mut rows = to(backend.address);
        rows[0].1 = set(rows[0].1.clone(), "/host", "");
        rows.push(("s1", sni("a.test", json!({ "certificate": "pair", "clients": asked }))));
        rows.push(("s2", sni("", json!({ "certificate": "pair" }))));
        let secrets = [("pair", json!({ "kind": "pair", "chain": chain, "key": key })), ("clients", trust)];
        let https = json!({ "http": http(), "protocols": ["TLSv1.2", "TLSv1.3"], "ciphers": [], "sessionTickets": true,
            "http2": true });
        let server = Server::secret(&listener(json!({ "https": https })), &rows, &secrets);
        World { server, backend, authority, dir }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    /// Status, and the body or where it leads.
    fn get(&self, host: &str, pair: Option<&(String, String)>, flags: &[&str]) -> String {
        let port = self.server.address.port();
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert"]).arg(self.dir.join("ca.pem"));
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), "-w", "%{http_code} %{redirect_url}"]);
        if let Some((chain, key)) = pair {
            command.args(["--cert", &self.file("cert.pem", chain), "--key", &self.file("key.pem", key)]);
        }
        let output = command.args(flags).arg(format!("https://{host}:{port}/x")).output().expect("curl is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_string() + &String::from_utf8_lossy(&output.stderr)
    }

    fn verdict(&self) -> String {
        self.backend.last().header("ssl-client-verify").unwrap_or_default().to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

const GOOD: &str = "GET /x HTTP/1.1200";
const WRONG: &str = "400 The SSL certificate error\n400";
const MISSING: &str = "400 No required SSL certificate was sent\n400";

#[test]
fn who_has_a_good_certificate_is_let_in_and_the_backend_is_told() {
    let world = World::new(&[("pass", json!(true))]);
    let pair = world.authority.signs(&[], |params| params.serial_number = Some(SerialNumber::from(0xabcd)));
    for flag in ["--http1.1", "--http2", "--tls-max=1.2"] {
        let flags = match flag {
            "--tls-max=1.2" => vec!["--tls-max", "1.2"],
            flag => vec![flag],
        };
        let forged = ["-H", "ssl-client-verify: SUCCESS", "-H", "ssl-client-subject-dn: CN=root"];
        assert_eq!(world.get("a.test", Some(&pair), &[&flags[..], &forged].concat()), GOOD, "{flag}");
        let got = world.backend.last();
        let fields =
            |name| got.headers.iter().filter(|(held, _)| held == name).map(|(_, value)| value.as_str()).collect();
        let subjects: Vec<&str> = fields("ssl-client-subject-dn");
        assert_eq!(subjects, [r"CN=Zo\C3\AB,O=Shop\, Inc."]);
        let verdicts: Vec<&str> = fields("ssl-client-verify");
        assert_eq!(verdicts, ["SUCCESS"]);
        assert_eq!(got.header("ssl-client-issuer-dn"), Some("CN=clients"));
        let pem = got.header("ssl-client-cert").unwrap().replace("%20", " ").replace("%0A", "\n");
        let pem = pem.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(pem, pair.0.replace("\r\n", "\n"));
        assert_eq!(world.get("a.test", None, &flags), MISSING, "{flag}");
    }
    // As openssl writes it.
    let file = world.file("named.pem", &pair.0);
    let asked = ["x509", "-in", &file, "-noout", "-subject", "-nameopt", "RFC2253", "-serial"];
    let output = Command::new("openssl").args(asked).output().expect("openssl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "subject=CN=Zo\\C3\\AB,O=Shop\\, Inc.\nserial=ABCD\n");
    // Another host of the same port asks for none, and nobody says what it did not.
    assert_eq!(world.get("b.test", None, &["-H", "ssl-client-verify: SUCCESS"]), GOOD);
    assert_eq!(world.backend.last().header("ssl-client-verify"), None);
}

#[test]
fn a_certificate_that_is_not_good_is_refused_and_nobody_behind_it_is_asked() {
    let world = World::new(&[]);
    let pairs = [
        Authority::new("clients").signs(&[], |_| {}),
        world.authority.signs(&[], |params| params.not_after = date_time_ymd(2020, 1, 1)),
        world.authority.signs(&[], |params| params.not_before = date_time_ymd(4000, 1, 1)),
        world.authority.signs(&[], |params| {
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ];
    for pair in &pairs {
        assert_eq!(world.get("a.test", Some(pair), &[]), WRONG);
    }
    assert_eq!(world.backend.count(), 0);
}

#[test]
fn optional_is_as_nginx_has_it() {
    let foreign = Authority::new("foreign").signs(&[], |_| {});
    let world = World::new(&[("required", json!("optional"))]);
    assert_eq!(world.get("a.test", None, &[]), GOOD);
    assert_eq!(world.verdict(), "NONE");
    assert_eq!(world.get("a.test", Some(&foreign), &[]), WRONG);
    assert_eq!(world.get("a.test", Some(&world.authority.signs(&[], |_| {})), &[]), GOOD);
    let world = World::new(&[("required", json!("optionalNoCa"))]);
    assert_eq!(world.get("a.test", Some(&foreign), &[]), GOOD);
    assert_eq!(world.verdict(), "FAILED:unable to verify the first certificate");
    let old = world.authority.signs(&[], |params| params.not_after = date_time_ymd(2020, 1, 1));
    assert_eq!(world.get("a.test", Some(&old), &[]), WRONG);
}

#[test]
fn a_chain_is_as_long_as_it_may_be() {
    for (depth, wanted) in [(0, WRONG), (1, GOOD)] {
        let world = World::new(&[("depth", json!(depth))]);
        assert_eq!(world.get("a.test", Some(&world.authority.signs(&[], |_| {})), &[]), GOOD);
        let between = world.authority.below("between");
        let (leaf, key) = between.signs(&[], |_| {});
        assert_eq!(world.get("a.test", Some(&(leaf.clone() + &between.0.pem(), key.clone())), &[]), wanted, "{depth}");
        assert_eq!(world.get("a.test", Some(&(leaf, key)), &[]), WRONG, "the one between is missing");
    }
}

#[test]
fn what_is_revoked_is_refused_and_so_is_what_no_list_tells_of() {
    let authority = Authority::new("clients");
    let trust = json!({ "kind": "trust", "certificates": authority.0.pem(), "revoked": authority.revokes(&[7]) });
    let mut world = World::with(authority, &[], trust);
    let pair = |world: &World, serial: u64| {
        world.authority.signs(&[], |params| params.serial_number = Some(SerialNumber::from(serial)))
    };
    let (seven, eight) = (pair(&world, 7), pair(&world, 8));
    assert_eq!(world.get("a.test", Some(&seven), &[]), WRONG);
    assert_eq!(world.get("a.test", Some(&eight), &[]), GOOD);
    let between = world.authority.below("between");
    let (leaf, key) = between.signs(&[], |_| {});
    assert_eq!(
        world.get("a.test", Some(&(leaf + &between.0.pem(), key)), &[]),
        WRONG,
        "a list of its issuer is missing"
    );
    // A list that comes later counts from then on, and a trust that is gone lets nobody in.
    let certificates = world.authority.0.pem();
    let trust = json!({ "kind": "trust", "certificates": certificates, "revoked": world.authority.revokes(&[8]) });
    assert_eq!(commit(&mut *world.server.worker, "secrets", false, &[("clients", trust)], &[]), [""; 0]);
    assert_eq!(world.get("a.test", Some(&seven), &[]), GOOD);
    assert_eq!(world.get("a.test", Some(&eight), &[]), WRONG);
    assert_eq!(commit(&mut *world.server.worker, "secrets", false, &[], &["clients"]), [""; 0]);
    assert_eq!(world.get("a.test", Some(&seven), &[]), "503 Service Unavailable\n503");
}

#[test]
fn who_is_refused_is_sent_to_the_page_and_a_subject_has_its_pattern() {
    let world = World::new(&[("errorPage", json!("https://help.test/?from=$host")), ("subject", json!("^CN=Zo"))]);
    let help = "302 Found\n302 https://help.test/?from=a.test";
    assert_eq!(world.get("a.test", None, &[]), help);
    assert_eq!(world.get("a.test", Some(&Authority::new("clients").signs(&[], |_| {})), &[]), help);
    assert_eq!(world.get("a.test", Some(&world.authority.signs(&[], |_| {})), &[]), GOOD);
    let other = world.authority.signs(&[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "not CN=Zo");
    });
    assert_eq!(world.get("a.test", Some(&other), &[]), "client certificate unauthorized\n403");
    let bad = json!({ "certificate": "pair", "clients": { "trust": "clients", "required": "on", "depth": 1, "pass": false,
        "subject": "(" } });
    let row = json!({ "kind": "sni", "host": "c.test", "listeners": ["web"], "shows": { "certificate": bad } });
    let mut world = world;
    let refused = commit(&mut *world.server.worker, "proxy", false, &[("s3", row)], &[]);
    assert!(refused[0].contains("subject is no pattern"), "{refused:?}");
}

#[test]
fn a_connection_is_of_the_name_that_it_was_made_for() {
    let world = World::new(&[]);
    let pair = world.authority.signs(&[], |_| {});
    for (host, other) in [("a.test", "b.test"), ("b.test", "a.test"), ("c.test", "A.TEST.")] {
        let named = format!("Host: {other}");
        for flag in ["--http1.1", "--http2"] {
            let got = world.get(host, Some(&pair), &[flag, "-H", &named]);
            assert_eq!(got, "421 Misdirected Request\n421", "{host} {other}");
        }
    }
    assert_eq!(world.get("b.test", Some(&pair), &["-H", "Host: c.test"]), GOOD, "neither asks for any");
    assert_eq!(world.backend.count(), 1);
}

#[test]
fn a_session_that_goes_on_has_its_certificate() {
    let world = World::new(&[]);
    let (chain, key) = world.authority.signs(&[], |_| {});
    let (chain, key) = (world.file("cert.pem", &chain), world.file("key.pem", &key));
    let session = world.dir.join("session").to_str().unwrap().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let ask = |more: &[&str]| {
            let address = world.server.address.to_string();
            let fixed = ["s_client", "-connect", &address, "-servername", "a.test", "-ign_eof", version];
            let mut command = Command::new("openssl");
            command.args(fixed).args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("openssl is installed");
            let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
            child.stdin.as_mut().unwrap().write_all(request).unwrap();
            String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
        };
        let said = ask(&["-cert", &chain, "-key", &key, "-sess_out", &session]);
        assert!(said.contains("HTTP/1.1 200") && said.contains("\nNew,"), "{said}");
        let said = ask(&["-sess_in", &session]);
        assert!(said.contains("HTTP/1.1 200") && said.contains("\nReused,"), "{said}");
        assert_eq!(world.verdict(), "SUCCESS");
        let said = ask(&[]);
        assert!(said.contains("HTTP/1.1 400"), "{said}");
    }
}
