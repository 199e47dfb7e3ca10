use crate::grpc::Answer;
use crate::identity::Identity;
use crate::replay::Replay;
use crate::tcp::{Ends, Stop};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

pub async fn serve_http1(stream: Replay, ends: Ends, identity: Arc<Identity>, stop: Stop) {
    let service = service_fn(|request| answer(request, ends, identity.clone(), stop.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADERS_MAX_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopped = stop.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

pub async fn serve_http2(stream: Replay, ends: Ends, identity: Arc<Identity>, stop: Stop) {
    let service = service_fn(|request| answer(request, ends, identity.clone(), stop.clone()));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(IDLE / 2).keep_alive_timeout(IDLE / 2);
    builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEADERS_MAX_BYTES as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopped = stop.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    mut request: Request<Incoming>,
    ends: Ends,
    identity: Arc<Identity>,
    mut stop: Stop,
) -> Result<Response<Answer>, Infallible> {
    if value(request.headers(), CONTENT_TYPE).starts_with("application/grpc") {
        let answer = match request.uri().path() {
            "/grpc.health.v1.Health/Check" => Answer::serving(None),
            "/grpc.health.v1.Health/Watch" => Answer::serving(Some(Box::pin(async move {
                let _ = stop.wait_for(|stop| *stop).await;
            }))),
            _ => Answer::unimplemented(),
        };
        return Ok(typed("application/grpc", answer));
    }
    let received_bytes = read_away(request.body_mut()).await;
    let page = page(&request, received_bytes, ends, &identity);
    if value(request.headers(), ACCEPT).contains("application/json") {
        return Ok(typed("application/json", Answer::page(format!("{}\n", Value::Object(page)))));
    }
    Ok(typed("text/plain; charset=utf-8", Answer::page(text(&page))))
}

fn page(request: &Request<Incoming>, received_bytes: u64, ends: Ends, identity: &Identity) -> Map<String, Value> {
    let mut page = Map::new();
    let mut put = |name: &str, value: Value| page.insert(name.to_string(), value);
    put("pod", json!(identity.pod));
    put("namespace", json!(identity.namespace));
    put("node", json!(identity.node));
    put("peer", json!(ends.peer.to_string()));
    put("local", json!(ends.local.to_string()));
    put("method", json!(request.method().as_str()));
    put("path", json!(request.uri().path_and_query().map_or("/", |path| path.as_str())));
    put("version", json!(format!("{:?}", request.version())));
    if received_bytes > 0 {
        put("receivedBytes", json!(received_bytes));
    }
    let host = request.uri().authority().map(|authority| ("host".to_string(), json!(authority.as_str())));
    let headers = request.headers().iter().filter(|(name, _)| shown(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))));
    put("headers", Value::Object(host.into_iter().chain(headers).collect()));
    for (name, value) in &identity.names {
        put(name, json!(value));
    }
    page
}

fn text(page: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in page {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(name, value)| text += &line(name, value)),
            value => text += &line(name, value),
        }
    }
    text
}

fn line(name: &str, value: &Value) -> String {
    match value {
        Value::String(value) => format!("{name}: {value}\n"),
        value => format!("{name}: {value}\n"),
    }
}

/// What proxies add, and what tells virtual hosts and clients apart.
fn shown(name: &str) -> bool {
    name.starts_with("x-") || matches!(name, "host" | "user-agent" | "forwarded" | "via" | "traceparent" | "cookie")
}

/// Reads a body to its end, so that the connection can be used again. Returns its size.
async fn read_away(body: &mut Incoming) -> u64 {
    let mut size = 0;
    while size < BODY_MAX_BYTES {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            Some(Ok(frame)) => size += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => break,
        }
    }
    size
}

fn typed(kind: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn value(headers: &HeaderMap, name: hyper::header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

const IDLE: Duration = Duration::from_secs(60);
const HEADERS_MAX_BYTES: usize = 16 * 1024;
const BODY_MAX_BYTES: u64 = 1024 * 1024;
const STREAMS_MAX: u32 = 128;
