//! Clients that want to keep us busy for little: their connections end, memory stays, and others are served meanwhile.

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use wire::protocol::Question;

const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const UNKNOWN: u8 = 77;
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// GET / of host a.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Each test measures the memory of the process: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Takes nothing that is sent to it but what it asks for.
struct Attacker(TcpStream);

impl Attacker {
    fn new(server: &Server, settings: &[u8]) -> Attacker {
        let stream = TcpStream::connect(server.address).unwrap();
        let mut attacker = Attacker(stream);
        let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, settings)[..]].concat();
        attacker.0.write_all(&begin).unwrap();
        attacker
    }

    /// False: it was not taken, as the connection has ended.
    fn send(&mut self, octets: &[u8]) -> bool {
        self.0.write_all(octets).is_ok()
    }

    /// Until the connection ends, and what came then.
    fn end(mut self) -> Vec<u8> {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut octets = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut octets) {
            assert!(error.kind() != ErrorKind::WouldBlock, "the connection does not end");
        }
        octets
    }
}

fn serving(changes: &[(&str, Value)], rows: &[(&str, Value)]) -> Server {
    let mut row = http();
    changes.iter().for_each(|(name, value)| row[name] = value.clone());
    Server::with(&listener(json!({ "http": row })), rows)
}

fn told(server: &mut Server, reason: &str) -> bool {
    told_of(server, reason, 1)
}

fn told_of(server: &mut Server, reason: &str, times: usize) -> bool {
    let line = format!("fairlead_proxy_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}} {times}\n");
    server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains(&line)
}

/// Never answers, but to who asks for `/other`.
fn silent() -> Backend {
    Backend::answering(|got| {
        if !got.line.contains("/other") {
            std::thread::sleep(PATIENCE * 2);
        }
        ok("served")
    })
}

/// Reads what there is, and answers nobody but who asks for `/other`.
fn mute() -> Backend {
    Backend::raw(|mut client| {
        let (mut head, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = client.stream.read(&mut piece) {
            head.extend(&piece[..count]);
            if head.starts_with(b"GET /other ") && head.ends_with(b"\r\n\r\n") {
                client.say(&ok("served").unwrap());
                head.clear();
            }
        }
    })
}

/// Begins 64 MiB, but to who asks for `/other`; it holds no more of it than it says at once.
fn vast() -> Backend {
    Backend::raw(|mut client| {
        while let Some(got) = request(&mut client) {
            if got.line.contains("/other") {
                client.say(&ok("served").unwrap());
                continue;
            }
            client.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {VAST_BYTES}\r\n\r\n"));
            while client.stream.write_all(&[b'x'; 16 << 10]).is_ok() {}
        }
    })
}

const VAST_BYTES: usize = 64 << 20;

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    let _alone = alone();
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    // It holds on to each, as one would that is slow.
    let backend = Backend::raw(move |mut client| {
        while let Some(got) = request(&mut client) {
            if got.line.contains("/other") {
                client.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved");
                continue;
            }
            count.fetch_add(1, SeqCst);
            let _ = client.rest();
            return;
        }
    });
    let mut server = serving(&[], &to(backend.address));
    let before = resident_bytes();
    let mut attacker = Attacker::new(&server, &[]);
    let mut sent = 0;
    for number in 0..200_000_u32 {
        let stream = number * 2 + 1;
        let pair =
            [frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])];
        // Some at once, and some once they were begun.
        if !attacker.send(&pair[0]) || (number % 2 == 0 && !attacker.send(&pair[1])) {
            break;
        }
        if number % 2 == 1 {
            attacker.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            if matches!(attacker.0.read(&mut [0; 4096]), Ok(0)) || !attacker.send(&pair[1]) {
                break;
            }
        }
        sent += 1;
    }
    assert!(sent < 200_000, "it was let go on");
    assert_eq!(server.get("a", "/other").body, "served");
    assert!(begun.load(SeqCst) < 1000, "{} reached the backend", begun.load(SeqCst));
    assert!(resident_bytes() < before + (64 << 20));
    // By what h2 counts, or by what we do: whichever came first.
    let _ = told(&mut server, "resets");
}

