//! The thread that sends spans to collectors, by OTLP over HTTP or gRPC. It starts with the first span; whoever is sampled never
//! waits for it: what does not fit into its queue is lost, and counted.

use super::otlp::encode;
use super::{Collector, Span};
use crate::client::body::RequestBody;
use crate::executor::LocalExecutor;
use crate::tls::client::BackendEnd;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST, TE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wire::proxy::BackendProtocol;

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
        let why = match timeout(PATIENCE, post(collector, &octets)).await {
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
                    "proxy: traces are lost: the collector {at}: {}; see that it takes OTLP over {} there",
                    why.0,
                    match (collector.grpc, collector.secure) {
                        (true, true) => "gRPC with TLS",
                        (true, false) => "gRPC",
                        (false, true) => "HTTPS",
                        (false, false) => "HTTP",
                    }
                );
            }
            return;
        }
        sleep(wait).await;
        wait *= 2;
    }
}

/// Returns the status, of gRPC as HTTP would have it.
async fn post(collector: &Collector, octets: &Bytes) -> Result<StatusCode, String> {
    let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await.map_err(|e| e.to_string())?;
    if !collector.secure {
        return exchange(stream, collector, octets).await;
    }
    let protocol = if collector.grpc { BackendProtocol::Http2 } else { BackendProtocol::Http1 };
    let tls = BackendEnd::trusted(&collector.host, protocol);
    let address = stream.peer_addr().map_err(|error| error.to_string())?.ip();
    let stream = tls.connect(stream, address).await.map_err(|error| format!("TLS: {error}"))?;
    exchange(stream, collector, octets).await
}

async fn exchange<T>(stream: T, collector: &Collector, octets: &Bytes) -> Result<StatusCode, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = |error: hyper::Error| error.to_string();
    let io = TokioIo::new(stream);
    let request = Request::post(collector.path.as_str());
    if !collector.grpc {
        let (mut sender, connection) = http1::handshake(io).await.map_err(wrong)?;
        let driving = spawn_local(connection);
        let request = request
            .header(HOST, collector.authority.as_str())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(RequestBody::Whole(Some(octets.clone())))
            .map_err(|error| error.to_string())?;
        let answered = sender.send_request(request).await.map(|response| response.status());
        driving.abort();
        return answered.map_err(wrong);
    }
    let (mut sender, connection) = http2::handshake(LocalExecutor, io).await.map_err(wrong)?;
    let driving = spawn_local(connection);
    let scheme = if collector.secure { "https" } else { "http" };
    // Not compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
    let message = [&[0][..], &(octets.len() as u32).to_be_bytes(), octets].concat();
    let request = request
        .uri(format!("{scheme}://{}{}", collector.authority, collector.path))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(RequestBody::Whole(Some(message.into())))
        .map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(wrong)?;
        match response.status() {
            StatusCode::OK => result(response).await,
            status => Ok(status),
        }
    };
    let answered = answered.await;
    driving.abort();
    answered
}

/// What grpc-status says: in the trailers, or, where there is no message, in the head.
async fn result(response: Response<Incoming>) -> Result<StatusCode, String> {
    let (head, mut body) = response.into_parts();
    let mut fields = head.headers;
    let mut octets = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        octets += frame.data_ref().map_or(0, Bytes::len);
        if octets > ANSWER_MAX_BYTES {
            return Err("its answer is too long".to_string());
        }
        if let Ok(trailers) = frame.into_trailers() {
            fields.extend(trailers);
        }
    }
    let field = |name: &str| fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match field("grpc-status") {
        "0" => Ok(StatusCode::OK),
        // Cancelled, deadline, resources, aborted, out of range, unavailable, data loss: may be tried again (OTLP/gRPC, Failures).
        "1" | "4" | "8" | "10" | "11" | "14" | "15" => Ok(StatusCode::SERVICE_UNAVAILABLE),
        "12" => Ok(StatusCode::NOT_IMPLEMENTED),
        "16" => Ok(StatusCode::UNAUTHORIZED),
        "7" => Ok(StatusCode::FORBIDDEN),
        _ => Ok(StatusCode::BAD_REQUEST),
    }
}

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
const SPANS: &str = "fairlead_proxy_spans_total";
const QUEUE_MAX: usize = 2048;
const BATCH_MAX: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const ANSWER_MAX_BYTES: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);
