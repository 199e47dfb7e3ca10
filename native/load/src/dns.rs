use crate::latency::Latency;
use crate::report::{cpu_seconds, rounded};
use cli::{Flags, Outcome, failed, usage};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use sys::batch::Batch;

/// DNS queries over UDP in a closed loop: each answer makes place for the next query.
pub fn run(flags: &Flags) -> Outcome {
    let to: SocketAddr = flags.parsed("to")?.ok_or_else(|| usage("--to IP:PORT is needed"))?;
    let seconds: f64 = flags.parsed("seconds")?.unwrap_or(5.0);
    let outstanding: usize = flags.parsed("outstanding")?.unwrap_or(64);
    let threads: usize = flags.parsed("threads")?.unwrap_or(1);
    let in_bounds = (0.1..=3600.0).contains(&seconds) && (1..=4096).contains(&outstanding);
    if !in_bounds || !(1..=64).contains(&threads) {
        return Err(usage("--seconds is up to 3600, --outstanding from 1 to 4096, --threads up to 64"));
    }
    let kind: u16 = flags.parsed("type")?.unwrap_or(1);
    let file = flags.one("names").ok_or_else(|| usage("--names FILE is needed: a name on each line"))?;
    let text = std::fs::read_to_string(file).map_err(failed(format!("cannot read {file}")))?;
    let questions = text.split_whitespace().map(|name| question(name, kind)).collect::<Option<Vec<_>>>();
    let questions = questions.filter(|all| !all.is_empty()).ok_or_else(|| usage(format!("{file}: no names of DNS")))?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let load = |thread| drive(to, &questions, thread, outstanding.div_ceil(threads), end);
    let tallies = thread::scope(|scope| {
        let each: Vec<_> = (0..threads).map(|thread| scope.spawn(move || load(thread))).collect();
        each.into_iter().map(|thread| thread.join().expect("a thread's work")).collect::<io::Result<Vec<_>>>()
    });
    let mut sum = Tally::new();
    tallies.map_err(failed(format!("cannot ask {to}")))?.into_iter().for_each(|tally| sum.merge(tally));
    let (user, system) = cpu_seconds();
    let elapsed = begun.elapsed().as_secs_f64();
    let report = json!({
        "answers": sum.latency.count(),
        "codes": sum.codes,
        "empty": sum.empty,
        "lost": sum.lost,
        "seconds": rounded(elapsed),
        "qps": (sum.latency.count() as f64 / elapsed).round(),
        "p50Us": sum.latency.quantile_us(0.5),
        "p99Us": sum.latency.quantile_us(0.99),
        "maxUs": sum.latency.max_us(),
        "cpuSeconds": rounded(user + system),
    });
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

struct Tally {
    latency: Latency,
    /// Response codes.
    codes: BTreeMap<u8, u64>,
    /// Answers without a record in the answer section.
    empty: u64,
    lost: u64,
}

impl Tally {
    fn new() -> Tally {
        Tally { latency: Latency::new(), codes: BTreeMap::new(), empty: 0, lost: 0 }
    }

    fn merge(&mut self, other: Tally) {
        self.latency.merge(&other.latency);
        other.codes.into_iter().for_each(|(code, count)| *self.codes.entry(code).or_default() += count);
        self.empty += other.empty;
        self.lost += other.lost;
    }
}

/// Asks until the end, from one socket. What is not answered in time is lost, and its place is taken by the next.
fn drive(to: SocketAddr, questions: &[Vec<u8>], thread: usize, outstanding: usize, end: Instant) -> io::Result<Tally> {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut batch = Batch::new(BATCH, ANSWER_BYTES, QUESTION_BYTES, false);
    let mut asked: Vec<Option<Instant>> = vec![None; 1 << 16];
    let (mut tally, mut serial, mut waiting) = (Tally::new(), thread * 7919, 0usize);
    let mut next = |room: &mut [u8], asked: &mut [Option<Instant>]| {
        let packet = &questions[serial % questions.len()];
        room[..packet.len()].copy_from_slice(packet);
        room[..2].copy_from_slice(&(serial as u16).to_be_bytes());
        asked[usize::from(serial as u16)] = Some(Instant::now());
        serial = serial.wrapping_add(1);
        packet.len()
    };
    let mut room = [0; QUESTION_BYTES];
    loop {
        let over = Instant::now() >= end;
        while waiting < outstanding && !over {
            let length = next(&mut room, &mut asked);
            let _ = socket.send(&room[..length]); // A full buffer: lost, as its answer will show.
            waiting += 1;
        }
        if over && waiting == 0 {
            return Ok(tally);
        }
        let count = match batch.receive(&socket) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                tally.lost += waiting as u64;
                waiting = 0;
                asked.fill(None);
                continue;
            }
            Err(error) => return Err(error),
        };
        for index in 0..count {
            let (answer, _, room) = batch.exchange(index);
            let Some(begun) = answer.first_chunk::<12>().and_then(|head| {
                *tally.codes.entry(head[3] & 0xf).or_default() += 1;
                tally.empty += u64::from(head[6..8] == [0, 0]);
                asked[usize::from(u16::from_be_bytes([head[0], head[1]]))].take()
            }) else {
                continue;
            };
            tally.latency.add(begun.elapsed());
            if over {
                waiting -= 1;
            } else {
                let length = next(room, &mut asked);
                batch.answer(index, length);
            }
        }
        batch.send(&socket, count);
    }
}

/// A query with RD, its id to be filled in; `None` if the name is none.
fn question(name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).ok().filter(|length| *length < 64)?);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([kind.to_be_bytes(), [0, 1]].concat());
    (packet.len() <= QUESTION_BYTES).then_some(packet)
}

pub const VALUES: &[&str] = &["to", "names", "type", "seconds", "outstanding", "threads"];

const BATCH: usize = 64;
const ANSWER_BYTES: usize = 4096;
const QUESTION_BYTES: usize = 272;
/// Without any answer, all that are waited for are lost.
const PATIENCE: Duration = Duration::from_secs(1);