#[test]
fn requests_that_were_begun_and_are_taken_back_are_counted() {
    let _alone = alone();
    let backend = silent();
    let mut server = serving(&[], &to(backend.address));
    let mut attacker = Attacker::new(&server, &[]);
    attacker.0.set_read_timeout(Some(PATIENCE)).unwrap();
    // One at a time, each when the last is known to have been begun: h2 itself has nothing against that.
    for number in 0..400_u32 {
        let stream = number * 2 + 1;
        let ping = frame(PING, 0, 0, &number.to_be_bytes().repeat(2));
        let begin = frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
        let sent = attacker.send(&[begin, ping].concat()) && answered(&mut attacker.0, number);
        if !sent || !attacker.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])) {
            break;
        }
    }
    attacker.end();
    eventually("it is told", || told(&mut server, "resets"));
    assert_eq!(server.get("a", "/other").body, "served");
}

/// Reads until the answer to this ping; false: the connection ends first.
fn answered(stream: &mut TcpStream, number: u32) -> bool {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return false;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if stream.read_exact(&mut payload).is_err() {
            return false;
        }
        if head[3] == PING && head[4] == 1 && payload == number.to_be_bytes().repeat(2) {
            return true;
        }
    }
}

#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let _alone = alone();
    let backend = silent();
    let server = serving(&[], &to(backend.address));
    let before = resident_bytes();
    // Fields that are kept, fields that are thrown away, and none at all (CVE-2024-27316).
    let field = [&b"\0\x01x\x7f\x80\x7d"[..], &[b'y'; 16_000]].concat();
    for payload in [&field[..], b"\0\x01x\0", b""] {
        let mut attacker = Attacker::new(&server, &[]);
        let mut open = attacker.send(&frame(HEADERS, END_STREAM, 1, REQUEST));
        let mut frames = 0;
        while open && frames < 100_000 {
            open = attacker.send(&frame(CONTINUATION, 0, 1, payload));
            frames += 1;
        }
        assert!(frames < 100_000, "{} octets a frame", payload.len());
        assert_eq!(server.get("a", "/other").body, "served");
    }
    assert!(resident_bytes() < before + (64 << 20));
}

#[test]
fn frames_that_want_answers_wait_for_them_to_be_read() {
    let _alone = alone();
    let backend = silent();
    let server = serving(&[], &to(backend.address));
    let before = resident_bytes();
    for octets in
        [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]), frame(SETTINGS, 0, 0, &[])]
    {
        let mut attacker = Attacker::new(&server, &[]);
        attacker.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let many = octets.repeat(1000);
        // 20 MB, unless it is made to wait, or cut off.
        let mut sent = 0;
        while sent < 20 << 20 && attacker.send(&many) {
            sent += many.len();
        }
        assert_eq!(server.get("a", "/other").body, "served");
        assert!(resident_bytes() < before + (64 << 20), "{:?}", &octets[..9]);
    }
}

#[test]
fn who_takes_nothing_of_what_was_asked_for_is_cut_off() {
    let _alone = alone();
    let backend = vast();
    let mut server = serving(&[("bodyTimeoutMs", json!(300))], &to(backend.address));
    let before = resident_bytes();
    // No window at all; and one of the connection that is soon full.
    for (settings, grows) in [(&[0, 4, 0, 0, 0, 0][..], false), (&[0, 4, 0x7f, 0xff, 0xff, 0xff], true)] {
        let mut attacker = Attacker::new(&server, settings);
        for number in 0..50_u32 {
            attacker.send(&frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, REQUEST));
        }
        if grows {
            attacker.send(&frame(WINDOW_UPDATE, 0, 0, &1_000_u32.to_be_bytes()));
        }
        assert_eq!(server.get("a", "/other").body, "served");
        attacker.end();
        assert!(resident_bytes() < before + (128 << 20));
    }
    eventually("both are told", || told_of(&mut server, "stalled", 2));
    // One that takes it, as slowly as it may be, has all of it; and one that waits for its backend is not in default.
    let slow = Backend::answering(|_| {
        std::thread::sleep(Duration::from_millis(900));
        ok("late")
    });
    let mut rows = to(slow.address);
    rows[0].1 = set(rows[0].1.clone(), "/host", "a");
    let server = serving(&[("bodyTimeoutMs", json!(300))], &rows);
    let url = format!("http://{}/", server.address);
    let asked = ["-sS", "--max-time", "60", "--http2-prior-knowledge", "-H", "Host: a", &url];
    let output = std::process::Command::new("curl").args(asked).output().expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "late", "{output:?}");
}

