use crate::connect::{seconds, timeout};
use crate::exchange::Exchange;
use crate::places::Places;
use crate::report::{cost, rounded};
use cli::{Flags, Outcome, failed, usage};
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One TCP connection to a `serve --sink`, filled for a while: what counts is what arrived.
pub fn run(flags: &Flags) -> Outcome {
    let (to, from) = Places::read(flags)?.only().ok_or_else(|| usage("exactly one --to is needed"))?;
    let limits = Limits { duration: seconds(flags)?, bytes: flags.parsed("bytes")?.unwrap_or(u64::MAX) };
    let timeout = timeout(flags)?;
    let (socket, _) =
        Exchange { byte: None, timeout }.tcp(to, from).map_err(failed(format!("cannot connect to {to}")))?;
    socket.set_read_timeout(Some(timeout)).map_err(failed("cannot set a time-out"))?;
    let start = Instant::now();
    let arrived = fill(socket.into(), &limits, start).map_err(failed(format!("{to} did not take it all")))?;
    println!("{}", Value::Object(report(arrived, start.elapsed())));
    Ok(ExitCode::SUCCESS)
}

struct Limits {
    duration: Duration,
    bytes: u64,
}

/// Returns how many bytes the other side has seen.
fn fill(mut stream: TcpStream, limits: &Limits, start: Instant) -> io::Result<u64> {
    let buffer = vec![0; BUFFER_BYTES];
    let mut left = limits.bytes;
    while left > 0 && start.elapsed() < limits.duration {
        let part = left.min(BUFFER_BYTES as u64) as usize;
        left -= stream.write(&buffer[..part])? as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    Ok(u64::from_be_bytes(answer))
}

fn report(arrived: u64, elapsed: Duration) -> Map<String, Value> {
    let mut report = Map::new();
    let seconds = elapsed.as_secs_f64();
    report.insert("bytes".into(), json!(arrived));
    report.insert("seconds".into(), json!(rounded(seconds)));
    report.insert("gbitPerSecond".into(), json!(rounded(arrived as f64 * 8.0 / 1e9 / seconds)));
    report.extend(cost());
    report
}

pub const VALUES: &[&str] = &["to", "from", "seconds", "bytes", "timeout-ms"];

const BUFFER_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink;
    use std::net::TcpListener;

    #[test]
    fn what_arrived_is_what_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = std::thread::spawn(move || sink::drain(listener.accept().unwrap().0));
        let limits = Limits { duration: Duration::from_secs(10), bytes: 300_001 };
        assert_eq!(fill(stream, &limits, Instant::now()).unwrap(), 300_001);
        server.join().unwrap();
        let report = report(1_000_000_000, Duration::from_secs(4));
        assert_eq!((&report["bytes"], &report["gbitPerSecond"]), (&json!(1_000_000_000), &json!(2.0)));
    }
}
