//! Counts of what was asked and answered, under CoreDNS's names. Each serving thread counts in a lane of its own, so that no
//! two of them write to one cache line.

use crate::packet;
use crate::reply::Transport;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of one zone of one server block.
pub struct Counters {
    /// `server="dns://:53",zone=".",view=""`.
    labels: String,
    lanes: Box<[Lane]>,
}

#[repr(align(128))]
struct Lane {
    requests: [[[AtomicU64; TYPES.len()]; 2]; PROTOCOLS.len()],
    responses: [[AtomicU64; CODES.len()]; PLUGINS.len()],
    durations: [AtomicU64; DURATIONS_US.len() + 1],
    duration_ns: AtomicU64,
    dnssec_ok: AtomicU64,
    request_sizes: [Sizes; PROTOCOLS.len()],
    response_sizes: [Sizes; PROTOCOLS.len()],
}

#[derive(Default)]
struct Sizes {
    buckets: [AtomicU64; SIZES.len() + 1],
    sum: AtomicU64,
}

/// One query and its answer.
pub struct Exchange {
    pub transport: Transport,
    pub ipv6: bool,
    pub kind: u16,
    /// The DO bit of the query.
    pub dnssec_ok: bool,
    pub request_bytes: usize,
    /// 0: there was no answer.
    pub response_bytes: usize,
    pub code: u16,
    /// Index into `PLUGINS`.
    pub plugin: usize,
    pub took: Duration,
}

impl Counters {
    pub fn new(server: &str, zone: &str) -> Counters {
        let labels = format!("server=\"{server}\",zone=\"{zone}\",view=\"\"");
        Counters { labels, lanes: (0..LANES).map(|_| Lane::new()).collect() }
    }

    pub fn add(&self, lane: usize, exchange: &Exchange) {
        let (lane, protocol) = (&self.lanes[lane % LANES], exchange.transport as usize);
        let kind = TYPES.iter().position(|(number, _)| *number == exchange.kind).unwrap_or(TYPES.len() - 1);
        add(&lane.requests[protocol][usize::from(exchange.ipv6)][kind], 1);
        add(&lane.dnssec_ok, exchange.dnssec_ok.into());
        lane.request_sizes[protocol].add(exchange.request_bytes);
        if exchange.response_bytes == 0 {
            return;
        }
        add(&lane.responses[exchange.plugin][usize::from(exchange.code).min(CODES.len() - 1)], 1);
        lane.response_sizes[protocol].add(exchange.response_bytes);
        let us = exchange.took.as_micros() as u64;
        let bucket = DURATIONS_US.iter().position(|most| us <= *most).unwrap_or(DURATIONS_US.len());
        add(&lane.durations[bucket], 1);
        add(&lane.duration_ns, exchange.took.as_nanos() as u64);
    }

    fn sum(&self, of: impl Fn(&Lane) -> &AtomicU64) -> u64 {
        self.lanes.iter().map(|lane| of(lane).load(Ordering::Relaxed)).sum()
    }
}

impl Lane {
    fn new() -> Lane {
        fn zeros<T: Default, const N: usize>() -> [T; N] {
            std::array::from_fn(|_| T::default())
        }
        Lane {
            requests: std::array::from_fn(|_| std::array::from_fn(|_| zeros())),
            responses: std::array::from_fn(|_| zeros()),
            durations: zeros(),
            duration_ns: AtomicU64::new(0),
            dnssec_ok: AtomicU64::new(0),
            request_sizes: zeros(),
            response_sizes: zeros(),
        }
    }
}

