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
use supervisor::{Kind, Problem};

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

fn pack(steps: &str) -> Result<(), Problem> {
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
        r#"coredns_dns_requests_total{{server="tls://127.0.0.1:{port}",zone=".",view="",proto="tls",family="1",type="A"}} 5"#
    );
    assert!(text.lines().any(|line| line == counted), "{text}");
}

/// The options of OPT, which is the last record: code and data.
fn options(answer: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let start = answer.windows(3).rposition(|part| part == [0, 0, 41]).unwrap();
    let (mut rest, mut found) = (&answer[start + 11..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let (data, next) = behind.split_at(u16::from_be_bytes([head[2], head[3]]).into());
        found.push((u16::from_be_bytes([head[0], head[1]]), data.to_vec()));
        rest = next;
    }
    found
}

fn with_options(name: &str, options: &[u8]) -> Vec<u8> {
    let mut packet = query(name, A, Some(1232));
    *packet.last_mut().unwrap() = options.len() as u8;
    packet.extend(options);
    packet
}

#[test]
fn lengths_say_nothing_and_clients_hear_how_long_they_may_rest() {
    let authority = Authority::new();
    let server = start(&authority, "noCert", r#",{"plugin":"timeouts","idleMs":30000}"#);
    let mut stream = connect(&server, &authority.client(None));
    let mut ask = |packet: &[u8]| {
        stream.write_all(&framed(packet)).unwrap();
        read(&mut stream)
    };
    let (padding, keepalive) = (&[0, 12, 0, 2, 0, 0][..], &[0, 11, 0, 0][..]);
    for name in ["a.example.org.", "a.much.longer.name.than.the.other.example.org."] {
        let answer = ask(&with_options(name, padding));
        assert_eq!(answer.len(), 468, "RFC 8467 4.1");
        assert_eq!(Shown::of(&answer).answer.len(), 1);
        assert!(matches!(&options(&answer)[..], [(12, zeros)] if zeros.iter().all(|octet| *octet == 0)));
    }
    assert_eq!(ask(&with_options("a.example.org.", b"\0\x0c\xff\0")).len(), 12, "what is not whole is a format error");
    assert_eq!(
        options(&ask(&with_options("a.example.org.", keepalive))),
        [(11, vec![1, 44])],
        "300 tenths of a second"
    );
    let both = ask(&with_options("a.example.org.", &[keepalive, padding].concat()));
    assert_eq!((both.len(), options(&both).len()), (468, 2));
    assert_eq!(options(&ask(&with_options("a.example.org.", b""))), [], "nobody asked");
    // RFC 7830 6: where everybody can read along it would be for nothing; RFC 7828 3.2.1: UDP has no connections.
    let plain = Server::start("127.0.0.1:0", TEMPLATE, &[]);
    let asked = with_options("a.example.org.", &[keepalive, padding].concat());
    assert_eq!(options(&plain.tcp(&asked)), [(11, vec![0, 100])]);
    assert_eq!(options(&plain.udp(&asked)), []);
}

#[test]
fn certificates_that_share_a_port_are_chosen_by_name() {
    let authority = Authority::new();
    let mut server = start(&authority, "noCert", "");
    for (file, name) in [("one", "one.example.org"), ("two", "*.two.example.org")] {
        authority.write(file, &authority.issue(&[name]));
    }
    let listen = format!(r#"{{"transport":"tls","address":"127.0.0.1","port":{}}}"#, server.address.port());
    let block = |zone: &str, file: &str| {
        let tls = tls(&authority, "noCert").replace("own.", &format!("{file}."));
        format!(r#"{{"listen":[{listen}],"zones":["{zone}"],"steps":[{tls},{TEMPLATE}]}}"#)
    };
    let (one, two) = (block("one.", "one"), block("two.", "two"));
    common::commit(&mut *server.worker, "servers", true, &[("0", &one), ("1", &two)], &[]);
    let reach = |name: &'static str| {
        let connection = ClientConnection::new(authority.client(None), ServerName::try_from(name).unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, server.connect());
        stream.write_all(&framed(&query("www.two.", A, None)))?;
        Ok::<_, std::io::Error>(Shown::of(&read(&mut stream)).answer.len())
    };
    assert_eq!(reach("one.example.org").unwrap(), 1);
    assert_eq!(reach("dns.two.example.org").unwrap(), 1);
    assert!(reach("three.example.org").is_err(), "the first is shown, which is not for that name");
}

#[test]
fn clients_that_never_finish_a_handshake_hold_nobody_else_up() {
    let authority = Authority::new();
    let server = start(&authority, "noCert", r#",{"plugin":"timeouts","readMs":60000}"#);
    let mut held = connect(&server, &authority.client(None));
    assert_eq!(ask(&mut held).unwrap().answer.len(), 1);
    // As many as a client may have; they say nothing.
    let _silent: Vec<TcpStream> = (0..120).map(|_| server.connect()).collect();
    assert_eq!(ask(&mut held).unwrap().answer.len(), 1);
    assert_eq!(ask(&mut connect(&server, &authority.client(None))).unwrap().answer.len(), 1);
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    assert!(names.any(|name| name.trim() == "tls"), "queries without TLS are on another thread");
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
    // Nothing at all; half a length; half a query.
    for begun in [&b""[..], b"\0", b"\0\x20\x12\x34"] {
        let mut stream = server.connect();
        // It may have ended before that comes.
        let _ = stream.write_all(begun);
        assert_eq!(rest(&mut stream), 0);
    }
    // One that rests after an answer.
    let resting = Server::of("dns", "127.0.0.1:0", &timeouts(r#""readMs":86400000,"idleMs":1000"#));
    let mut stream = resting.connect();
    stream.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
    assert!(rest(&mut stream) > 0);
    // One that may rest longer is still there when another has ended.
    let patient = Server::of("dns", "127.0.0.1:0", &timeouts(r#""idleMs":60000"#));
    let mut kept = patient.connect();
    kept.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
    read(&mut kept);
    rest(&mut server.connect());
    kept.write_all(&framed(&query("www.example.org.", A, None))).unwrap();
    assert_eq!(Shown::of(&read(&mut kept)).answer.len(), 1);
}
