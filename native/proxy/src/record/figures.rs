//! Prometheus text under ingress-nginx's names, so that its dashboards go on working.

use super::labels::escaped;
use super::metrics::{Histogram, METHODS, Metrics, Series};
use super::refusals::Refusal;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

/// Prometheus' default buckets, in seconds.
pub const TIMES: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// As ingress-nginx has them, in octets.
pub const LENGTHS: [f64; 10] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];
pub const SIZES: [f64; 7] = [10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7];

pub fn render(threads: &[Arc<Metrics>]) -> String {
    let mut all: BTreeMap<(String, u16, u8), Series> = BTreeMap::new();
    let mut unlabelled: BTreeMap<(u8, u16), u64> = BTreeMap::new();
    let (mut accepted, mut active, mut requests, mut log_lost) = (0, 0, 0, 0);
    let mut flows = 0;
    let mut refused: BTreeMap<(Arc<str>, Refusal), u64> = BTreeMap::new();
    let mut mirrored = [0; 3];
    for thread in threads {
        let mut counts = thread.lock();
        // Of routes that are gone.
        counts.series.retain(|_, series| series.labels.strong_count() > 0);
        for ((_, method, status), series) in &counts.series {
            let Some(labels) = series.labels.upgrade() else { continue };
            let held = all.entry((labels.text.clone(), *status, *method)).or_insert_with(|| Series::empty(&labels));
            held.merge(series);
        }
        counts.unlabelled.iter().for_each(|(key, count)| *unlabelled.entry(*key).or_default() += count);
        accepted += counts.accepted;
        active += counts.active;
        requests += counts.requests;
        log_lost += counts.log_lost;
        flows += counts.flows;
        counts.refused.iter().for_each(|(key, count)| *refused.entry(key.clone()).or_default() += count);
        mirrored.iter_mut().zip(counts.mirrored).for_each(|(all, own)| *all += own);
    }
    let own = own_labels();
    let labels = |(text, status, method): &(String, u16, u8)| {
        format!("{own}{text},method=\"{}\",status=\"{status}\"", METHODS[usize::from(*method)])
    };
    let mut text = String::new();
    head(&mut text, "requests", "counter", "The total number of client requests");
    for (key, series) in &all {
        let _ = writeln!(text, "{PREFIX}requests{{{}}} {}", labels(key), series.requests);
    }
    for ((method, status), count) in unlabelled {
        let key =
            ("host=\"_\",path=\"\",namespace=\"\",ingress=\"\",service=\"\",canary=\"\"".to_string(), status, method);
        let _ = writeln!(text, "{PREFIX}requests{{{}}} {count}", labels(&key));
    }
    histogram(&mut text, "request_duration_seconds", "The request processing time", &all, &labels, &TIMES, |s| {
        &s.request_time
    });
    histogram(
        &mut text,
        "response_duration_seconds",
        "The time spent on receiving the response from the upstream server",
        &all,
        &labels,
        &TIMES,
        |s| &s.response_time,
    );
    histogram(
        &mut text,
        "header_duration_seconds",
        "The time spent on receiving first header from the upstream server",
        &all,
        &labels,
        &TIMES,
        |s| &s.header_time,
    );
    histogram(
        &mut text,
        "connect_duration_seconds",
        "The time spent on establishing a connection with the upstream server",
        &all,
        &labels,
        &TIMES,
        |s| &s.connect_time,
    );
    histogram(&mut text, "request_size", "The request length", &all, &labels, &LENGTHS, |s| &s.request_size);
    histogram(&mut text, "response_size", "The response length", &all, &labels, &LENGTHS, |s| &s.response_size);
    histogram(&mut text, "bytes_sent", "The number of bytes sent to a client", &all, &labels, &SIZES, |s| {
        &s.bytes_sent
    });
    process(&mut text, &own, accepted, active, requests);
    let _ = writeln!(text, "# TYPE fairlead_proxy_access_log_lost_total counter");
    let _ = writeln!(text, "fairlead_proxy_access_log_lost_total {log_lost}");
    let _ = writeln!(text, "# TYPE fairlead_proxy_udp_flows gauge\nfairlead_proxy_udp_flows {flows}");
    let _ = writeln!(text, "# TYPE fairlead_proxy_connections_refused_total counter");
    for ((listener, why), count) in refused {
        let labels = format!("listener=\"{}\",reason=\"{}\"", escaped(&listener), why.label());
        let _ = writeln!(text, "fairlead_proxy_connections_refused_total{{{labels}}} {count}");
    }
    let _ = writeln!(text, "# TYPE fairlead_proxy_mirrored_total counter");
    for (result, count) in ["sent", "failed", "dropped"].iter().zip(mirrored) {
        let _ = writeln!(text, "fairlead_proxy_mirrored_total{{result=\"{result}\"}} {count}");
    }
    text
}

