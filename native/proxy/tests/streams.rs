//! TCP and UDP that is relayed as it comes.

mod common;

use common::*;
use proxy::Proxy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use supervisor::{Kind, Place, Sockets, Worker};
use wire::protocol::Question;

fn relayed(kind: &str, changes: &[(&str, Value)]) -> Value {
    let mut row = json!({ "cluster": "c", "connectMs": 5000, "idleMs": 60000, "responses": 0 });
    changes.iter().for_each(|(name, value)| row[name] = value.clone());
    listener(json!({ kind: row }))
}

fn raw() -> Value {
    set(cluster("c"), "/protocol", "raw")
}

fn to_each(backends: &[SocketAddr]) -> Vec<(&'static str, Value)> {
    let names = ["e1", "e2", "e3"];
    let endpoints = backends.iter().zip(names).map(|(address, name)| (name, endpoint("c", *address)));
    endpoints.chain([("cluster", raw())]).collect()
}

/// Says its name, then what it is told, to the end.
fn echo(name: &'static str) -> Backend {
    Backend::raw(move |mut client| {
        client.say(name);
        let mut octets = vec![0; 64 << 10];
        let mut stream = client.stream.try_clone().unwrap();
        while let Ok(count @ 1..) = stream.read(&mut octets) {
            client.octets(&octets[..count]);
        }
        let _ = stream.shutdown(Shutdown::Write);
    })
}

fn metric(worker: &mut dyn Worker, line: &str) -> bool {
    worker.ask(&Question::Metrics).unwrap().as_str().unwrap().lines().any(|held| held == line)
}

fn refused(reason: &str, count: u32) -> String {
    format!("fairlead_proxy_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}} {count}")
}

#[test]
fn octets_go_both_ways_and_each_way_ends_by_itself() {
    let backend = echo("");
    let server = Server::with(&relayed("tcp", &[]), &to_each(&[backend.address]));
    let mut client = server.connect();
    let sent: Vec<u8> = (0..8_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let octets = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&octets).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(client.exactly(sent.len()) == sent);
    assert_eq!(client.rest(), "", "the backend ended after the client");
    writing.join().unwrap();
    // One that says all it has to say, and is answered only then.
    let late = Backend::raw(|mut client| {
        let all = client.rest();
        client.say(&format!("<{all}>"));
    });
    let server = Server::with(&relayed("tcp", &[]), &to_each(&[late.address]));
    let mut client = server.connect();
    client.say("all");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "<all>");
}

#[test]
fn the_backend_is_told_who_the_client_is_where_it_wants_to_be() {
    let backend = echo("");
    let mut row = relayed("tcp", &[]);
    row["proxyProtocol"] = json!(["0.0.0.0/0"]);
    for (version, header) in [
        ("v1", b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\n".to_vec()),
        (
            "v2",
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x20, 0xfb]]
                .concat(),
        ),
    ] {
        let mut rows = to_each(&[backend.address]);
        rows.last_mut().unwrap().1["proxyProtocol"] = json!(version);
        let server = Server::with(&row, &rows);
        let mut client = server.connect();
        client.say("PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\nhello");
        assert_eq!(client.exactly(header.len() + 5), [&header[..], b"hello"].concat());
        // Taken, and not handed on.
        let server = Server::with(&row, &to_each(&[backend.address]));
        let mut client = server.connect();
        client.say("PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\nhello");
        assert_eq!(client.exactly(5), b"hello");
    }
    // Not taken: it is the connection's own.
    let mut rows = to_each(&[backend.address]);
    rows.last_mut().unwrap().1["proxyProtocol"] = json!("v1");
    let server = Server::with(&relayed("tcp", &[]), &rows);
    let mut client = server.connect();
    let own = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
        client.stream.local_addr().unwrap().port(),
        server.address.port()
    );
    assert_eq!(String::from_utf8(client.exactly(own.len())).unwrap(), own);
}

#[test]
fn an_endpoint_that_does_not_take_it_is_passed_over() {
    let (one, two) = (echo("1"), echo("2"));
    let mut server = Server::with(&relayed("tcp", &[]), &to_each(&[nobody(), one.address, two.address]));
    let named: Vec<u8> = (0..6).map(|_| server.connect().exactly(1)[0]).collect();
    assert_eq!(BTreeSet::from_iter(named), BTreeSet::from([b'1', b'2']));
    server.change(&[], &["e2", "e3"]);
    assert_eq!(server.connect().rest(), "");
    assert!(metric(&mut *server.worker, &refused("connect", 1)));
    server.change(&[], &["e1"]);
    assert_eq!(server.connect().rest(), "");
    server.change(&[], &["cluster"]);
    assert_eq!(server.connect().rest(), "");
    assert!(metric(&mut *server.worker, &refused("no_endpoint", 2)));
}

