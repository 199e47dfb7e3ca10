//! grpc.health.v1.Health/Check over HTTP/2 with prior knowledge.

use crate::connect;
use crate::http::Once;
use crate::request::Question;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::poll_fn;
use std::pin::Pin;

pub async fn ask(question: &Question) -> Result<String, String> {
    let service = question.service.as_deref().unwrap_or("");
    let request = request(question, service)?;
    let stream = TokioIo::new(connect(question).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .map_err(|error| format!("no HTTP/2: {error}"))?;
    let connection = tokio::spawn(connection);
    let result = async {
        let answer = sender.send_request(request).await.map_err(|error| format!("no gRPC answer: {error}"))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("HTTP {}: not a gRPC server", answer.status()));
        }
        let (head, mut body) = answer.into_parts();
        let (message, trailers) = read(&mut body).await?;
        verdict(&head.headers, &message, &trailers)
    }
    .await;
    connection.abort();
    result
}

fn request(question: &Question, service: &str) -> Result<Request<Once>, String> {
    let host = question.host.trim_matches(['[', ']']);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let uri = format!("http://{host}:{}/grpc.health.v1.Health/Check", question.port);
    let mut request = Request::new(Once::of(check(service)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.parse().map_err(|error| format!("{uri}: {error}"))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, HeaderValue::from_static("kube-probe/fairlead"));
    Ok(request)
}

/// The length-prefixed message HealthCheckRequest { service = 1 }.
fn check(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

async fn read(body: &mut Incoming) -> Result<(Vec<u8>, HeaderMap), String> {
    let (mut message, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|error| format!("gRPC answer broke off: {error}"))?;
        match frame.into_data() {
            Ok(data) if message.len() + data.len() > MESSAGE_MAX_BYTES => return Err("gRPC answer too long".into()),
            Ok(data) => message.extend_from_slice(&data),
            Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
        }
    }
    Ok((message, trailers))
}

/// A failed call says so in trailers, or in headers when it has no message ("Trailers-Only").
fn verdict(headers: &HeaderMap, message: &[u8], trailers: &HeaderMap) -> Result<String, String> {
    let told = |name: &str| trailers.get(name).or_else(|| headers.get(name)).and_then(|value| value.to_str().ok());
    match told("grpc-status") {
        Some("0") => {}
        Some(status) => return Err(format!("gRPC status {status}: {}", told("grpc-message").unwrap_or("no message"))),
        None => return Err("no grpc-status in the answer".into()),
    }
    match serving_status(message) {
        Some(1) => Ok("SERVING".into()),
        Some(2) => Err("NOT_SERVING".into()),
        Some(3) => Err("SERVICE_UNKNOWN".into()),
        Some(_) => Err("UNKNOWN".into()),
        None => Err("the answer is no HealthCheckResponse".into()),
    }
}

/// HealthCheckResponse { status = 1 }, unknown fields refused; an empty message is status 0.
fn serving_status(framed: &[u8]) -> Option<u64> {
    let (prefix, message) = framed.split_at_checked(5)?;
    if prefix[0] != 0 || u32::from_be_bytes(prefix[1..].try_into().ok()?) as usize != message.len() {
        return None;
    }
    match message {
        [] => Some(0),
        [0x08, status @ 0..=0x7f] => Some((*status).into()),
        _ => None,
    }
}

const MESSAGE_MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(check(""), [0, 0, 0, 0, 0]);
        assert_eq!(check("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(check(&"x".repeat(200))[5..8], [0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_serving_is_success() {
        let mut ok = HeaderMap::new();
        ok.insert("grpc-status", HeaderValue::from_static("0"));
        let none = HeaderMap::new();
        assert_eq!(verdict(&none, &[0, 0, 0, 0, 2, 8, 1], &ok), Ok("SERVING".into()));
        for message in
            [&[0, 0, 0, 0, 2, 8, 2][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 3, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &[]]
        {
            assert!(verdict(&none, message, &ok).is_err(), "{message:?}");
        }
        let mut failed = HeaderMap::new();
        failed.insert("grpc-status", HeaderValue::from_static("12"));
        assert!(verdict(&failed, &[], &none).unwrap_err().contains("12"));
        assert!(verdict(&none, &[0, 0, 0, 0, 2, 8, 1], &none).is_err());
    }
}
