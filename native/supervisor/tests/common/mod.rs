//! A supervisor and its worker (examples/toy.rs), and who talks with them.
#![allow(dead_code)] // each test takes what it needs

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub fn put(key: &str, word: &str) -> Value {
    json!({ "put": [[key, { "word": word }]] })
}

pub struct Place {
    pub dir: PathBuf,
    pub port: u16,
    pub pages: u16,
}

impl Place {
    pub fn make() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fairlead-supervisor-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        Place { dir, port: free_port(), pages: free_port() }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Where one connects that is to take its place.
    pub fn takeover(&self) -> PathBuf {
        self.dir.join("socket.takeover")
    }

    pub fn start(&self) -> Carrier {
        let carrier = self.spawn(&self.socket());
        eventually("it listens", || UnixStream::connect(self.socket()).is_ok());
        carrier
    }

    pub fn spawn(&self, socket: &Path) -> Carrier {
        self.run(&self.flags(socket), &[])
    }

    /// With variables of the environment.
    pub fn spawn_as(&self, variables: &[(&str, &str)]) -> Carrier {
        self.run(&self.flags(&self.socket()), variables)
    }

    pub fn spawn_with(&self, flags: &[&str]) -> Carrier {
        self.run(&flags.iter().map(|flag| flag.to_string()).collect::<Vec<_>>(), &[])
    }

    fn flags(&self, socket: &Path) -> Vec<String> {
        let (state, pages) = (self.dir.join("state"), format!("127.0.0.1:{}", self.pages));
        let (socket, state) = (socket.to_str().unwrap(), state.to_str().unwrap());
        ["--socket", socket, "--state", state, "--http", &pages].map(String::from).to_vec()
    }

    fn run(&self, flags: &[String], variables: &[(&str, &str)]) -> Carrier {
        let log = self.dir.join("log");
        let stderr = fs::File::options().create(true).append(true).open(&log).unwrap();
        let toy = std::env::current_exe().unwrap().parent().unwrap().join("../examples/toy");
        let mut command = Command::new(toy);
        command
            .args(["toy", "--threads", "2"])
            .args(flags)
            .envs(variables.iter().copied())
            .stderr(stderr)
            .stdin(Stdio::null());
        let child = command.spawn().expect("examples/toy was built");
        Carrier { child, log, socket: self.socket(), pages: self.pages }
    }

    /// Asks until there is an answer: a datagram that a worker had read when it was killed is lost.
    pub fn query(&self, key: &str) -> String {
        let client = client();
        client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 2048];
        loop {
            client.send_to(key.as_bytes(), (Ipv4Addr::LOCALHOST, self.port)).unwrap();
            match client.recv(&mut buffer) {
                Ok(length) => return String::from_utf8(buffer[..length].to_vec()).unwrap(),
                Err(error) => {
                    let log = || fs::read_to_string(self.dir.join("log")).unwrap();
                    assert!(Instant::now() < deadline, "no answer for {key}: {error}; {}", log());
                }
            }
        }
    }

    /// A carrier that runs and has its door open, and its controller.
    pub fn serving(&self) -> (Carrier, Controller) {
        let carrier = self.start();
        let mut controller = carrier.controller();
        controller.hear();
        controller.doors(self);
        (carrier, controller)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

pub struct Carrier {
    pub child: Child,
    pub log: PathBuf,
    pub socket: PathBuf,
    pub pages: u16,
}

impl Carrier {
    pub fn controller(&self) -> Controller {
        Controller::connect(&self.socket)
    }

    pub fn agent(&self, path: &Path) -> Controller {
        Controller::connect(path)
    }

    pub fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.pages)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
    }

    pub fn end(&mut self, signal: &str) -> ExitStatus {
        kill(self.child.id(), signal);
        self.child.wait().unwrap()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub struct Controller {
    pub stream: UnixStream,
    pub lines: BufReader<UnixStream>,
}

impl Controller {
    pub fn connect(path: &Path) -> Controller {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Controller { lines: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    pub fn say(&mut self, message: Value) {
        self.stream.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    /// To one that may close the connection meanwhile.
    pub fn send(&mut self, line: &str) {
        drop(self.stream.write_all(format!("{line}\n").as_bytes()));
    }

    pub fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the carrier said {line:?}"))
    }

    pub fn ended(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.lines.read_to_end(&mut rest) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// `acknowledged`, or `failed: why`.
    pub fn delta(&mut self, table: &str, from: u64, to: u64, changes: &[Value]) -> String {
        self.say(json!({"begin": {"table": table, "epoch": "e", "from": from, "to": to}}));
        changes.iter().for_each(|change| self.say(change.clone()));
        self.say(json!({"commit": {}}));
        let said = self.hear();
        match said["failed"]["reason"].as_str() {
            Some(reason) => format!("failed: {reason}"),
            None => said.as_object().unwrap().keys().next().unwrap().clone(),
        }
    }

    /// The first one may come before there is a worker, and is sent again then.
    pub fn first(&mut self, table: &str, changes: &[Value]) {
        eventually("a worker takes it", || self.delta(table, 0, 1, changes) == "acknowledged");
    }

    /// A port that was free may be taken for a moment, by a process that another test is starting: until it runs its own
    /// program it has our files.
    pub fn doors(&mut self, place: &Place) {
        let row = json!({"put": [["0", {"port": place.port}]]});
        eventually("its port is free", || self.delta("doors", 0, 1, std::slice::from_ref(&row)) == "acknowledged");
    }
}

pub fn client() -> UdpSocket {
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

/// Below those that the kernel gives to clients, and not that of another test.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + (number % 10_000) as u16));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// The one child of a supervisor.
pub fn worker_of(supervisor: u32) -> u32 {
    let mut found = None;
    eventually("there is a worker", || {
        let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap_or_default();
        found = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        found.is_some()
    });
    found.unwrap()
}

/// Dead, with all its threads; perhaps not waited for.
pub fn gone(pid: u32) -> bool {
    let dead = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|state| state.contains(") Z "));
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    threads == 0 || dead && threads == 1
}

pub fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "did not come true within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub const DEADLINE: Duration = Duration::from_secs(60);
