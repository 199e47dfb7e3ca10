//! `fairlead-carrier proxy` as a controller, clients and an operator see it.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_worker_that_is_killed_under_load_costs_what_was_under_way_and_nothing_else() {
    let backend = backend();
    let carrier = Carrier::start("killed");
    let mut controller = carrier.controller();
    let address = carrier.serve(&mut controller, backend);
    let (ended, failed, done) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (clients, kills) = (4, 3);
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    // Never refused: the listening socket is the supervisor's.
                    let stream = TcpStream::connect(address).expect("somebody listens");
                    match get(stream) {
                        Ok(reply) => {
                            assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(()) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                    }
                }
            });
        }
        for _ in 0..kills {
            let before = done.load(Ordering::SeqCst);
            eventually("all are served", || done.load(Ordering::SeqCst) >= before + 50);
            let worker = carrier.worker();
            assert!(Command::new("kill").args(["-KILL", &worker]).status().unwrap().success());
            eventually("another worker serves", || carrier.worker() != worker && !carrier.worker().is_empty());
        }
        let before = done.load(Ordering::SeqCst);
        eventually("all are served again", || done.load(Ordering::SeqCst) >= before + 50);
        ended.store(true, Ordering::SeqCst);
    });
    let failed = failed.load(Ordering::SeqCst);
    assert!(failed <= clients * kills, "{failed} requests were lost by {kills} kills with {clients} clients");
}

#[test]
fn secrets_never_reach_the_disk_and_routes_outlive_the_process() {
    let backend = backend();
    let mut carrier = Carrier::start("secrets");
    let mut controller = carrier.controller();
    let address = carrier.serve(&mut controller, backend);
    let users = json!({ "kind": "users", "lines": ["me:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"] });
    assert_eq!(controller.delta("secrets", &[("u", users)]), json!({ "table": "secrets", "epoch": "e", "number": 1 }));
    assert!(get(TcpStream::connect(address).unwrap()).unwrap().starts_with("HTTP/1.1 200"));
    let held = |text: &str| {
        let files = fs::read_dir(carrier.dir.join("state")).unwrap();
        let read = files.map(|entry| fs::read(entry.unwrap().path()).unwrap());
        read.into_iter().any(|octets| octets.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(held("drainMs"));
    assert!(!held("h9FWgUz3n9Yx"));
    carrier.end("KILL");
    carrier.again();
    let tables = carrier.controller().hello["hello"]["tables"].clone();
    assert!(tables["proxy"].is_object() && tables["secrets"].is_null(), "{tables}");
    eventually("it serves without a controller", || {
        TcpStream::connect(address).is_ok_and(|stream| get(stream).is_ok_and(|reply| reply.starts_with("HTTP/1.1 200")))
    });
}

#[test]
fn each_request_is_a_line_of_the_log() {
    let backend = backend();
    let carrier = Carrier::start("log");
    let mut controller = carrier.controller();
    let address = carrier.serve(&mut controller, backend);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let fields = "Host: A:80\r\nUser-Agent: \"t\\\r\nX-Request-ID: id-1\r\nConnection: close\r\n";
        write!(stream, "GET {path} HTTP/1.1\r\n{fields}\r\n").unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
    };
    let mut lines = BufReader::new(carrier.stdout.take().unwrap()).lines().map(Result::unwrap);
    ask("/quiet");
    ask("/x?y=1");
    let line: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    for (name, value) in [
        ("method", json!("GET")),
        ("uri", json!("/x?y=1")),
        ("host", json!("a")),
        ("status", json!(200)),
        ("bytes_sent", json!(2)),
        ("remote_addr", json!("127.0.0.1")),
        ("user_agent", json!("\"t\\")),
        ("request_id", json!("id-1")),
        ("namespace", json!("n")),
        ("upstream_addr", json!(backend.to_string())),
        ("upstream_status", json!(200)),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    let format =
        r#"$remote_addr "$request" $status "$http_user_agent" [$proxy_upstream_name] $upstream_addr $http_nope"#;
    let listener = carrier.listener(address.port(), json!({ "format": format, "sample": 1 }));
    controller.change("proxy", 1, &[("l", listener)]);
    ask("/z");
    assert_eq!(lines.next().unwrap(), format!(r#"127.0.0.1 "GET /z HTTP/1.1" 200 "\x22t\x5C" [c] {backend} -"#));
}

#[test]
fn another_carrier_takes_over_under_load_and_nothing_is_cut() {
    let backend = backend();
    let mut carrier = Carrier::start("takeover");
    let mut controller = carrier.controller();
    let address = carrier.serve(&mut controller, backend);
    let (ended, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut connection = Kept::connect(address);
                while !ended.load(Ordering::SeqCst) {
                    connection = connection.get().unwrap_or_else(|| Kept::connect(address));
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let more = |count: &AtomicUsize| {
            let before = count.load(Ordering::SeqCst);
            eventually("it goes on", || count.load(Ordering::SeqCst) >= before + 50);
        };
        for _ in 0..2 {
            let (echoes, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let tunnels: Vec<_> = (0..2)
                .map(|_| {
                    let (echoes, over, connection) = (echoes.clone(), over.clone(), Kept::connect(address));
                    scope.spawn(move || connection.tunnel(&echoes, &over))
                })
                .collect();
            more(&requests);
            more(&echoes);
            let before = carrier.replace();
            // The tunnels are with the old one, and whoever comes now with the new one.
            more(&requests);
            more(&echoes);
            assert!(get(TcpStream::connect(address).unwrap()).unwrap().starts_with("HTTP/1.1 200"));
            over.store(true, Ordering::SeqCst);
            tunnels.into_iter().for_each(|tunnel| tunnel.join().unwrap());
            before.end();
            more(&requests);
        }
        ended.store(true, Ordering::SeqCst);
    });
    let tables = carrier.controller().hello["hello"]["tables"].clone();
    assert!(tables["proxy"].is_object(), "{tables}");
}

/// A client's connection, for one request after the other.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn connect(address: SocketAddr) -> Kept {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Kept(BufReader::new(stream))
    }

    fn head(&mut self, fields: &str) -> String {
        write!(self.0.get_mut(), "GET /quiet HTTP/1.1\r\nHost: a\r\n{fields}\r\n").expect("it is open");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).expect("a response") > 0, "cut after {head:?}");
        }
        head
    }

    /// None: it was said that this was the last one.
    fn get(mut self) -> Option<Kept> {
        let head = self.head("");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = [0; 2];
        self.0.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"ok");
        (!head.to_lowercase().contains("connection: close")).then_some(self)
    }

    /// Octets there and back, until it is over.
    fn tunnel(mut self, echoes: &AtomicUsize, over: &AtomicBool) {
        let head = self.head("Connection: Upgrade\r\nUpgrade: echo\r\n");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        while !over.load(Ordering::SeqCst) {
            let number = echoes.fetch_add(1, Ordering::SeqCst) as u64;
            self.0.get_mut().write_all(&number.to_be_bytes()).expect("it is open");
            let mut echo = [0; 8];
            self.0.read_exact(&mut echo).expect("it comes back");
            assert_eq!(u64::from_be_bytes(echo), number);
        }
    }
}