#[test]
fn frames_that_ask_for_nothing_end_the_connection() {
    let _alone = alone();
    let backend = mute();
    let mut server = serving(&[], &to(backend.address));
    let before = resident_bytes();
    let kinds = [
        frame(PING, 0, 0, &[7; 8]),
        frame(PING, 1, 0, &[7; 8]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        frame(SETTINGS, 0, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
        frame(UNKNOWN, 0, 0, &[]),
        frame(DATA, 0, 1, &[]),
    ];
    for octets in &kinds {
        let mut attacker = Attacker::new(&server, &[]);
        attacker.send(&frame(HEADERS, END_HEADERS, 1, REQUEST));
        // What is answered is read: nothing is held up by it.
        let mut answers = attacker.0.try_clone().unwrap();
        let reading = std::thread::spawn(move || drop(std::io::copy(&mut answers, &mut std::io::sink())));
        let many = octets.repeat(1000);
        let mut sent = 0;
        while sent < 50 << 20 && attacker.send(&many) {
            sent += many.len();
        }
        assert!(sent < 50 << 20, "{:?} is let go on", &octets[..9]);
        reading.join().unwrap();
        assert_eq!(server.get("a", "/other").body, "served");
        assert!(resident_bytes() < before + (64 << 20), "{:?}", &octets[..9]);
    }
    // Of DATA without an octet h2 itself has enough.
    eventually("it is told", || {
        told_of(&mut server, "idle_frames", kinds.len() - 1) || told_of(&mut server, "idle_frames", kinds.len())
    });
}

#[test]
fn who_reads_nothing_of_a_response_is_cut_off() {
    let _alone = alone();
    let backend = vast();
    let mut server = serving(&[("bodyTimeoutMs", json!(300))], &to(backend.address));
    let before = resident_bytes();
    let clients: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = server.connect();
            client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    assert_eq!(server.get("a", "/other").body, "served");
    eventually("all are told of", || told_of(&mut server, "stalled", clients.len()));
    assert!(resident_bytes() < before + (128 << 20));
    for mut client in clients {
        // What was on its way, and then the end.
        let (mut taken, mut octets) = (0, vec![0; 1 << 20]);
        while let Ok(count @ 1..) = client.stream.read(&mut octets) {
            taken += count;
        }
        assert!(taken < VAST_BYTES, "{taken}");
    }
}

#[test]
fn bodies_that_do_not_come_end_their_requests_over_http2_too() {
    let _alone = alone();
    let backend = mute();
    let server = serving(&[("bodyTimeoutMs", json!(1000))], &to(backend.address));
    let before = resident_bytes();
    let mut attacker = Attacker::new(&server, &[]);
    for number in 0..50_u32 {
        let stream = number * 2 + 1;
        let post = [b"\x83", &REQUEST[1..]].concat();
        attacker.send(&[frame(HEADERS, END_HEADERS, stream, &post), frame(DATA, 0, stream, b"a")].concat());
    }
    assert_eq!(server.get("a", "/other").body, "served");
    attacker.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answered = 0;
    while answered < 50 {
        let mut head = [0; 9];
        attacker.0.read_exact(&mut head).expect("each is answered");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        attacker.0.read_exact(&mut payload).unwrap();
        if head[3] == HEADERS {
            answered += 1;
        }
    }
    assert!(resident_bytes() < before + (64 << 20));
}

#[test]
fn heads_and_bodies_that_drip_hold_up_nobody() {
    let _alone = alone();
    let backend = mute();
    let server = serving(&[("headTimeoutMs", json!(3000)), ("bodyTimeoutMs", json!(3000))], &to(backend.address));
    let before = resident_bytes();
    let begin = |number: usize| {
        let mut client = server.connect();
        client.say(match number % 3 {
            0 => "GET / HTTP/1.1\r\nHost: a\r\nX: ",
            1 => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
            _ => "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        });
        client
    };
    let mut clients: Vec<Client> = (0..200).map(begin).collect();
    assert_eq!(server.get("a", "/other").status, 200);
    for client in &mut clients {
        assert_eq!(client.reply().status, 408);
        assert_eq!(client.rest(), "");
    }
    assert!(resident_bytes() < before + (64 << 20));
}
