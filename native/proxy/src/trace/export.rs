//! The thread that sends spans to collectors, by OTLP over HTTP. It starts with the first span; whoever is sampled never
//! waits for it: what does not fit into its queue is lost, and counted.

use super::otlp::encode;
use super::{Collector, Span};
use crate::client::body::RequestBody;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub fn send(span: Box<Span>) {
    static QUEUE: LazyLock<mpsc::Sender<Box<Span>>> = LazyLock::new(begin);
    if QUEUE.try_send(span).is_err() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Prometheus text.
pub fn metrics() -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# HELP {SPANS} Spans of traced requests, by what became of them");
    let _ = writeln!(text, "# TYPE {SPANS} counter");
    for (result, count) in [("exported", &EXPORTED), ("failed", &FAILED), ("dropped", &DROPPED)] {
        let _ = writeln!(text, "{SPANS}{{result=\"{result}\"}} {}", count.load(Relaxed));
    }
    text
}

fn begin() -> mpsc::Sender<Box<Span>> {
    let (sender, received) = mpsc::channel(QUEUE_MAX);
    let work = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(received)),
        Err(error) => eprintln!("proxy: no traces are sent: {error}"),
    };
    if let Err(error) = std::thread::Builder::new().name("traces".to_string()).spawn(work) {
        eprintln!("proxy: no traces are sent: {error}");
    }
    sender
}

async fn run(mut received: mpsc::Receiver<Box<Span>>) {
    let mut well = true;
    while let Some(first) = received.recv().await {
        let mut batch = vec![*first];
        let until = Instant::now() + DELAY;
        while batch.len() < BATCH_MAX {
            let Ok(Some(span)) = timeout_at(until, received.recv()).await else { break };
            batch.push(*span);
        }
        while let Some(collector) = batch.first().map(|span| span.collector.clone()) {
            let (own, rest) = batch.into_iter().partition(|span| span.collector == collector);
            batch = rest;
            deliver(&collector, own, &mut well).await;
        }
    }
}

async fn deliver(collector: &Arc<Collector>, spans: Vec<Span>, well: &mut bool) {
    let octets = Bytes::from(encode(collector, &spans));
    let mut wait = FIRST_WAIT;
    for last in [false, false, true] {
        let why = match timeout(PATIENCE, post(collector, octets.clone())).await {
            Ok(Ok(status)) if status.is_success() => {
                EXPORTED.fetch_add(spans.len() as u64, Relaxed);
                if !std::mem::replace(well, true) {
                    eprintln!("proxy: the collector {} takes traces again", collector.authority);
                }
                return;
            }
            // What a collector does not want it does not want later either (OTLP, Failures).
            Ok(Ok(status)) if !matches!(status.as_u16(), 429 | 502..=504) => (format!("status {status}"), true),
            Ok(Ok(status)) => (format!("status {status}"), last),
            Ok(Err(error)) => (error, last),
            Err(_) => ("no answer in time".to_string(), last),
        };
        if why.1 {
            FAILED.fetch_add(spans.len() as u64, Relaxed);
            if std::mem::replace(well, false) {
                let at = &collector.authority;
                eprintln!(
                    "proxy: traces are lost: the collector {at}: {}; see that it takes OTLP over HTTP there",
                    why.0
                );
            }
            return;
        }
        sleep(wait).await;
        wait *= 2;
    }
}

async fn post(collector: &Collector, octets: Bytes) -> Result<StatusCode, String> {
    let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driving = spawn_local(connection);
    let request = Request::post(collector.path.as_str())
        .header(HOST, collector.authority.as_str())
        .header(CONTENT_TYPE, "application/x-protobuf")
        .body(RequestBody::Whole(Some(octets)))
        .map_err(|error| error.to_string())?;
    let answered = sender.send_request(request).await.map(|response| response.status());
    driving.abort();
    answered.map_err(|error| error.to_string())
}

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
const SPANS: &str = "fairlead_proxy_spans_total";
const QUEUE_MAX: usize = 2048;
const BATCH_MAX: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
