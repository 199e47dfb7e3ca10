//! Connections of clients: TLS, who may come, renewed certificates, timeouts.

mod common;

use common::certificates::Authority;
use common::{Server, Shown, framed, query, read};
use dns::Dns;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use supervisor::{Kind, Refusal};

const A: u16 = 1;
const TEMPLATE: &str = r#"{"plugin":"template","templates":[{"class":1,"type":1,"zones":["."],"patterns":[],"answer":[{"owner":["name"],"ttl":60,
    "type":1,"data":[[{"text":"192.0.2.1"}]]}],"additional":[],"authority":[],"rcode":0,"extendedError":null,"fallthrough":null}]}"#;

fn tls(authority: &Authority, auth: &str) -> String {
    let (certificate, key) = (authority.path("own.pem"), authority.path("own.key"));
    let ca = if auth.contains("erify") { format!("{:?}", authority.path("ca.pem")) } else { "null".to_string() };
    format!(r#"{{"plugin":"tls","certificate":"{certificate}","key":"{key}","ca":{ca},"clientAuth":"{auth}"}}"#)
}

fn start(authority: &Authority, auth: &str, more: &str) -> Server {
    authority.write("own", &authority.issue(&["dns.example.org"]));
    Server::of("tls", "127.0.0.1:0", &format!("{}{more},{TEMPLATE}", tls(authority, auth)))
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: &Server, config: &Arc<ClientConfig>) -> Stream {
    let name = ServerName::try_from("dns.example.org").unwrap();
    StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), server.connect())
}

fn ask(stream: &mut Stream) -> std::io::Result<Shown> {
    stream.write_all(&framed(&query("www.example.org.", A, None)))?;
    stream.flush()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(Shown::of(&answer))
}

fn metrics(server: &mut Server) -> String {
    let answer = server.worker.ask(&wire::protocol::Question::Metrics).unwrap();
    answer.as_str().unwrap().to_string()
}

fn pack(steps: &str) -> Result<(), Refusal> {
    let row = format!(
        r#"{{"listen":[{{"transport":"tls","address":"127.0.0.1","port":853}}],"zones":["."],"steps":[{steps}]}}"#
    );
    Dns.pack("servers", "0", &row, &mut Vec::new())
}

#[test]
fn queries_over_tls() {
    let authority = Authority::new();
    let mut server = start(&authority, "noCert", r#",{"plugin":"prometheus","listen":{"port":9153}}"#);
    let mut stream = connect(&server, &authority.client(None));
    for _ in 0..3 {
        assert_eq!(ask(&mut stream).unwrap().answer, ["www.example.org. 60 A 192.0.2.1"]);
    }
    // Pipelined, and whole answers however long.
    let both = [framed(&query("a.org.", A, None)), framed(&query("b.org.", A, None))].concat();
    stream.write_all(&both).unwrap();
    let answers: Vec<_> = (0..2).map(|_| Shown::of(&read(&mut stream)).answer).collect();
    assert_eq!(answers.concat(), ["a.org. 60 A 192.0.2.1", "b.org. 60 A 192.0.2.1"]);
    let text = metrics(&mut server);
    let port = server.address.port();
    let counted = format!(
        r#"coredns_dns_requests_total{{server="tls://:{port}",zone=".",view="",proto="tls",family="1",type="A"}} 5"#
    );
    assert!(text.lines().any(|line| line == counted), "{text}");
}

#[test]
fn who_may_come() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (own, strange) = (authority.issue(&["client"]), other.issue(&["client"]));
    for (auth, without, known, unknown) in [
        ("noCert", true, true, true),
        ("request", true, true, true),
        ("require", false, true, true),
        ("verifyIfGiven", true, true, false),
        ("requireAndVerify", false, true, false),
    ] {
        let server = start(&authority, auth, "");
        for (client, may) in [(None, without), (Some(&own), known), (Some(&strange), unknown)] {
            let told = ask(&mut connect(&server, &authority.client(client)));
            assert_eq!(told.is_ok(), may, "{auth}: {client:?}: {told:?}");
        }
    }
}

