//! Traces: W3C trace context made or continued, and spans for an OpenTelemetry collector.

mod context;
mod export;
mod otlp;

pub use export::metrics;

use crate::client::scene::Scene;
use crate::record::request::Record;
use crate::table::Problem;
use context::{Context, TRACEPARENT, TRACESTATE};
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::Uri;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::proxy;

/// A row, read.
pub struct Tracing {
    pub always: bool,
    sample_ppm: u32,
    trust_parent: bool,
    collector: Arc<Collector>,
}

/// Where spans go, and whose they are.
#[derive(PartialEq, Eq)]
pub struct Collector {
    /// Host and port.
    pub authority: String,
    pub host: String,
    pub port: u16,
    pub path: String,
    pub service: String,
    /// Its certificate is to be good for the host, by the authorities of this machine.
    pub secure: bool,
    /// gRPC, else Protobuf in requests of HTTP/1.1.
    pub grpc: bool,
}

/// A request that is traced, and sampled.
pub struct Span {
    pub context: Context,
    pub began_ns: u64,
    pub ended_ns: u64,
    pub name: String,
    pub attributes: Vec<(&'static str, Value)>,
    pub failed: bool,
    pub collector: Arc<Collector>,
}

pub enum Value {
    Text(String),
    Number(i64),
}

impl Tracing {
    pub fn new(row: &proxy::Tracing) -> Result<Tracing, Problem> {
        let remedy = "write it as http://collector.example:4318/v1/traces";
        let schemes = "http, https, grpc or grpcs";
        let wrong = || Problem::new(format!("tracing.endpoint {:?} is no URL of {schemes}", row.endpoint), remedy);
        let uri: Uri = row.endpoint.parse().map_err(|_| wrong())?;
        let (secure, grpc) = match uri.scheme_str() {
            Some("http") => (false, false),
            Some("https") => (true, false),
            Some("grpc") => (false, true),
            Some("grpcs") => (true, true),
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let collector = Collector {
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_string(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            path: if grpc { EXPORT.into() } else { uri.path_and_query().map_or("/", |path| path.as_str()).into() },
            service: row.service.clone(),
            secure,
            grpc,
        };
        Ok(Tracing {
            always: row.always,
            sample_ppm: row.sample_ppm,
            trust_parent: row.trust_parent,
            collector: Arc::new(collector),
        })
    }

    /// Puts the context into a request; a span, if it is sampled. `route`: what the request is counted under.
    pub fn begin(&self, scene: &Scene<'_>, route: &str, headers: &mut HeaderMap) -> Option<Box<Span>> {
        let parent = if self.trust_parent { Context::read(headers) } else { None };
        let thread = &scene.client.thread;
        let context = match parent {
            Some(parent) => parent.child(thread.chance()),
            None => Context::root([thread.chance(), thread.chance()], thread.chance(), self.sample_ppm),
        };
        headers.insert(TRACEPARENT, context.header());
        if context.state.is_empty() {
            headers.remove(TRACESTATE);
        }
        if !context.sampled {
            return None;
        }
        let text = |value: &str| Value::Text(value.to_string());
        let mut attributes = vec![
            ("http.request.method", text(scene.asked.method.as_str())),
            ("url.scheme", text(scene.scheme())),
            ("url.path", text(scene.asked.path)),
            ("server.address", text(scene.host)),
            ("client.address", Value::Text(scene.origin.address.to_string())),
            ("http.route", text(route)),
        ];
        if let Some(agent) = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()) {
            attributes.push(("user_agent.original", text(agent)));
        }
        Some(Box::new(Span {
            context,
            began_ns: now_ns(),
            ended_ns: 0,
            name: format!("{} {route}", scene.asked.method),
            attributes,
            failed: false,
            collector: self.collector.clone(),
        }))
    }
}

impl Span {
    /// The request is over.
    pub fn end(mut self: Box<Self>, record: &Record) {
        self.ended_ns = now_ns();
        self.failed = record.status >= 500;
        self.attributes.push(("http.response.status_code", Value::Number(record.status.into())));
        if let Some(labels) = &record.labels {
            // As ingress-nginx names them.
            for (name, value) in [
                ("ingress.namespace", &labels.namespace),
                ("ingress.name", &labels.ingress),
                ("ingress.service_name", &labels.service),
            ] {
                self.attributes.push((name, Value::Text(value.clone())));
            }
        }
        if let Some(upstream) = &record.upstream {
            self.attributes.push(("ingress.upstream", Value::Text(upstream.cluster.row.row.name.clone())));
            self.attributes.push(("network.peer.address", Value::Text(upstream.address.ip().to_string())));
        }
        export::send(self);
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// As the header of a context.
fn hex(octets: &[u8], text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for octet in octets {
        text.push(char::from(HEX[usize::from(octet >> 4)]));
        text.push(char::from(HEX[usize::from(octet & 15)]));
    }
}

/// What is visible is what can be sent.
fn sendable(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("hex digits can be sent")
}

/// opentelemetry/proto/collector/trace/v1/trace_service.proto.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
