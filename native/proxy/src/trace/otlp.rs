//! Spans as octets: ExportTraceServiceRequest of opentelemetry-proto 1.x, in protobuf's wire format.

use super::{Collector, Span, Value};

pub fn encode(collector: &Collector, spans: &[Span]) -> Vec<u8> {
    let mut resource = Vec::new();
    message(&mut resource, 1, &attribute("service.name", &Value::Text(collector.service.clone())));
    let mut scope = Vec::new();
    text(&mut scope, 1, "fairlead");
    text(&mut scope, 2, env!("CARGO_PKG_VERSION"));
    let mut scoped = Vec::new();
    message(&mut scoped, 1, &scope);
    for span in spans {
        message(&mut scoped, 2, &encode_span(span));
    }
    let mut of_resource = Vec::new();
    message(&mut of_resource, 1, &resource);
    message(&mut of_resource, 2, &scoped);
    let mut request = Vec::new();
    message(&mut request, 1, &of_resource);
    request
}

fn encode_span(span: &Span) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, &span.context.trace);
    message(&mut out, 2, &span.context.span);
    text(&mut out, 3, &span.context.state);
    if let Some(parent) = &span.context.parent {
        message(&mut out, 4, parent);
    }
    text(&mut out, 5, &span.name);
    number(&mut out, 6, SERVER);
    fixed(&mut out, 7, span.began_ns);
    fixed(&mut out, 8, span.ended_ns.max(span.began_ns));
    for (name, value) in &span.attributes {
        message(&mut out, 9, &attribute(name, value));
    }
    if span.failed {
        let mut status = Vec::new();
        number(&mut status, 3, ERROR);
        message(&mut out, 15, &status);
    }
    out
}

/// KeyValue, with an AnyValue.
fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Value::Text(value) => message(&mut any, 1, value.as_bytes()), // there even if it is empty
        Value::Number(value) => number(&mut any, 3, *value as u64),
    }
    let mut pair = Vec::new();
    text(&mut pair, 1, name);
    message(&mut pair, 2, &any);
    pair
}

fn text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        message(out, field, text.as_bytes());
    }
}

/// Whatever has a length.
fn message(out: &mut Vec<u8>, field: u64, octets: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const SERVER: u64 = 2;
const ERROR: u64 = 2;