#[test]
fn an_endpoint_that_did_not_take_one_is_left_alone_for_a_while() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut rows = to_each(&[socket.local_addr().unwrap().as_socket().unwrap(), echo("2").address]);
    let rule = json!({ "failures": 1, "baseMs": 600_000, "maxMs": 600_000, "maxPercent": 50 });
    rows.last_mut().unwrap().1["ejection"] = rule;
    let server = Server::with(&relayed("tcp", &[]), &rows);
    // Each thread has its turn, and comes by it.
    (0..4).for_each(|_| assert_eq!(server.connect().exactly(1), b"2"));
    socket.listen(100).unwrap();
    (0..8).for_each(|_| assert_eq!(server.connect().exactly(1), b"2"));
}

#[test]
fn a_connection_outlives_its_endpoint_and_new_ones_go_elsewhere() {
    let (one, two) = (echo("1"), echo("2"));
    let mut server = Server::with(&relayed("tcp", &[]), &to_each(&[one.address]));
    let mut client = server.connect();
    assert_eq!(client.exactly(1), b"1");
    server.change(&[("e2", endpoint("c", two.address))], &["e1"]);
    for _ in 0..4 {
        assert_eq!(server.connect().exactly(1), b"2");
    }
    client.say("still");
    assert_eq!(client.exactly(5), b"still");
    // The listener's end is not theirs, either.
    server.close();
    client.say("there");
    assert_eq!(client.exactly(5), b"there");
    assert_eq!(one.connections.load(SeqCst), 1);
}

#[test]
fn a_closed_listener_waits_no_longer_than_it_is_told() {
    let backend = echo("1");
    let mut row = relayed("tcp", &[]);
    row["drainMs"] = 1.into();
    let mut server = Server::with(&row, &to_each(&[backend.address]));
    let mut client = server.connect();
    assert_eq!(client.exactly(1), b"1");
    server.close();
    assert_eq!(client.rest(), "");
}

#[test]
fn what_is_quiet_for_too_long_ends_and_a_reset_is_one() {
    let backend = echo("1");
    let server = Server::with(&relayed("tcp", &[("idleMs", json!(50))]), &to_each(&[backend.address]));
    // On a machine that is busy that may be before the backend has said anything.
    let rest = server.connect().rest();
    assert!(rest == "1" || rest.is_empty(), "{rest}");
    let resetting = Backend::raw(|client| {
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let server = Server::with(&relayed("tcp", &[]), &to_each(&[resetting.address]));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let backend = echo("1");
    let mut rows = to_each(&[backend.address]);
    rows.last_mut().unwrap().1["circuit"]["connectionsMax"] = 2.into();
    let mut server = Server::with(&relayed("tcp", &[]), &rows);
    let mut held: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.exactly(1), b"1"));
    assert_eq!(server.connect().rest(), "");
    assert!(metric(&mut *server.worker, &refused("full", 1)));
    drop(held);
    eventually("there is room again", || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(stream.read(&mut [0; 1]), Ok(1))
    });
}

struct Datagrams {
    worker: Box<dyn Worker>,
    address: SocketAddr,
    place: Place,
}

impl Datagrams {
    fn start(changes: &[(&str, Value)], rows: &[(&str, Value)]) -> Datagrams {
        Datagrams::at("127.0.0.1", changes, rows)
    }

    fn at(ip: &str, changes: &[(&str, Value)], rows: &[(&str, Value)]) -> Datagrams {
        let socket = sys::datagram::bind(&format!("udp:{ip}:0").parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let mut worker = Proxy.worker(2).unwrap();
        let mut row = relayed("udp", changes);
        row["addresses"] = json!([ip]);
        row["port"] = address.port().into();
        let mut all = vec![("listener", row)];
        all.extend(rows.iter().cloned());
        assert_eq!(commit(&mut *worker, "proxy", true, &all, &[]), Vec::<String>::new());
        let place = Place { transport: "udp".to_string(), address, udp: true, tcp: false };
        worker.listen(vec![Sockets { place: place.clone(), udp: vec![socket], tcp: None }], &[]);
        Datagrams { worker, address, place }
    }

    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn flows(&mut self, count: u32) -> bool {
        metric(&mut *self.worker, &format!("fairlead_proxy_udp_flows {count}"))
    }
}

/// Answers each datagram with `NAME TEXT`, as many times as it is told.
fn answering(name: &'static str, times: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut data = [0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut data) {
            for time in 1..=times {
                let text = format!("{name}{time} {}", String::from_utf8_lossy(&data[..length]));
                let _ = socket.send_to(text.as_bytes(), from);
            }
        }
    });
    address
}

fn ask(client: &UdpSocket, text: &str) -> String {
    client.send(text.as_bytes()).unwrap();
    heard(client)
}

fn heard(client: &UdpSocket) -> String {
    let mut data = [0; 65_535];
    let length = client.recv(&mut data).expect("an answer comes");
    String::from_utf8_lossy(&data[..length]).into_owned()
}