fn get(mut stream: TcpStream) -> Result<String, ()> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    // It may be closed before the request is out.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").map_err(drop)?;
    match stream.read_to_string(&mut text) {
        Ok(0) => Err(()),
        Ok(_) => Ok(text),
        Err(error) => {
            assert!(error.kind() == ErrorKind::ConnectionReset, "{error}");
            Err(())
        }
    }
}

/// Answers `ok` to everything; to who wants to upgrade, each octet.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let (mut stream, mut upgrades) = (stream, false);
                while let Some(Ok(line)) = lines.next() {
                    upgrades |= line.to_lowercase().starts_with("upgrade:");
                    let answer = match upgrades {
                        true => {
                            &b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"[..]
                        }
                        false => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    };
                    if line.is_empty() && (stream.write_all(answer).is_err() || upgrades) {
                        break;
                    }
                }
                if upgrades {
                    drop(std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
                }
            });
        }
    });
    address
}

struct Carrier {
    dir: PathBuf,
    child: Child,
    stdout: Arc<Stdout>,
}

/// Taken by who reads it; else it is a file that nobody looks at.
struct Stdout(std::sync::Mutex<Option<ChildStdout>>);

impl Stdout {
    fn take(&self) -> Option<ChildStdout> {
        self.0.lock().unwrap().take()
    }
}

