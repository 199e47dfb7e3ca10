use crate::connect::{seconds, timeout};
use crate::exchange::udp_socket;
use crate::places::Places;
use crate::report::{Failures, cost, rounded};
use crate::sink::{answered, ask};
use cli::{Flags, Outcome, failed, usage};
use serde_json::{Map, Value, json};
use socket2::Socket;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Datagrams of one flow to a `serve --sink`, as fast as they go: what counts is what arrived.
pub fn run(flags: &Flags) -> Outcome {
    let (to, from) = Places::read(flags)?.only().ok_or_else(|| usage("exactly one --to is needed"))?;
    let size: usize = flags.parsed("size")?.unwrap_or(SIZE);
    if !(1..=SIZE_MAX).contains(&size) {
        return Err(usage(format!("--size is from 1 to {SIZE_MAX}")));
    }
    let limits = Limits { duration: seconds(flags)?, count: flags.parsed("count")?.unwrap_or(u64::MAX) };
    let socket = udp_socket(to, from, 0).map_err(failed(format!("cannot send to {to}")))?;
    socket.set_read_timeout(Some(timeout(flags)? / TRIES)).map_err(failed("cannot set a time-out"))?;
    let silent = || failed(format!("{to} does not say what arrived"));
    let before = arrived(&socket, 0).map_err(silent())?;
    let start = Instant::now();
    let (sent, failures) = flood(&socket, &vec![b'.'; size], &limits, start);
    let elapsed = start.elapsed();
    let after = arrived(&socket, 1).map_err(silent())?;
    println!("{}", Value::Object(report(sent, after.saturating_sub(before), &failures, elapsed)));
    Ok(ExitCode::SUCCESS)
}

struct Limits {
    duration: Duration,
    count: u64,
}

fn flood(socket: &Socket, payload: &[u8], limits: &Limits, start: Instant) -> (u64, Failures) {
    let mut failures = Failures::default();
    let mut sent = 0;
    for turn in 0..limits.count {
        if turn % CLOCK_EVERY == 0 && start.elapsed() >= limits.duration {
            break;
        }
        match socket.send(payload) {
            Ok(_) => sent += 1,
            Err(error) => failures.add(&error),
        }
    }
    (sent, failures)
}

/// How many datagrams have arrived there, whoever sent them. Asked again when nothing is heard: also this may be lost.
fn arrived(socket: &Socket, round: u64) -> io::Result<u64> {
    let mut reader = socket;
    let mut buffer = [0; 64];
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for number in round * u64::from(TRIES)..(round + 1) * u64::from(TRIES) {
        socket.send(&ask(number))?;
        loop {
            match reader.read(&mut buffer) {
                Ok(length) => match answered(&buffer[..length], number) {
                    Some(count) => return Ok(count),
                    None => continue, // to an earlier question
                },
                Err(error) => last = error,
            }
            break;
        }
    }
    Err(last)
}

fn report(sent: u64, arrived: u64, failures: &Failures, elapsed: Duration) -> Map<String, Value> {
    let seconds = elapsed.as_secs_f64();
    let mut report = Map::new();
    report.insert("sent".into(), json!(sent));
    report.insert("arrived".into(), json!(arrived));
    report.insert("failed".into(), failures.by_name());
    report.insert("seconds".into(), json!(rounded(seconds)));
    report.insert("pps".into(), json!((arrived as f64 / seconds).round()));
    report.extend(cost());
    report
}

pub const VALUES: &[&str] = &["to", "from", "seconds", "count", "size", "timeout-ms"];

/// Of the payload: with headers of IPv4 an Ethernet frame of 64 bytes, the least there is, checksum not counted.
const SIZE: usize = 22;
const SIZE_MAX: usize = 65_507;
const CLOCK_EVERY: u64 = 32;
const TRIES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use sys::datagram;

    #[test]
    fn what_arrived_is_asked() {
        let server = datagram::bind(&"udp:127.0.0.1:0".parse().unwrap()).unwrap();
        server.set_nonblocking(false).unwrap();
        let to = server.local_addr().unwrap();
        let counted = Arc::new(AtomicU64::new(5));
        std::thread::spawn(move || sink::count(&server, &counted));
        let socket = udp_socket(to, None, 0).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(arrived(&socket, 0).unwrap(), 5);
        let limits = Limits { duration: Duration::from_secs(10), count: 40 };
        let (sent, failures) = flood(&socket, b"..", &limits, Instant::now());
        assert_eq!((sent, failures.total()), (40, 0));
        assert_eq!(arrived(&socket, 1).unwrap(), 45);
        let report = report(50, 40, &failures, Duration::from_secs(2));
        assert_eq!((&report["sent"], &report["arrived"], &report["pps"]), (&json!(50), &json!(40), &json!(20.0)));
    }
}