#[test]
fn a_renewed_certificate_is_shown_and_no_connection_is_cut() {
    let authority = Authority::new();
    let mut server = start(&authority, "noCert", "");
    let config = authority.client(None);
    let shown = |stream: &Stream| stream.conn.peer_certificates().unwrap()[0].to_vec();
    let mut before = connect(&server, &config);
    ask(&mut before).unwrap();
    // A key that is not the certificate's: what was read before is shown on.
    let fresh = authority.issue(&["dns.example.org"]);
    let mixed = (fresh.0.clone(), authority.issue(&["dns.example.org"]).1);
    authority.write("own", &mixed);
    let until = Instant::now() + Duration::from_secs(60);
    while metrics(&mut server).contains("\nfairlead_dns_tls_reload_failures_total 0\n") {
        let mut stream = connect(&server, &config);
        ask(&mut stream).unwrap();
        assert_eq!(shown(&stream), shown(&before));
        assert!(Instant::now() < until);
    }
    authority.write("own", &fresh);
    let fresh = connected_to(&server, &config, &|stream| shown(stream) != shown(&before));
    assert_ne!(shown(&fresh), shown(&before));
    assert_eq!(ask(&mut before).unwrap().answer.len(), 1, "the connection of before");
}

/// A connection, as soon as one is as wanted.
fn connected_to(server: &Server, config: &Arc<ClientConfig>, wanted: &dyn Fn(&Stream) -> bool) -> Stream {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut stream = connect(server, config);
        ask(&mut stream).unwrap();
        if wanted(&stream) {
            return stream;
        }
        assert!(Instant::now() < until, "never");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_no_handshake_ends_the_connection() {
    let authority = Authority::new();
    let server = start(&authority, "noCert", "");
    for garbage in
        [&framed(&query("www.example.org.", A, None))[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff]]
    {
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        // An alert, or nothing; never an answer.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest[0] == 0x15, "{rest:?}");
    }
    // A client that trusts others.
    assert!(ask(&mut connect(&server, &Authority::new().client(None))).is_err());
    assert!(ask(&mut connect(&server, &authority.client(None))).is_ok());
}

#[test]
fn files_that_are_not_in_order_are_named() {
    let authority = Authority::new();
    let step = tls(&authority, "noCert");
    let refusal = pack(&step).unwrap_err();
    assert!(refusal.reason.contains("own.key: No such file") && refusal.remedy.starts_with("mount"), "{refusal:?}");
    let (first, second) = (authority.issue(&["a"]), authority.issue(&["a"]));
    authority.write("own", &(first.0.clone(), second.1.clone()));
    assert!(pack(&step).unwrap_err().reason.ends_with("the key is not this certificate's"));
    authority.write("own", &(String::new(), first.1.clone()));
    assert!(pack(&step).unwrap_err().reason.ends_with("own.pem has no certificate in it"));
    authority.write("own", &(first.0.clone(), first.0.clone()));
    assert!(pack(&step).unwrap_err().reason.ends_with("own.key has no private key in it"));
    authority.write("own", &first);
    pack(&step).unwrap();
    assert_eq!(pack(TEMPLATE).unwrap_err().reason, "a server of TLS has no certificate");
}

fn timeouts(fields: &str) -> String {
    format!(r#"{{"plugin":"timeouts",{fields}}},{TEMPLATE}"#)
}

/// Reads until the server closes.
fn rest(stream: &mut impl Read) -> usize {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}"),
    }
    rest.len()
}

#[test]
fn a_connection_ends_after_so_many_queries() {
    let server = Server::of("dns", "127.0.0.1:0", &timeouts(r#""maxQueries":3,"idleMs":86400000"#));
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
        assert_eq!(Shown::of(&read(&mut stream)).answer.len(), 1);
    }
    assert_eq!(rest(&mut stream), 0);
}

#[test]
fn connections_that_rest_or_stall_end() {
    let server = Server::of("dns", "127.0.0.1:0", &timeouts(r#""readMs":1000,"idleMs":1000"#));
    let long = Duration::from_secs(60);
    // Nothing at all; half a length; half a query; and one that rests after an answer.
    for begun in [&b""[..], b"\0", b"\0\x20\x12\x34", &framed(&query("www.example.org.", A, None))] {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(long)).unwrap();
        stream.write_all(begun).unwrap();
        assert_eq!(rest(&mut stream) > 0, begun.len() > 4);
    }
    // One that may rest longer is still there when another has ended.
    let patient = Server::of("dns", "127.0.0.1:0", &timeouts(r#""idleMs":60000"#));
    let mut kept = patient.connect();
    kept.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
    read(&mut kept);
    rest(&mut server.connect());
    kept.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
    assert_eq!(Shown::of(&read(&mut kept)).answer.len(), 1);
}
