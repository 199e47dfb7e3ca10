//! The smallest kind of carrier there can be, for the tests of the supervisor. Table `words`: what a datagram that holds a
//! key is answered. Table `doors`: where to listen, `{"port":N}`. Table `whispers`: words that nobody is told, and that are not
//! to reach a disk. A few words make the worker misbehave; with TOY_COMMITS, each word of table `words` is that. With
//! TOY_UNREADY it is not ready while there is a file of that name, into which it writes that it was asked.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use supervisor::{Change, Changes, Committed, Kind, KnownAs, Page, PageAt, Place, Problem, Sockets, Wants, Worker};
use wire::protocol::{Question, RefusedRow};

struct Toy;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    word: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    port: u16,
    #[serde(default)]
    pages: Option<u16>,
    #[serde(default)]
    lameduck: u64,
}

impl Kind for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["words", "doors", "whispers"]
    }

    fn pack(&self, table: &str, _: &str, row: &str, packed: &mut Vec<u8>) -> Result<(), Problem> {
        let wrong =
            |error: serde_json::Error| Problem { reason: error.to_string(), remedy: "write it right".to_string() };
        if table == "doors" {
            serde_json::from_str::<Door>(row).map_err(wrong)?;
            packed.extend_from_slice(row.as_bytes());
        } else {
            packed.extend_from_slice(serde_json::from_str::<Word>(row).map_err(wrong)?.word.as_bytes());
        }
        Ok(())
    }

    fn keeps(&self, table: &str) -> bool {
        table != "whispers"
    }

    fn asks(&self, table: &str) -> bool {
        table == "doors"
    }

    fn wants(&self, _: &str, _: &str, packed: &[u8]) -> Wants {
        let door: Door = serde_json::from_slice(packed).expect("it was packed");
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let address = SocketAddr::new(ip, door.port);
        let page = |page, port| PageAt { page, address: Some(ip), port };
        Wants {
            places: vec![Place { transport: "toy".to_string(), address, udp: true, tcp: true }],
            pages: door
                .pages
                .iter()
                .flat_map(|port| [Page::Health, Page::Ready, Page::Metrics].map(|p| page(p, *port)))
                .collect(),
            lameduck: Duration::from_millis(door.lameduck),
            ..Wants::default()
        }
    }

    fn known_as(&self) -> KnownAs {
        KnownAs { panics: "toy_panics_total", health: "toy_health_request" }
    }

    fn worker(&self, _: usize) -> Result<Box<dyn Worker>, String> {
        Ok(Box::new(Server::default()))
    }
}

#[derive(Default)]
struct Server {
    words: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// True: no longer.
    doors: HashMap<Place, Arc<AtomicBool>>,
    whispers: HashMap<String, Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker for Server {
    fn commit(&mut self, mut changes: Changes) -> Result<Committed, String> {
        let table = changes.table().to_string();
        let mut words = match table.as_str() {
            _ if changes.whole() => HashMap::new(),
            "words" => self.words.lock().unwrap().clone(),
            "whispers" => std::mem::take(&mut self.whispers),
            _ => HashMap::new(),
        };
        let mut refused = HashMap::new();
        while let Some(change) = changes.next().map_err(|error| error.to_string())? {
            let (key, row) = match change {
                Change::Put(key, row) => (key.to_string(), Some(row.to_vec())),
                Change::Drop(key) => (key.to_string(), None),
            };
            refused.remove(&key);
            words.remove(&key);
            let told = std::env::var_os("TOY_COMMITS").filter(|_| table == "words");
            let row = row.map(|row| told.map_or(row, OsString::into_encoded_bytes));
            match row.as_deref() {
                None => {}
                Some(b"die") => std::process::abort(),
                Some(b"fail") => return Err("told to fail".to_string()),
                Some(b"hang") => thread::sleep(Duration::from_secs(3600)),
                Some(b"refuse") => {
                    drop(refused.insert(key.clone(), RefusedRow { key, reason: "r".into(), remedy: "m".into() }))
                }
                Some(row) => drop(words.insert(key, row.to_vec())),
            }
        }
        let rows = words.len();
        match table.as_str() {
            "words" => *self.words.lock().unwrap() = words,
            "whispers" => self.whispers = words,
            _ => {}
        }
        Ok(Committed { refused: refused.into_values().collect(), rows })
    }

    fn listen(&mut self, opened: Vec<Sockets>, closed: &[Place]) {
        for place in closed {
            self.doors.remove(place).expect("it was opened").store(true, Ordering::Relaxed);
        }
        for Sockets { place, udp, .. } in opened {
            let ended = Arc::new(AtomicBool::new(false));
            self.doors.insert(place, ended.clone());
            for socket in udp {
                let (words, ended) = (self.words.clone(), ended.clone());
                self.threads.push(thread::spawn(move || answer(&socket, &words, &ended)));
            }
        }
    }

    fn unready(&self) -> Vec<String> {
        let path = std::env::var_os("TOY_UNREADY").filter(|path| std::fs::exists(path).unwrap_or(false));
        if let Some(path) = path {
            drop(std::fs::File::options().write(true).open(path).and_then(|mut file| file.write_all(b"asked")));
            return vec!["file".to_string()];
        }
        if self.words.lock().unwrap().is_empty() { vec!["words".to_string()] } else { vec![] }
    }

    fn ask(&mut self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Metrics => Ok("toy_doors 1\n".into()),
            Question::Stats => Ok(json!({ "doors": self.doors.len(), "whispers": self.whispers.len() })),
            other => Err(format!("cannot answer {other:?}")),
        }
    }

    fn drain(&mut self, _: Duration) {
        self.doors.values().for_each(|ended| ended.store(true, Ordering::Relaxed));
        self.threads.drain(..).for_each(|thread| thread.join().expect("it does not panic"));
    }
}

fn answer(socket: &UdpSocket, words: &Mutex<HashMap<String, Vec<u8>>>, ended: &AtomicBool) {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 2048];
    while !ended.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let key = String::from_utf8_lossy(&buffer[..length]).to_string();
        if key == "crash" {
            std::process::abort();
        }
        let word = words.lock().unwrap().get(&key).cloned().unwrap_or_default();
        drop(socket.send_to(&word, peer));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match supervisor::run(&Toy, &arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}