#[test]
fn each_client_gets_its_own_answers() {
    let server = Datagrams::start(&[], &to_each(&[answering("a", 1)]));
    let clients: Vec<UdpSocket> = (0..20).map(|_| server.client()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{number} {round}").as_bytes()).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(heard(client), format!("a1 {number} {round}"));
        }
    }
    let long = "x".repeat(60_000);
    assert_eq!(ask(&clients[0], &long), format!("a1 {long}"));
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let mut server = Datagrams::at("0.0.0.0", &[], &to_each(&[answering("a", 1)]));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let asked: Vec<SocketAddr> = (1..4).map(|last| ([127, 0, 0, last], server.address.port()).into()).collect();
    for _ in 0..2 {
        let mut heard = BTreeSet::new();
        for address in &asked {
            client.send_to(address.to_string().as_bytes(), address).unwrap();
        }
        for _ in &asked {
            let mut data = [0; 100];
            let (length, from) = client.recv_from(&mut data).expect("an answer comes");
            heard.insert((from, String::from_utf8_lossy(&data[..length]).into_owned()));
        }
        assert_eq!(heard, asked.iter().map(|address| (*address, format!("a1 {address}"))).collect());
    }
    assert!(server.flows(3), "each is a flow of its own");
}

#[test]
fn a_flow_ends_with_its_last_answer_or_when_it_is_quiet() {
    for (responses, heard_of) in [(1, vec!["a1 x", "a1 y"]), (2, vec!["a1 x", "a2 x", "a1 y", "a2 y"])] {
        let mut server = Datagrams::start(&[("responses", json!(responses))], &to_each(&[answering("a", 2)]));
        let client = server.client();
        let mut all = Vec::new();
        for text in ["x", "y"] {
            all.push(ask(&client, text));
            (1..responses).for_each(|_| all.push(heard(&client)));
            eventually("the flow has ended", || server.flows(0));
        }
        assert_eq!(all, heard_of);
    }
    let mut server = Datagrams::start(&[("idleMs", json!(50))], &to_each(&[answering("a", 1)]));
    let client = server.client();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut data = [0; 100];
    // A machine that is busy may end it before the answer is there.
    eventually("an answer comes", || {
        client.send(b"x").unwrap();
        matches!(client.recv(&mut data), Ok(4))
    });
    eventually("the flow has ended", || server.flows(0));
}

#[test]
fn a_flow_whose_endpoint_is_gone_goes_on_with_another() {
    let (one, two) = (answering("a", 1), answering("b", 1));
    let mut server = Datagrams::start(&[], &to_each(&[one]));
    let client = server.client();
    assert_eq!(ask(&client, "x"), "a1 x");
    let changes = [("e1", set(endpoint("c", one), "/draining", true)), ("e2", endpoint("c", two))];
    assert_eq!(commit(&mut *server.worker, "proxy", false, &changes, &[]), Vec::<String>::new());
    assert_eq!(ask(&client, "y"), "a1 y", "it only drains");
    assert_eq!(ask(&server.client(), "z"), "b1 z");
    assert_eq!(commit(&mut *server.worker, "proxy", false, &[], &["e1"]), Vec::<String>::new());
    assert_eq!(ask(&client, "z"), "b1 z");
    eventually("the old one has ended", || server.flows(2));
    assert_eq!(commit(&mut *server.worker, "proxy", false, &[], &["e2"]), Vec::<String>::new());
    client.send(b"lost").unwrap();
    eventually("it is told", || metric(&mut *server.worker, &refused("no_endpoint", 1)));
    // Closed, it carries nothing any more.
    let place = server.place.clone();
    server.worker.listen(vec![], &[place]);
    eventually("all have ended", || server.flows(0));
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_left() {
    // It is somebody's own, who takes nothing from others.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    gone.connect("127.0.0.1:9").unwrap();
    let rows = [
        ("e1", endpoint("c", gone.local_addr().unwrap())),
        ("e2", endpoint("c", answering("b", 1))),
        ("cluster", raw()),
    ];
    let server = Datagrams::start(&[], &rows);
    let client = server.client();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut data = [0; 100];
    eventually("an answer comes", || {
        client.send(b"x").unwrap();
        matches!(client.recv(&mut data), Ok(4))
    });
}

#[test]
fn there_are_no_more_flows_than_there_may_be() {
    let mut rows = to_each(&[answering("a", 1)]);
    rows.last_mut().unwrap().1["circuit"]["requestsMax"] = 3.into();
    let mut server = Datagrams::start(&[], &rows);
    let clients: Vec<UdpSocket> = (0..4).map(|_| server.client()).collect();
    clients[..3].iter().for_each(|client| assert_eq!(ask(client, "x"), "a1 x"));
    clients[3].send(b"y").unwrap();
    eventually("it is refused", || metric(&mut *server.worker, &refused("full", 1)));
    assert!(server.flows(3));
    assert_eq!(ask(&clients[0], "z"), "a1 z");
}
