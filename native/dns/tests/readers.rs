//! Those who read answers: told before clients are, waited for but not for long, and told all again when they come back.

mod common;

use common::{Server, Shown, framed, query};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::protocol::Question;

const A: u16 = 1;
const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["cluster.local."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;
const NAMES: common::Rows = &[
    ("k0 web.cluster.local.", r#"{"set":"k0","name":"web.cluster.local.","records":[{"type":"A","ip":"10.0.0.1"}]}"#),
    (
        "k0 db.cluster.local.",
        r#"{"set":"k0","name":"db.cluster.local.","records":[{"type":"CNAME","target":"web.cluster.local."}]}"#,
    ),
    (
        "k0 other.cluster.local.",
        r#"{"set":"k0","name":"other.cluster.local.","records":[{"type":"A","ip":"10.0.0.2"}]}"#,
    ),
];

/// A worker that may be read.
struct World {
    server: Server,
    path: PathBuf,
    notes: PathBuf,
}

impl World {
    fn start(name: &str) -> World {
        let path = std::env::temp_dir().join(format!("fairlead-readers-{}-{name}", std::process::id()));
        let notes = path.with_extension("notes");
        World { server: serve(&path, &notes), path, notes }
    }

    /// The worker of another process, in the place of one that is gone.
    fn next(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
        self.server = serve(&self.path, &self.notes);
    }

    fn metric(&mut self, name: &str) -> u64 {
        let text = self.server.worker.ask(&Question::Metrics).unwrap();
        let full = format!("fairlead_dns_readers_{name} ");
        let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&full)).map(str::to_string);
        line.unwrap_or_else(|| panic!("no {full}")).parse().unwrap()
    }

    fn until(&mut self, what: &str, mut is: impl FnMut(&mut World) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is(self) {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
        drop(std::fs::remove_file(&self.notes));
    }
}

fn serve(path: &Path, notes: &Path) -> Server {
    let mut server = Server::start("127.0.0.1:0", KUBERNETES, NAMES);
    let listener = UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let notes = File::options().create(true).truncate(false).read(true).write(true).open(notes).unwrap();
    server.worker.welcome_readers(listener, notes).unwrap();
    server
}

struct Reader(BufReader<UnixStream>);

impl Reader {
    /// Wants these, and has been told what is known; `take`: and says so.
    fn start(world: &World, patterns: &[&str], take: bool) -> (Reader, Vec<Value>) {
        let mut reader = Reader::connect(world);
        let rows = reader.watch(patterns, take);
        (reader, rows)
    }

    fn connect(world: &World) -> Reader {
        let stream = UnixStream::connect(&world.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut reader = Reader(BufReader::new(stream));
        assert!(reader.line()["welcome"]["version"].is_string());
        reader
    }

    fn watch(&mut self, patterns: &[&str], take: bool) -> Vec<Value> {
        self.say(&json!({ "watch": { "patterns": patterns } }));
        let seen = self.seen();
        assert_eq!(seen["from"], 0);
        if take {
            self.take(&seen);
        }
        seen["rows"].as_array().unwrap().clone()
    }

    fn say(&mut self, message: &Value) {
        self.0.get_mut().write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }

    fn seen(&mut self) -> Value {
        self.line()["seen"].take()
    }

    fn take(&mut self, seen: &Value) {
        self.say(&json!({ "taken": { "number": seen["to"] } }));
    }
}

fn addresses(world: &World, name: &str) -> Vec<String> {
    world.server.ask(name, A).answer
}

#[test]
fn who_acknowledges_is_told_once() {
    let mut world = World::start("acknowledges");
    assert_eq!(addresses(&world, "web.cluster.local.").len(), 1);
    let (mut reader, rows) = Reader::start(&world, &["web.cluster.local."], true);
    assert_eq!(rows, [] as [Value; 0], "nobody wanted to know of the first one");
    assert_eq!(addresses(&world, "other.cluster.local.").len(), 1);
    let client = world.server.client();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.send(&query("WEB.cluster.local.", A, None)).unwrap();
    let seen = reader.seen();
    let held = json!({ "names": ["web.cluster.local."], "addresses": [{ "ip": "10.0.0.1", "ttl": 30 }] });
    assert_eq!(seen["rows"], json!([held]), "only what was wanted is told");
    assert_eq!((&seen["from"], &seen["to"]), (&json!(0), &json!(1)));
    reader.take(&seen);
    let mut room = [0; 512];
    let length = client.recv(&mut room).unwrap();
    assert_eq!(Shown::of(&room[..length]).answer, ["WEB.cluster.local. 30 A 10.0.0.1"]);
    world.until("what was taken is not held back again", |world| {
        let before = world.metric("held_total");
        addresses(world, "web.cluster.local.");
        world.metric("held_total") == before
    });
    assert_eq!(world.metric("reported_total"), 1);
    // An alias of what is wanted; over a connection, too.
    let asked = query("db.cluster.local.", A, None);
    assert_eq!(Shown::of(&world.server.tcp(&asked)).answer.len(), 2);
    assert_eq!(reader.seen()["rows"][0]["names"], json!(["db.cluster.local.", "web.cluster.local."]));
}

#[test]
fn who_never_acknowledges_is_not_waited_for() {
    let mut world = World::start("never");
    let (mut reader, _) = Reader::start(&world, &["*."], false);
    for count in 1..=3 {
        assert_eq!(addresses(&world, "web.cluster.local.").len(), 1, "it comes all the same");
        world.until("and is counted", |world| world.metric("unacknowledged_total") == count);
    }
    assert_eq!(reader.seen()["rows"][0]["names"], json!(["web.cluster.local."]));
    assert_eq!((world.metric("reported_total"), world.metric("held_total")), (1, 3), "told once, held each time");
    drop(reader);
    world.until("it is gone", |world| world.metric("connected") == 0);
    addresses(&world, "web.cluster.local.");
    addresses(&world, "other.cluster.local.");
    let (_reader, rows) = Reader::start(&world, &["*.cluster.local."], true);
    let mut names: Vec<&str> = rows.iter().map(|row| row["names"][0].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["other.cluster.local.", "web.cluster.local."], "who comes back is told what it missed, too");
    assert_eq!(world.metric("unacknowledged_total"), 3);
}

#[test]
fn who_is_back_before_it_is_seen_to_be_gone_is_told_all() {
    let mut world = World::start("back");
    let (reader, _) = Reader::start(&world, &["web.cluster.local."], false);
    addresses(&world, "web.cluster.local.");
    let mut again = Reader::connect(&world);
    drop(reader);
    world.until("it is gone", |world| world.metric("connected") == 1);
    assert_eq!(world.metric("names"), 1);
    assert_eq!(again.watch(&["web.cluster.local."], true)[0]["names"], json!(["web.cluster.local."]));
}

#[test]
fn who_speaks_otherwise_is_sent_away() {
    let mut world = World::start("otherwise");
    for wrong in [json!({ "watch": { "patterns": ["no dot"] } }), json!({ "nonsense": {} })] {
        let (mut reader, _) = Reader::start(&world, &["web.cluster.local."], true);
        reader.say(&wrong);
        assert!(reader.line()["error"]["reason"].is_string());
    }
    world.until("they are gone", |world| world.metric("connected") == 0);
    assert_eq!(addresses(&world, "web.cluster.local.").len(), 1);
}

#[test]
fn what_is_answered_before_readers_come_again_is_told() {
    let mut world = World::start("again");
    let (reader, _) = Reader::start(&world, &["web.cluster.local.", "db.cluster.local."], true);
    drop(reader);
    let began = Instant::now();
    world.next();
    assert_eq!(addresses(&world, "web.cluster.local.").len(), 1, "it is not held back for ever");
    let answered = began.elapsed();
    assert_eq!(addresses(&world, "other.cluster.local.").len(), 1);
    assert_eq!(world.metric("reported_total"), 1);
    // Nobody is waited for who is not back within a second, which may have passed before it was asked for.
    assert!(world.metric("held_total") == 1 || answered > Duration::from_secs(1), "{answered:?}");
    let (mut reader, rows) = Reader::start(&world, &["web.cluster.local."], true);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["names"], json!(["web.cluster.local."]));
    // It is told once, and nobody else is waited for.
    addresses(&world, "db.cluster.local.");
    assert_eq!(reader.seen()["rows"][0]["names"], json!(["db.cluster.local.", "web.cluster.local."]));
    world.until("what was taken is not held back again", |world| {
        let before = world.metric("held_total");
        addresses(world, "web.cluster.local.");
        world.metric("held_total") == before
    });
}

#[test]
fn who_is_told_to_end_sends_readers_and_connections_to_the_next() {
    let mut world = World::start("ends");
    let (mut reader, _) = Reader::start(&world, &["web.cluster.local."], true);
    let mut stream = world.server.connect();
    stream.write_all(&framed(&query("other.cluster.local.", A, None))).unwrap();
    assert_eq!(Shown::of(&common::read(&mut stream)).answer.len(), 1);
    let client = std::thread::spawn(move || {
        let mut line = String::new();
        assert_eq!(reader.0.read_line(&mut line).unwrap(), 0, "{line}");
        // It would be an address that nobody is told of.
        stream.write_all(&framed(&query("web.cluster.local.", A, None))).unwrap();
        assert_eq!(stream.read(&mut [0; 2]).unwrap_or_default(), 0);
    });
    world.server.worker.drain(Duration::from_secs(30));
    client.join().unwrap();
}
