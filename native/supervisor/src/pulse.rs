//! Asks our own /health every second: how long it takes tells how busy this process is (CoreDNS's plugin/health).

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

#[derive(Default)]
pub struct Pulse {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    failures: AtomicU64,
}

/// Ended when dropped.
pub struct Beat(JoinHandle<()>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pulse {
    /// `address` is that of the page; none: every one.
    pub fn begin(&self, address: Option<IpAddr>, port: u16) -> Beat {
        let ip = match address {
            Some(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            Some(ip) if !ip.is_unspecified() => ip,
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        let counts = self.counts.clone();
        Beat(tokio::spawn(async move {
            let mut tick = interval(PERIOD);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let began = Instant::now();
                let asked = timeout(LIMIT, ask(SocketAddr::new(ip, port))).await;
                counts.add(began.elapsed(), matches!(asked, Ok(Ok(()))));
            }
        }))
    }

    /// Prometheus text.
    pub fn render(&self, text: &mut String, prefix: &str) {
        let Counts { buckets, sum_us, failures } = &*self.counts;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let name = format!("{prefix}_duration_seconds");
        let help = "Histogram of the time (in seconds) each request took.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut total = 0;
        for (bound, bucket) in BUCKETS_US.iter().zip(buckets) {
            total += load(bucket);
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {total}", *bound as f64 / 1e6);
        }
        total += buckets.last().map_or(0, load);
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}");
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {total}", load(sum_us) as f64 / 1e6);
        let name = format!("{prefix}_failures_total");
        let help = "The number of times the health check failed.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", load(failures));
    }
}

impl Counts {
    fn add(&self, took: Duration, well: bool) {
        let us = took.as_micros() as u64;
        let bucket = BUCKETS_US.iter().position(|most| us <= *most).unwrap_or(BUCKETS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(!well), Ordering::Relaxed);
    }
}

/// Ok: it answered, whatever it said.
async fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.") { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

const PERIOD: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(3);
const ANSWER_MAX_BYTES: u64 = 4096;
/// CoreDNS's SlimTimeBuckets.
const BUCKETS_US: [u64; 5] = [250, 2_500, 25_000, 250_000, 2_500_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_answer_is_counted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = tokio::join!(ask(address), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.0 503 no\r\n\r\n").await.unwrap();
        });
        assert!(answered.0.is_ok());
        drop(listener);
        assert!(ask(address).await.is_err());
        let pulse = Pulse::default();
        pulse.counts.add(Duration::from_millis(1), true);
        pulse.counts.add(Duration::from_secs(3), false);
        let mut text = String::new();
        pulse.render(&mut text, "p");
        for line in ["p_duration_seconds_bucket{le=\"0.0025\"} 1", "p_duration_seconds_count 2", "p_failures_total 1"] {
            assert!(text.lines().any(|held| held == line), "{line}\n{text}");
        }
    }
}