impl Sizes {
    fn add(&self, bytes: usize) {
        let bucket = SIZES.iter().position(|most| bytes <= *most).unwrap_or(SIZES.len());
        add(&self.buckets[bucket], 1);
        add(&self.sum, bytes as u64);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Prometheus text of all server blocks.
pub fn render<'a>(blocks: impl Iterator<Item = &'a Counters> + Clone) -> String {
    let mut text = String::new();
    head(
        &mut text,
        "coredns_dns_requests_total",
        "counter",
        "Counter of DNS requests made per zone, protocol and family.",
    );
    for block in blocks.clone() {
        for (protocol, name) in PROTOCOLS.iter().enumerate() {
            for (family, number) in ["1", "2"].iter().enumerate() {
                for (kind, (_, kind_name)) in TYPES.iter().enumerate() {
                    let count = block.sum(|lane| &lane.requests[protocol][family][kind]);
                    if count > 0 {
                        let labels =
                            format!("{},proto=\"{name}\",family=\"{number}\",type=\"{kind_name}\"", block.labels);
                        line(&mut text, "coredns_dns_requests_total", &labels, count);
                    }
                }
            }
        }
    }
    let name = "coredns_dns_do_requests_total";
    head(&mut text, name, "counter", "Counter of DNS requests with DO bit set per zone.");
    for block in blocks.clone() {
        line(&mut text, name, &block.labels, block.sum(|lane| &lane.dnssec_ok));
    }
    head(&mut text, "coredns_dns_responses_total", "counter", "Counter of response status codes.");
    for block in blocks.clone() {
        for (plugin, plugin_name) in PLUGINS.iter().enumerate() {
            for (code, code_name) in CODES.iter().enumerate() {
                let count = block.sum(|lane| &lane.responses[plugin][code]);
                if count > 0 {
                    let labels = format!("{},rcode=\"{code_name}\",plugin=\"{plugin_name}\"", block.labels);
                    line(&mut text, "coredns_dns_responses_total", &labels, count);
                }
            }
        }
    }
    let name = "coredns_dns_request_duration_seconds";
    head(&mut text, name, "histogram", "Histogram of the time (in seconds) each request took per zone.");
    for block in blocks.clone() {
        let counts: Vec<u64> = (0..=DURATIONS_US.len()).map(|at| block.sum(|lane| &lane.durations[at])).collect();
        let sum = block.sum(|lane| &lane.duration_ns) as f64 / 1e9;
        histogram(&mut text, name, &block.labels, DURATIONS_US.map(|us| us as f64 / 1e6).as_slice(), &counts, sum);
    }
    for (name, help, request) in [
        (
            "coredns_dns_request_size_bytes",
            "Size of the EDNS0 UDP buffer in bytes (64K for TCP) per zone and protocol.",
            true,
        ),
        ("coredns_dns_response_size_bytes", "Size of the returned response in bytes.", false),
    ] {
        head(&mut text, name, "histogram", help);
        for block in blocks.clone() {
            for (protocol, protocol_name) in PROTOCOLS.iter().enumerate() {
                let sizes = |pick: &dyn Fn(&Sizes) -> u64| -> u64 {
                    let each = block.lanes.iter();
                    each.map(|lane| {
                        pick(if request { &lane.request_sizes[protocol] } else { &lane.response_sizes[protocol] })
                    })
                    .sum()
                };
                let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                let counts: Vec<u64> = (0..=SIZES.len()).map(|at| sizes(&|sizes| load(&sizes.buckets[at]))).collect();
                if counts.iter().any(|count| *count > 0) {
                    let labels = format!("{},proto=\"{protocol_name}\"", block.labels);
                    let sum = sizes(&|sizes| load(&sizes.sum)) as f64;
                    histogram(&mut text, name, &labels, SIZES.map(|size| size as f64).as_slice(), &counts, sum);
                }
            }
        }
    }
    text
}

pub fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}

pub fn histogram(text: &mut String, name: &str, labels: &str, bounds: &[f64], counts: &[u64], sum: f64) {
    let mut total = 0;
    for (bound, count) in bounds.iter().zip(counts) {
        total += count;
        line(text, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), total);
    }
    total += counts.last().unwrap_or(&0);
    line(text, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), total);
    line(text, &format!("{name}_sum"), labels, sum);
    line(text, &format!("{name}_count"), labels, total);
}

/// What may have given an answer; the first is nothing in particular.
pub const PLUGINS: [&str; 12] =
    ["", "kubernetes", "forward", "cache", "hosts", "file", "template", "any", "chaos", "whoami", "acl", "local"];

/// Index into `PLUGINS`.
pub const FILE: usize = 5;

/// The types that CoreDNS tells apart; of the others, `other`.
pub const TYPES: [(u16, &str); 17] = [
    (packet::A, "A"),
    (packet::AAAA, "AAAA"),
    (packet::SRV, "SRV"),
    (packet::PTR, "PTR"),
    (packet::TXT, "TXT"),
    (packet::SOA, "SOA"),
    (packet::NS, "NS"),
    (packet::CNAME, "CNAME"),
    (packet::MX, "MX"),
    (65, "HTTPS"),
    (43, "DS"),
    (48, "DNSKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (50, "NSEC3"),
    (packet::ANY, "ANY"),
    (0, "other"),
];
pub const CODES: [&str; 7] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "OTHER"];
/// As `Transport` numbers them.
pub const PROTOCOLS: [&str; 3] = ["udp", "tcp", "tls"];
pub const DURATIONS_US: [u64; 16] = {
    let mut bounds = [250; 16];
    let mut at = 1;
    while at < 16 {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
};
const SIZES: [usize; 14] = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000];
const LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_coredns_names() {
        let counters = Counters::new("dns://:53", ".");
        let mut exchange = Exchange {
            transport: Transport::Udp,
            ipv6: false,
            kind: packet::A,
            dnssec_ok: true,
            request_bytes: 40,
            response_bytes: 120,
            code: packet::NO_ERROR,
            plugin: 1,
            took: Duration::from_micros(300),
        };
        counters.add(0, &exchange);
        (exchange.kind, exchange.code, exchange.plugin) = (999, packet::NAME_ERROR, 2);
        counters.add(17, &exchange);
        let text = render([&counters].into_iter());
        for line in [
            r#"coredns_dns_requests_total{server="dns://:53",zone=".",view="",proto="udp",family="1",type="A"} 1"#,
            r#"coredns_dns_requests_total{server="dns://:53",zone=".",view="",proto="udp",family="1",type="other"} 1"#,
            r#"coredns_dns_do_requests_total{server="dns://:53",zone=".",view=""} 2"#,
            r#"coredns_dns_responses_total{server="dns://:53",zone=".",view="",rcode="NOERROR",plugin="kubernetes"} 1"#,
            r#"coredns_dns_responses_total{server="dns://:53",zone=".",view="",rcode="NXDOMAIN",plugin="forward"} 1"#,
            r#"coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",view="",le="0.00025"} 0"#,
            r#"coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",view="",le="0.0005"} 2"#,
            r#"coredns_dns_response_size_bytes_count{server="dns://:53",zone=".",view="",proto="udp"} 2"#,
        ] {
            assert!(text.lines().any(|held| held == line), "{line}\n{text}");
        }
    }
}