fn histogram<const N: usize>(
    text: &mut String,
    name: &str,
    help: &str,
    all: &BTreeMap<(String, u16, u8), Series>,
    labels: &impl Fn(&(String, u16, u8)) -> String,
    most: &[f64; N],
    of: impl Fn(&Series) -> &Histogram<N>,
) {
    head(text, name, "histogram", help);
    for (key, series) in all {
        let (histogram, labels) = (of(series), labels(key));
        if histogram.count == 0 {
            continue;
        }
        let mut sum = 0;
        for (bucket, most) in histogram.buckets.iter().zip(most) {
            sum += bucket;
            let _ = writeln!(text, "{PREFIX}{name}_bucket{{{labels},le=\"{most}\"}} {sum}");
        }
        let _ = writeln!(text, "{PREFIX}{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count);
        let _ = writeln!(text, "{PREFIX}{name}_sum{{{labels}}} {}", histogram.sum);
        let _ = writeln!(text, "{PREFIX}{name}_count{{{labels}}} {}", histogram.count);
    }
}

fn process(text: &mut String, own: &str, accepted: u64, active: u64, requests: u64) {
    let own = own.trim_end_matches(',');
    let with = |more: &str| if own.is_empty() { more.to_string() } else { format!("{own},{more}") };
    head(text, "nginx_process_connections", "gauge", "current number of client connections");
    let _ = writeln!(text, "{PREFIX}nginx_process_connections{{{}}} {active}", with("state=\"active\""));
    head(text, "nginx_process_connections_total", "counter", "total number of connections");
    for state in ["accepted", "handled"] {
        let labels = with(&format!("state=\"{state}\""));
        let _ = writeln!(text, "{PREFIX}nginx_process_connections_total{{{labels}}} {accepted}");
    }
    let mut plain = |name: &str, kind: &str, help: &str, value: f64| {
        head(text, name, kind, help);
        let _ = writeln!(text, "{PREFIX}{name}{{{own}}} {value}");
    };
    plain("nginx_process_requests_total", "counter", "total number of client requests", requests as f64);
    plain("nginx_process_num_procs", "gauge", "number of processes", 1.0);
    let resident = fs::read_to_string("/proc/self/statm").ok();
    let pages = resident.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<f64>().ok());
    if let Some(pages) = pages {
        plain("nginx_process_resident_memory_bytes", "gauge", "number of bytes of memory in use", pages * 4096.0);
    }
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let ticks = stat.as_deref().and_then(|text| {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split(' ').collect();
        Some(fields.get(12)?.parse::<f64>().ok()? + fields.get(13)?.parse::<f64>().ok()?)
    });
    if let Some(ticks) = ticks {
        plain("nginx_process_cpu_seconds_total", "counter", "Cpu usage in seconds", ticks / 100.0);
    }
}

/// Which controller it is, as ingress-nginx says it: the pod, from its environment.
fn own_labels() -> String {
    let mut text = String::new();
    for (label, variable) in [("controller_namespace", "POD_NAMESPACE"), ("controller_pod", "POD_NAME")] {
        if let Ok(value) = std::env::var(variable) {
            let _ = write!(text, "{label}=\"{}\",", escaped(&value));
        }
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
}

const PREFIX: &str = "nginx_ingress_controller_";
