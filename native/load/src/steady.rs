use crate::connect::timeout;
use crate::exchange::{ENDS, udp_socket};
use crate::fixed::Fixed;
use crate::hold::{connect, timed, udp_exchange};
use crate::places::Places;
use crate::report::Tally;
use crate::stop::wanted;
use cli::{Flags, Outcome, failed, usage};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

/// New exchanges at an even rate, whatever happens to the earlier ones: what a client sees while something changes.
pub fn run(flags: &Flags) -> Outcome {
    let places = Arc::new(Places::read(flags)?);
    let rate: f64 = flags.parsed("rate")?.ok_or_else(|| usage("--rate is needed"))?;
    if !(0.1..=RATE_MAX).contains(&rate) {
        return Err(usage(format!("--rate is from 0.1 to {RATE_MAX}")));
    }
    let source_port: u16 = flags.parsed("source-port")?.unwrap_or(0);
    if source_port != 0 && !flags.has("udp") {
        return Err(usage("--source-port needs --udp"));
    }
    let only = places.only();
    if source_port != 0 && only.is_none() {
        return Err(usage("--source-port needs exactly one --to"));
    }
    let how = How { udp: flags.has("udp"), bytes: !flags.has("no-exchange"), patience: timeout(flags)? };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no event loop"))?;
    runtime.block_on(async {
        let fixed = match only {
            Some((to, from)) if source_port != 0 => Some(
                Fixed::open(to, from, source_port).map_err(failed(format!("cannot use source port {source_port}")))?,
            ),
            _ => None,
        };
        drive(places, rate, how, fixed).await
    })
}

#[derive(Clone, Copy)]
struct How {
    udp: bool,
    bytes: bool,
    patience: Duration,
}

type Finished = (Instant, io::Result<Duration>);

async fn drive(places: Arc<Places>, rate: f64, how: How, fixed: Option<Fixed>) -> Outcome {
    let mut stop = wanted()?;
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let (finished, results) = mpsc::channel::<Finished>(IN_FLIGHT_MAX);
    let start = Instant::now();
    let counting = tokio::spawn(count(results, start));
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    // After a stall of this process itself, the missed beginnings are not made up for in a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        let Ok(place) = in_flight.clone().try_acquire_owned() else {
            let _ = finished.send((Instant::now(), Err(io::Error::from_raw_os_error(nix::libc::EAGAIN)))).await;
            continue;
        };
        let (to, from) = places.pick(number);
        let (finished, fixed) = (finished.clone(), fixed.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let result = timed(how.patience, once(how, to, from, number, fixed)).await;
            let _ = finished.send((Instant::now(), result.map(|()| begun.elapsed()))).await;
            drop(place);
        });
    }
    drop(finished);
    let (tally, longest_gap) = counting.await.map_err(failed("counting failed"))?;
    let mut report = tally.report(start.elapsed());
    report.insert("longestGapMs".into(), json!(longest_gap.as_millis() as u64));
    println!("{}", Value::Object(report));
    Ok(ExitCode::SUCCESS)
}

/// The gap before the first success counts, and so does the one after the last.
async fn count(mut results: mpsc::Receiver<Finished>, start: Instant) -> (Tally, Duration) {
    let mut tally = Tally::new();
    let (mut last_success, mut longest_gap, mut last) = (start, Duration::ZERO, start);
    while let Some((when, result)) = results.recv().await {
        last = last.max(when);
        if result.is_ok() {
            if tally.latency.count() == 0 {
                println!("{{\"ready\":true}}");
            }
            longest_gap = longest_gap.max(when.saturating_duration_since(last_success));
            last_success = last_success.max(when);
        }
        tally.add(result);
    }
    (tally, longest_gap.max(last.saturating_duration_since(last_success)))
}

async fn once(how: How, to: SocketAddr, from: Option<SocketAddr>, number: u64, fixed: Option<Fixed>) -> io::Result<()> {
    if let Some(fixed) = fixed {
        return fixed.exchange(number).await;
    }
    if how.udp {
        let socket = udp_socket(to, from, 0)?;
        socket.set_nonblocking(true)?;
        return udp_exchange(&UdpSocket::from_std(socket.into())?, number).await;
    }
    let mut stream = connect(to, from).await?;
    if how.bytes {
        stream.write_all(&ENDS).await?;
        stream.read_exact(&mut [0]).await?;
    }
    Ok(())
}

pub const VALUES: &[&str] = &["to", "from", "rate", "timeout-ms", "source-port"];
pub const SWITCHES: &[&str] = &["udp", "no-exchange", "random"];

const RATE_MAX: f64 = 50_000.0;
const IN_FLIGHT_MAX: usize = 8192;