impl Carrier {
    fn start(name: &str) -> Carrier {
        let dir = std::env::temp_dir().join(format!("fairlead-carrier-proxy-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let (child, stdout) = spawn(&dir);
        Carrier { dir, child, stdout }
    }

    fn again(&mut self) {
        (self.child, self.stdout) = spawn(&self.dir);
    }

    /// Another one takes its place. Returns this one, which ends when what it has begun has.
    fn replace(&mut self) -> Replaced {
        let (mut child, stdout) = start(&self.dir, Stdio::piped());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, said) = mpsc::channel();
        // To its end: it must be able to say more.
        thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let said: Vec<String> = said.iter().take_while(|line| !line.contains("has taken over")).collect();
        assert!(child.try_wait().unwrap().is_none(), "{said:?}");
        self.stdout = stdout;
        Replaced(std::mem::replace(&mut self.child, child))
    }

    fn end(&mut self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        self.child.wait().unwrap();
    }

    /// Its process id; empty while there is none.
    fn worker(&self) -> String {
        let id = self.child.id();
        let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        text.split_whitespace().next().unwrap_or_default().to_string()
    }

    fn controller(&self) -> Controller {
        let mut connected = None;
        eventually("it listens", || {
            connected = UnixStream::connect(self.dir.join("socket")).ok();
            connected.is_some()
        });
        let stream = connected.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut controller =
            Controller { lines: BufReader::new(stream.try_clone().unwrap()), stream, hello: Value::Null };
        controller.hello = controller.hear();
        controller
    }

    fn listener(&self, port: u16, log: Value) -> Value {
        json!({ "kind": "listener", "name": "web", "addresses": ["127.0.0.1"], "port": port, "proxyProtocol": [], "proxyProtocolTimeoutMs": 5000,
            "drainMs": 1000, "serves": { "http": { "trusted": [], "forwardedHeader": "X-Forwarded-For",
            "appendForwarded": false, "headMaxBytes": 16384, "headerFieldsMax": 100, "headTimeoutMs": 60000,
            "bodyTimeoutMs": 60000, "idleTimeoutMs": 60000, "requestsMax": 100000, "streamsMax": 100,
            "underscores": false, "server": "", "quietPaths": ["/quiet"], "accessLog": log } } })
    }

    /// Host `a` leads to the backend, from a port that is free.
    fn serve(&self, controller: &mut Controller, backend: SocketAddr) -> SocketAddr {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let route = json!({ "kind": "route", "host": "a", "listeners": ["web"], "path": { "prefix": "/" }, "conditions": [],
            "rank": 1, "labels": { "namespace": "n" }, "action": { "forward": {
            "clusters": [{ "cluster": "c", "weight": 1 }], "bufferRequest": false, "bufferResponseBytes": 0, "mirrors": [],
            "timeouts": { "connectMs": 5000, "readMs": 60000, "sendMs": 60000, "requestMs": 0 },
            "retry": { "tries": 1, "withinMs": 0, "onError": true, "onTimeout": true, "onStatuses": [],
            "nonIdempotent": false } } } });
        let cluster = json!({ "kind": "cluster", "name": "c", "protocol": "http1", "balance": "roundRobin",
            "circuit": { "connectionsMax": 1000, "requestsMax": 1000 },
            "keepAlive": { "connections": 100, "idleMs": 60000, "requestsMax": 100000 } });
        let endpoint = json!({ "kind": "endpoint", "cluster": "c", "address": backend.ip(), "port": backend.port(),
            "weight": 1, "draining": false, "label": "pod" });
        loop {
            // Below those that the kernel gives to clients.
            let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
            let port = 10_000 + (number % 10_000) as u16;
            let listener = self.listener(port, json!({ "sample": 1 }));
            let rows = [("l", listener), ("r", route.clone()), ("c", cluster.clone()), ("e", endpoint.clone())];
            let said = controller.delta("proxy", &rows);
            if said["rows"].is_null() && said["number"].is_u64() {
                return SocketAddr::from(([127, 0, 0, 1], port));
            }
            // Refused: the port is somebody's; or failed: there is no worker yet.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

struct Replaced(Child);

impl Replaced {
    fn end(mut self) {
        eventually("it ends", || self.0.try_wait().unwrap().is_some_and(|status| status.success()));
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn spawn(dir: &std::path::Path) -> (Child, Arc<Stdout>) {
    start(dir, Stdio::inherit())
}

fn start(dir: &std::path::Path, stderr: Stdio) -> (Child, Arc<Stdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead-carrier"));
    command.arg("proxy").arg("--socket").arg(dir.join("socket")).arg("--state").arg(dir.join("state"));
    let mut child =
        command.args(["--threads", "2", "--drain", "60"]).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let stdout = child.stdout.take();
    (child, Arc::new(Stdout(std::sync::Mutex::new(stdout))))
}

struct Controller {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    hello: Value,
}

impl Controller {
    fn say(&mut self, message: Value) {
        self.stream.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the carrier said {line:?}"))
    }

    /// The whole table. Returns what is acknowledged or refused.
    fn delta(&mut self, table: &str, rows: &[(&str, Value)]) -> Value {
        self.from(table, 0, rows)
    }

    fn change(&mut self, table: &str, from: u64, rows: &[(&str, Value)]) {
        let said = self.from(table, from, rows);
        assert!(said["rows"].is_null() && said["number"].is_u64(), "{said}");
    }

    fn from(&mut self, table: &str, from: u64, rows: &[(&str, Value)]) -> Value {
        self.say(json!({ "begin": { "table": table, "epoch": "e", "from": from, "to": from + 1 } }));
        self.say(json!({ "put": rows }));
        self.say(json!({ "commit": {} }));
        let said = self.hear();
        said.as_object().unwrap().values().next().unwrap().clone()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}
