//! A worker with tables of its own on loopback, clients that speak octets, and backends that a test writes.
#![allow(dead_code)] // Each test file uses a part.

use proxy::Proxy;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use supervisor::{Changes, Kind, Place, Sockets, Worker};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub worker: Box<dyn Worker>,
    pub address: SocketAddr,
    place: Place,
}

impl Server {
    /// One listener `web` as `http()` has it, and these rows.
    pub fn start(rows: &[(&str, Value)]) -> Server {
        Server::with(&listener(json!({ "http": http() })), rows)
    }

    pub fn with(listener: &Value, rows: &[(&str, Value)]) -> Server {
        Server::secret(listener, rows, &[])
    }

    pub fn secret(listener: &Value, rows: &[(&str, Value)], secrets: &[(&str, Value)]) -> Server {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let address = tcp.local_addr().unwrap();
        let mut worker = Proxy.worker(2).unwrap();
        let mut listener = listener.clone();
        listener["port"] = address.port().into();
        let mut all = vec![("listener", listener)];
        all.extend(rows.iter().cloned());
        assert_eq!(commit(&mut *worker, "secrets", true, secrets, &[]), Vec::<String>::new());
        assert_eq!(commit(&mut *worker, "proxy", true, &all, &[]), Vec::<String>::new());
        let place = Place { transport: "tcp".to_string(), address, udp: false, tcp: true };
        worker.listen(vec![Sockets { place: place.clone(), udp: vec![], tcp: Some(tcp) }], &[]);
        Server { worker, address, place }
    }

    pub fn change(&mut self, puts: &[(&str, Value)], drops: &[&str]) {
        assert_eq!(commit(&mut *self.worker, "proxy", false, puts, drops), Vec::<String>::new());
    }

    pub fn close(&mut self) {
        self.worker.listen(vec![], std::slice::from_ref(&self.place));
    }

    pub fn connect(&self) -> Client {
        Client::of(TcpStream::connect(self.address).unwrap())
    }

    /// One request on a connection of its own.
    pub fn get(&self, host: &str, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    pub fn ask(&self, request: &str) -> Reply {
        let mut client = self.connect();
        client.say(request);
        client.reply()
    }
}

/// Returns what was refused: by `pack`, as the supervisor would, or by the worker.
pub fn commit(
    worker: &mut dyn Worker,
    table: &str,
    whole: bool,
    puts: &[(&str, Value)],
    drops: &[&str],
) -> Vec<String> {
    let (mut packed, mut refused) = (Vec::new(), Vec::new());
    for (key, row) in puts {
        let mut octets = Vec::new();
        match Proxy.pack(table, key, &row.to_string(), &mut octets) {
            Ok(()) => packed.push((*key, octets)),
            Err(refusal) => refused.push(format!("{key}: {}", refusal.reason)),
        }
    }
    let mut rows: Vec<(&str, Option<&[u8]>)> = drops.iter().map(|key| (*key, None)).collect();
    rows.extend(packed.iter().map(|(key, octets)| (*key, Some(&octets[..]))));
    let committed = worker.commit(Changes::of_rows(table, whole, &rows)).unwrap();
    refused.extend(committed.refused.iter().map(|row| format!("{}: {}", row.key, row.reason)));
    refused
}

pub fn listener(serves: Value) -> Value {
    json!({ "kind": "listener", "name": "web", "addresses": ["127.0.0.1"], "port": 0, "serves": serves,
        "proxyProtocol": [], "proxyProtocolTimeoutMs": 60000, "drainMs": 60000 })
}

pub fn http() -> Value {
    json!({ "trusted": [], "forwardedHeader": "X-Forwarded-For", "appendForwarded": false, "headMaxBytes": 16384,
        "headerFieldsMax": 100, "headTimeoutMs": 60000, "bodyTimeoutMs": 60000, "idleTimeoutMs": 60000,
        "requestsMax": 100000, "streamsMax": 100, "underscores": false, "server": "fairlead", "quietPaths": [] })
}

/// Of host `a`.
pub fn route(path: Value, action: Value) -> Value {
    json!({ "kind": "route", "host": "a", "listeners": ["web"], "path": path, "conditions": [], "rank": 1,
        "action": action, "labels": {} })
}

pub fn forward(cluster: &str) -> Value {
    json!({ "forward": { "clusters": [{ "cluster": cluster, "weight": 1 }],
        "timeouts": { "connectMs": 5000, "readMs": 60000, "sendMs": 60000, "requestMs": 0 },
        "retry": { "tries": 1, "withinMs": 0, "onError": true, "onTimeout": true, "onStatuses": [],
            "nonIdempotent": false },
        "bufferRequest": false, "bufferResponseBytes": 0, "mirrors": [] } })
}

pub fn cluster(name: &str) -> Value {
    json!({ "kind": "cluster", "name": name, "protocol": "http1", "balance": "roundRobin",
        "circuit": { "connectionsMax": 1000, "requestsMax": 1000 },
        "keepAlive": { "connections": 100, "idleMs": 60000, "requestsMax": 100000 } })
}

pub fn endpoint(cluster: &str, address: SocketAddr) -> Value {
    json!({ "kind": "endpoint", "cluster": cluster, "address": address.ip(), "port": address.port(), "weight": 1,
        "draining": false, "label": format!("pod-{}", address.port()) })
}

/// `/` of host `a` leads to one backend.
pub fn to(backend: SocketAddr) -> Vec<(&'static str, Value)> {
    vec![
        ("route", route(json!({ "prefix": "/" }), forward("c"))),
        ("cluster", cluster("c")),
        ("endpoint", endpoint("c", backend)),
    ]
}

/// A change of a row: `set(row, "/action/forward/retry/tries", 3)`.
pub fn set(mut row: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    row.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"))[name] = value.into();
    row
}

pub struct Client {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

#[derive(Debug, Default, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn of(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub fn octets(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        reply.body = self.body(&reply);
        reply
    }

