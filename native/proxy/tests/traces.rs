//! W3C trace context through the proxy, and spans as a collector reads them: with the types that OpenTelemetry publishes.

mod common;

use common::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Spans, each with the service it is of.
type Taken = Arc<Mutex<Vec<(String, Span)>>>;

fn collector() -> (SocketAddr, Taken) {
    let taken: Taken = Arc::default();
    let held = taken.clone();
    let backend = Backend::raw(move |mut client| {
        assert_eq!(client.line(), "POST /v1/traces HTTP/1.1");
        let head = std::iter::from_fn(|| Some(client.line()).filter(|line| !line.is_empty()));
        let fields: Vec<String> = head.map(|line| line.to_ascii_lowercase()).collect();
        assert!(fields.iter().any(|field| field == "content-type: application/x-protobuf"), "{fields:?}");
        let length = fields.iter().find_map(|field| field.strip_prefix("content-length: ")?.parse().ok()).unwrap();
        let request = ExportTraceServiceRequest::decode(&client.exactly(length)[..]).unwrap();
        for of_resource in request.resource_spans {
            let service = text(&of_resource.resource.unwrap().attributes, "service.name").unwrap();
            for scoped in of_resource.scope_spans {
                assert_eq!(scoped.scope.unwrap().name, "fairlead");
                held.lock().unwrap().extend(scoped.spans.into_iter().map(|span| (service.clone(), span)));
            }
        }
        client.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    (backend.address, taken)
}

fn value(attributes: &[KeyValue], name: &str) -> Option<Any> {
    attributes.iter().find(|pair| pair.key == name)?.value.clone()?.value
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    match value(attributes, name)? {
        Any::StringValue(text) => Some(text),
        other => panic!("{name} is {other:?}"),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// `service` tells spans of this test from others, which go the same way.
fn traced(backend: &Backend, service: &str, collector: SocketAddr, more: Value) -> Server {
    let mut tracing = json!({ "endpoint": format!("http://{collector}/v1/traces"), "service": service, "always": true,
        "samplePpm": 1_000_000, "trustParent": true });
    more.as_object().unwrap().iter().for_each(|(name, value)| tracing[name] = value.clone());
    let mut rows = to(backend.address);
    rows[0].1["labels"] = json!({ "namespace": "n", "ingress": "i", "service": "s", "path": "/shop" });
    Server::with(&listener(json!({ "http": set(http(), "/tracing", tracing) })), &rows)
}

fn ask(server: &Server, path: &str, fields: &str) {
    server.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n"));
}

#[test]
fn a_trace_is_continued_and_its_span_told() {
    let backend = Backend::answering(|got| match got.line.contains("/fail") {
        true => Some("HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n".into()),
        false => ok("hi"),
    });
    let (address, taken) = collector();
    let server = traced(&backend, "continued", address, json!({}));
    ask(
        &server,
        "/p?q=secret",
        &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\nUser-Agent: t\r\n"),
    );
    let sent = backend.last().header("traceparent").unwrap().to_string();
    assert_eq!((&sent[..36], &sent[52..]), (&PARENT[..36], "-01"), "the same trace");
    assert_ne!(&sent[36..52], &PARENT[36..52], "by a span of its own");
    let states: Vec<_> = backend.last().headers.iter().filter(|(name, _)| name == "tracestate").cloned().collect();
    assert_eq!(states.len(), 2, "{states:?}");
    ask(&server, "/fail", &format!("traceparent: {}\r\n", PARENT.replace("-01", "-00")));
    assert!(
        backend.last().header("traceparent").unwrap().ends_with("-00"),
        "whoever began the trace did not sample it"
    );
    ask(&server, "/fail", "");
    eventually("both spans", || taken.lock().unwrap().len() == 2);
    let mut spans = taken.lock().unwrap().clone();
    spans.sort_by_key(|(_, span)| span.start_time_unix_nano); // told when they are over
    let (service, span) = &spans[0];
    assert_eq!((service.as_str(), span.name.as_str(), span.kind), ("continued", "GET /shop", 2));
    assert_eq!(hex(&span.trace_id), PARENT[3..35]);
    assert_eq!((hex(&span.span_id), hex(&span.parent_span_id)), (sent[36..52].to_string(), PARENT[36..52].to_string()));
    assert_eq!(span.trace_state, "a=1,b=2");
    assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
    for (name, wanted) in [
        ("http.request.method", "GET"),
        ("url.path", "/p"),
        ("url.scheme", "http"),
        ("server.address", "a"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "t"),
        ("ingress.namespace", "n"),
        ("ingress.name", "i"),
        ("ingress.service_name", "s"),
        ("ingress.upstream", "c"),
    ] {
        assert_eq!(text(&span.attributes, name).as_deref(), Some(wanted), "{name}");
    }
    assert!(matches!(value(&span.attributes, "http.response.status_code"), Some(Any::IntValue(200))));
    assert_eq!(span.status, None);
    let (_, failed) = &spans[1];
    assert_eq!((failed.status.as_ref().unwrap().code, failed.parent_span_id.len()), (2, 0));
    assert_eq!(hex(&failed.trace_id), backend.last().header("traceparent").unwrap()[3..35]);
}

#[test]
fn who_is_not_believed_begins_no_trace_and_a_route_may_have_none() {
    let backend = Backend::plain();
    let (address, taken) = collector();
    let mut server = traced(&backend, "own", address, json!({ "trustParent": false, "samplePpm": 0 }));
    ask(&server, "/", &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n"));
    let got = backend.last();
    let sent = got.header("traceparent").unwrap();
    assert!(sent[3..35] != PARENT[3..35] && sent.ends_with("-00"), "{sent}");
    assert_eq!(got.header("tracestate"), None);
    let quiet = set(to(backend.address)[0].1.clone(), "/filters", json!({ "tracing": false }));
    server.change(&[("route", quiet)], &[]);
    ask(&server, "/", &format!("traceparent: {PARENT}\r\n"));
    assert_eq!(backend.last().header("traceparent"), Some(PARENT), "it is passed on as it came");
    let server = traced(&backend, "own", address, json!({ "always": false }));
    ask(&server, "/", "");
    assert_eq!(backend.last().header("traceparent"), None);
    // What was not to be told would have come before this one.
    let server = traced(&backend, "own", address, json!({}));
    ask(&server, "/", "");
    eventually("the span", || !taken.lock().unwrap().is_empty());
    let trace = backend.last().header("traceparent").unwrap()[3..35].to_string();
    let told: Vec<String> = taken.lock().unwrap().iter().map(|(_, span)| hex(&span.trace_id)).collect();
    assert_eq!(told, [trace]);
}

#[test]
fn a_collector_that_is_gone_costs_its_spans_only() {
    let backend = Backend::plain();
    let server = traced(&backend, "lost", nobody(), json!({}));
    for _ in 0..10 {
        assert_eq!(server.get("a", "/").status, 200);
    }
    let mut worker = server.worker;
    let failed = |worker: &mut dyn supervisor::Worker| {
        let text = worker.ask(&wire::protocol::Question::Metrics).unwrap();
        let name = "fairlead_proxy_spans_total{result=\"failed\"} ";
        let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name)).unwrap().to_string();
        line.parse::<u64>().unwrap()
    };
    eventually("they are counted", || failed(&mut *worker) >= 10);
}
