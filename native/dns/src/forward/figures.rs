//! What upstreams do, under CoreDNS's names. An upstream that a new Corefile names again counts on.

use crate::metrics::{CODES, DURATIONS_US, head, histogram, line};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Of one upstream.
#[derive(Default)]
pub struct Figures {
    durations: [[AtomicU64; DURATIONS_US.len() + 1]; CODES.len()],
    duration_ns: [AtomicU64; CODES.len()],
    failed_checks: AtomicU64,
    /// Connections that were there, and that were not.
    cached: [[AtomicU64; 2]; PROTOS.len()],
}

#[derive(Clone, Copy)]
pub enum Proto {
    Udp,
    Tcp,
    Tls,
}

impl Figures {
    pub fn of(to: SocketAddr) -> Arc<Figures> {
        let mut held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if held.len() >= HELD_MAX {
            held.retain(|_, figures| Arc::strong_count(figures) > 1);
        }
        held.entry(to).or_default().clone()
    }

    pub fn answered(&self, code: u16, took: Duration) {
        let code = usize::from(code).min(CODES.len() - 1);
        let us = took.as_micros() as u64;
        let bucket = DURATIONS_US.iter().position(|most| us <= *most).unwrap_or(DURATIONS_US.len());
        add(&self.durations[code][bucket], 1);
        add(&self.duration_ns[code], took.as_nanos() as u64);
    }

    pub fn check_failed(&self) {
        add(&self.failed_checks, 1);
    }

    pub fn cached(&self, proto: Proto, hit: bool) {
        add(&self.cached[proto as usize][usize::from(!hit)], 1);
    }
}

/// Prometheus text.
pub fn render(text: &mut String) {
    let held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let name = "coredns_proxy_request_duration_seconds";
    head(text, name, "histogram", "Histogram of the time each request took.");
    for (to, figures) in &*held {
        for (code, code_name) in CODES.iter().enumerate() {
            let counts: Vec<u64> = figures.durations[code].iter().map(load).collect();
            if counts.iter().any(|count| *count > 0) {
                let labels = format!("proxy_name=\"forward\",to=\"{to}\",rcode=\"{code_name}\"");
                let sum = load(&figures.duration_ns[code]) as f64 / 1e9;
                histogram(text, name, &labels, &DURATIONS_US.map(|us| us as f64 / 1e6), &counts, sum);
            }
        }
    }
    let name = "coredns_proxy_healthcheck_failures_total";
    head(text, name, "counter", "Counter of the number of failed healthchecks.");
    for (to, figures) in held.iter().filter(|(_, figures)| load(&figures.failed_checks) > 0) {
        line(text, name, &format!("proxy_name=\"forward\",to=\"{to}\""), load(&figures.failed_checks));
    }
    for (which, what) in ["hits", "misses"].iter().enumerate() {
        let name = format!("coredns_proxy_conn_cache_{what}_total");
        head(text, &name, "counter", &format!("Counter of connection cache {what} per upstream and protocol."));
        for (to, figures) in &*held {
            for (proto, proto_name) in PROTOS.iter().enumerate() {
                let count = load(&figures.cached[proto][which]);
                if count > 0 {
                    let labels = format!("proxy_name=\"forward\",to=\"{to}\",proto=\"{proto_name}\"");
                    line(text, &name, &labels, count);
                }
            }
        }
    }
    for (name, help, count) in [
        (
            "coredns_forward_healthcheck_broken_total",
            "Counter of the number of complete failures of the healthchecks.",
            &ALL_DOWN,
        ),
        (
            "coredns_forward_max_concurrent_rejects_total",
            "Counter of the number of queries rejected because the concurrent queries were at maximum.",
            &REJECTED,
        ),
    ] {
        head(text, name, "counter", help);
        *text += &format!("{name} {}\n", load(count));
    }
}

fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

/// Queries when all upstreams were down.
pub static ALL_DOWN: AtomicU64 = AtomicU64::new(0);
/// Queries that were too many at a time.
pub static REJECTED: AtomicU64 = AtomicU64::new(0);
static HELD: Mutex<BTreeMap<SocketAddr, Arc<Figures>>> = Mutex::new(BTreeMap::new());
/// More than that are kept only while they are asked.
const HELD_MAX: usize = 256;
/// As `Proto` numbers them.
const PROTOS: [&str; 3] = ["udp", "tcp", "tcp-tls"];