    pub fn head(&mut self) -> Reply {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        Reply {
            status: status.unwrap_or_else(|| panic!("no status: {line:?}")),
            headers: self.fields(),
            body: String::new(),
        }
    }

    fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { return fields };
            fields.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
    }

    fn body(&mut self, reply: &Reply) -> String {
        let mut body = Vec::new();
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Some(length) = reply.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.reader.read_exact(&mut body).unwrap();
        }
        String::from_utf8(body).unwrap()
    }

    /// None: it was the last.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk[..if length > 0 { length + 2 } else { 2 }]).unwrap();
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        self.reader.read_exact(&mut octets).unwrap();
        octets
    }

    /// All until the other side ends.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        if let Err(error) = self.reader.read_to_end(&mut rest) {
            assert!(error.kind() == ErrorKind::ConnectionReset, "it does not end: {error}");
        }
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// A request as a backend got it.
#[derive(Debug, Clone, Default)]
pub struct Got {
    /// `GET / HTTP/1.1`.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Answers every request on every connection with what it is told.
#[derive(Clone)]
pub struct Backend {
    pub address: SocketAddr,
    pub got: Arc<Mutex<Vec<Got>>>,
    pub connections: Arc<AtomicUsize>,
}

impl Backend {
    pub fn plain() -> Backend {
        Backend::answering(|got| ok(&got.line))
    }

    /// None: it closes the connection.
    pub fn answering(answer: impl Fn(&Got) -> Option<String> + Send + Sync + 'static) -> Backend {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let held = got.clone();
        let mut backend = Backend::raw(move |mut client| {
            while let Some(request) = request(&mut client) {
                held.lock().unwrap().push(request.clone());
                let Some(text) = answer(&request) else { return };
                client.say(&text);
            }
        });
        backend.got = got;
        backend
    }

    pub fn raw(serve: impl Fn(Client) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend =
            Backend { address: listener.local_addr().unwrap(), got: Arc::default(), connections: Arc::default() };
        let (serve, connections) = (Arc::new(serve), backend.connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || serve(Client::of(stream)));
            }
        });
        backend
    }

    pub fn last(&self) -> Got {
        self.got.lock().unwrap().last().cloned().expect("a request came")
    }

    pub fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

/// None: there is none any more.
pub fn request(client: &mut Client) -> Option<Got> {
    let mut line = String::new();
    if !matches!(client.reader.read_line(&mut line), Ok(1..)) {
        return None;
    }
    let headers = client.fields();
    let mut got = Got { line: line.trim_end().to_string(), headers, body: String::new() };
    let reply = Reply { headers: got.headers.clone(), ..Reply::default() };
    got.body = client.body(&reply);
    Some(got)
}

pub fn ok(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address that nobody listens on: it was had a moment ago, and is kept from others.
pub fn nobody() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}
