use crate::exchange::{ENDS, Exchange, STAYS, udp_socket};
use crate::places::Places;
use crate::report::Tally;
use crate::stop::input_ended;
use cli::{Failure, Flags, Outcome, failed, usage};
use serde_json::Value;
use socket2::Socket;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Exchanges from several threads at once, as fast as they go or at a rate.
pub fn run(flags: &Flags) -> Outcome {
    let plan = Arc::new(Plan::read(flags)?);
    let threads: u64 = flags.parsed("threads")?.unwrap_or(8).clamp(1, THREADS_MAX);
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let plan = plan.clone();
            let worker = move || Worker { number, threads, start, tally: Tally::new(), held: Vec::new() }.work(&plan);
            thread::Builder::new().stack_size(STACK_BYTES).spawn(worker)
        })
        .collect::<Result<_, _>>()
        .map_err(failed("cannot start threads"))?;
    let mut tally = Tally::new();
    let mut held = Vec::new();
    for worker in workers {
        let (of_worker, sockets) = worker.join().map_err(|_| Failure::Failed("a thread failed".into()))?;
        tally.merge(of_worker);
        held.extend(sockets);
    }
    println!("{}", Value::Object(tally.report(start.elapsed())));
    if plan.hold {
        input_ended();
    }
    drop(held);
    Ok(ExitCode::SUCCESS)
}

struct Plan {
    places: Places,
    exchange: Exchange,
    udp: bool,
    source_port: u16,
    hold: bool,
    rate: Option<f64>,
    duration: Option<Duration>,
    count: u64,
    next: AtomicU64,
}

impl Plan {
    fn read(flags: &Flags) -> Result<Plan, Failure> {
        let count = flags.parsed("count")?;
        let is_timed = count.is_none() || flags.has("seconds");
        let source_port = flags.parsed("source-port")?.unwrap_or(0);
        if flags.has("hold") && count.is_none() {
            return Err(usage("--hold needs --count"));
        }
        if source_port != 0 && (!flags.has("udp") || flags.parsed("threads")? != Some(1)) {
            return Err(usage("--source-port needs --udp and --threads 1"));
        }
        Ok(Plan {
            places: Places::read(flags)?,
            exchange: Exchange { byte: byte(flags), timeout: timeout(flags)? },
            udp: flags.has("udp"),
            source_port,
            hold: flags.has("hold"),
            rate: flags.parsed("rate")?.filter(|rate: &f64| *rate > 0.0),
            duration: if is_timed { Some(seconds(flags)?) } else { None },
            count: count.unwrap_or(u64::MAX),
            next: AtomicU64::new(0),
        })
    }
}

fn byte(flags: &Flags) -> Option<[u8; 1]> {
    if flags.has("no-exchange") {
        return None;
    }
    Some(if flags.has("hold") { STAYS } else { ENDS })
}

pub fn timeout(flags: &Flags) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(flags.parsed("timeout-ms")?.unwrap_or(TIMEOUT_MS).clamp(1, 600_000)))
}

/// How long it goes on.
pub fn seconds(flags: &Flags) -> Result<Duration, Failure> {
    let seconds: f64 = flags.parsed("seconds")?.unwrap_or(SECONDS);
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(usage(format!("--seconds is at most {SECONDS_MAX}")));
    }
    Ok(Duration::from_secs_f64(seconds))
}

struct Worker {
    number: u64,
    threads: u64,
    start: Instant,
    tally: Tally,
    held: Vec<Socket>,
}

impl Worker {
    fn work(mut self, plan: &Plan) -> (Tally, Vec<Socket>) {
        let mut fixed = HashMap::new();
        for turn in 0.. {
            let over = plan.duration.is_some_and(|duration| self.start.elapsed() >= duration);
            let number = plan.next.fetch_add(1, Ordering::Relaxed);
            if over || number >= plan.count {
                break;
            }
            if let Some(rate) = plan.rate {
                let due = Duration::from_secs_f64((turn * self.threads + self.number) as f64 / rate);
                thread::sleep(due.saturating_sub(self.start.elapsed()));
            }
            let (to, from) = plan.places.pick(number);
            let result = if plan.udp {
                udp(plan, to, from, number, &mut fixed)
            } else {
                plan.exchange.tcp(to, from).map(|(socket, duration)| {
                    if plan.hold {
                        self.held.push(socket);
                    }
                    duration
                })
            };
            self.tally.add(result);
        }
        (self.tally, self.held)
    }
}

fn udp(
    plan: &Plan,
    to: SocketAddr,
    from: Option<SocketAddr>,
    number: u64,
    fixed: &mut HashMap<SocketAddr, Socket>,
) -> std::io::Result<Duration> {
    if plan.source_port == 0 {
        return plan.exchange.udp(&udp_socket(to, from, 0)?, number);
    }
    let socket = match fixed.entry(to) {
        Entry::Occupied(socket) => socket.into_mut(),
        Entry::Vacant(place) => place.insert(udp_socket(to, from, plan.source_port)?),
    };
    plan.exchange.udp(socket, number)
}

pub const VALUES: &[&str] = &["to", "from", "threads", "seconds", "count", "rate", "timeout-ms", "source-port"];
pub const SWITCHES: &[&str] = &["random", "hold", "no-exchange", "udp"];

const THREADS_MAX: u64 = 1024;
const STACK_BYTES: usize = 256 * 1024;
const SECONDS: f64 = 5.0;
const SECONDS_MAX: f64 = 86_400.0;
const TIMEOUT_MS: u64 = 2000;
