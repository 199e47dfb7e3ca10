//! DNS queries over UDP or TCP: as many as are answered, or at a rate that is offered.

mod datagrams;
mod paced;
mod question;
mod streams;
mod tally;

use crate::report::{cpu_seconds, rounded};
use cli::{Flags, Outcome, failed, usage};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;

/// One thread's share of the load.
struct Share<'a> {
    to: SocketAddr,
    /// Each with an id of 0.
    questions: &'a [Vec<u8>],
    /// The first question asked, so that threads do not ask the same ones.
    first: usize,
    outstanding: usize,
    end: Instant,
}

pub fn run(flags: &Flags) -> Outcome {
    let to: SocketAddr = flags.parsed("to")?.ok_or_else(|| usage("--to IP:PORT is needed"))?;
    let seconds: f64 = flags.parsed("seconds")?.unwrap_or(5.0);
    let outstanding: usize = flags.parsed("outstanding")?.unwrap_or(64);
    let threads: usize = flags.parsed("threads")?.unwrap_or(1);
    let rate: Option<f64> = flags.parsed("rate")?;
    let in_bounds = (0.1..=3600.0).contains(&seconds) && (1..=4096).contains(&outstanding);
    if !in_bounds || !(1..=64).contains(&threads) {
        return Err(usage("--seconds is up to 3600, --outstanding from 1 to 4096, --threads up to 64"));
    }
    if rate.is_some_and(|rate| !(1.0..=1e7).contains(&rate)) || rate.is_some() && (threads > 1 || flags.has("tcp")) {
        return Err(usage("--rate is up to 10,000,000 a second, over UDP, from one thread"));
    }
    let questions = question::read(flags)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let load = |thread: usize| {
        let (first, outstanding) = (thread * 7919, outstanding.div_ceil(threads));
        let share = Share { to, questions: &questions, first, outstanding, end };
        match rate {
            Some(rate) => paced::drive(&share, rate),
            None if flags.has("tcp") => streams::drive(&share),
            None => datagrams::drive(&share),
        }
    };
    let tallies = thread::scope(|scope| {
        let load = &load;
        let each: Vec<_> = (0..threads).map(|thread| scope.spawn(move || load(thread))).collect();
        each.into_iter().map(|thread| thread.join().expect("a thread's work")).collect::<io::Result<Vec<_>>>()
    });
    let mut sum = Tally::new();
    tallies.map_err(failed(format!("cannot ask {to}")))?.iter().for_each(|tally| sum.merge(tally));
    let (user, system) = cpu_seconds();
    let elapsed = begun.elapsed().as_secs_f64();
    let report = json!({
        "answers": sum.latency.count(),
        "codes": sum.codes(),
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

pub const VALUES: &[&str] = &["to", "names", "type", "seconds", "outstanding", "threads", "rate"];
pub const SWITCHES: &[&str] = &["tcp"];

const BATCH: usize = 64;
const ANSWER_BYTES: usize = 4096;
/// Without any answer for so long, all that are waited for are lost.
const PATIENCE: Duration = Duration::from_secs(1);
