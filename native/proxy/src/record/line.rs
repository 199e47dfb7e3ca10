//! A line of the access log.

use super::clock::Moment;
use super::request::{Entry, Record};
use crate::filter::basic::user;
use crate::table::condition::cookie;
use crate::variable::{Template, Values, Variable, percent_encoded};
use hyper::Version;
use serde_json::json;
use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

/// One object.
pub fn json(record: &Record, entry: &Entry) -> String {
    let header = |name: &str| entry.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let labels = record.labels.as_deref();
    let upstream = record.upstream.as_ref();
    let line = json!({
        "time": Moment::now().iso8601(),
        "remote_addr": entry.address.to_string(),
        "method": record.method.as_str(),
        "scheme": record.client.scheme(),
        "host": entry.host,
        "uri": target(entry),
        "protocol": protocol(entry.version),
        "status": record.status,
        "request_length": record.received_bytes(),
        "bytes_sent": record.sent_bytes,
        "request_time": seconds(record.began.elapsed()),
        "user_agent": header("user-agent"),
        "referer": header("referer"),
        "request_id": String::from_utf8_lossy(entry.request_id.as_bytes()),
        "namespace": labels.map(|labels| &labels.namespace),
        "ingress": labels.map(|labels| &labels.ingress),
        "service": labels.map(|labels| &labels.service),
        "upstream_addr": upstream.map(|upstream| upstream.address.to_string()),
        "upstream_status": upstream.and_then(|upstream| upstream.status),
        "upstream_response_time": upstream.map(|upstream| seconds(upstream.began.elapsed())),
    });
    format!("{line}\n")
}

/// As the format says, with what could end the line or a quoted part written as `\xHH`, as nginx does.
pub fn text(format: &Template, record: &Record, entry: &Entry) -> String {
    let mut line = format.render(&Logged { record, entry });
    line.push('\n');
    line
}

struct Logged<'a> {
    record: &'a Record,
    entry: &'a Entry,
}

impl Values for Logged<'_> {
    fn value(&self, variable: &Variable) -> Cow<'_, str> {
        match self.known(variable) {
            Some(value) if value.is_empty() => Cow::Borrowed("-"),
            Some(value) => escaped(value),
            None => Cow::Borrowed("-"),
        }
    }
}

impl Logged<'_> {
    fn known(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let (record, entry) = (self.record, self.entry);
        let client = &record.client;
        let header = |name: &str| Some(String::from_utf8_lossy(entry.headers.get(name)?.as_bytes()));
        Some(match variable {
            Variable::Scheme => client.scheme().into(),
            Variable::Host => entry.host.as_str().into(),
            Variable::HttpHost => entry.authority.to_str().ok()?.into(),
            Variable::RequestUri => target(entry).into(),
            Variable::Uri => entry.uri.path().into(),
            Variable::Args => entry.uri.query()?.into(),
            Variable::IsArgs => entry.uri.query().map_or("", |_| "?").into(),
            Variable::RemoteAddr => entry.address.to_string().into(),
            Variable::RemotePort => client.peer.port().to_string().into(),
            Variable::RequestMethod => record.method.as_str().into(),
            Variable::Request => format!("{} {} {}", record.method, target(entry), protocol(entry.version)).into(),
            Variable::Protocol => protocol(entry.version).into(),
            Variable::ServerPort => client.local.port().to_string().into(),
            Variable::ServerAddr => client.local.ip().to_string().into(),
            Variable::RequestId => entry.request_id.to_str().ok()?.into(),
            Variable::Https => if client.tls.is_some() { "on" } else { "" }.into(),
            Variable::EscapedRequestUri => percent_encoded(target(entry)).into(),
            Variable::RemoteUser => user(&entry.headers)?.into(),
            Variable::Header(name) => header(name)?,
            Variable::Cookie(name) => cookie(&entry.headers, name)?.into(),
            Variable::Argument(name) => {
                let mut pairs = entry.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(held, _)| held == name)?.1.into()
            }
            Variable::Tls(said) => client.tls.as_ref()?.say(*said),
            Variable::Nothing => return None,
            _ => return record.value(variable),
        })
    }
}

fn target(entry: &Entry) -> &str {
    entry.uri.path_and_query().map_or("/", |target| target.as_str())
}

pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// With three digits.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn escaped(text: Cow<'_, str>) -> Cow<'_, str> {
    let special = |c: char| c.is_control() || matches!(c, '"' | '\\');
    if !text.contains(special) {
        return text;
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match special(c) {
            true => drop(write!(plain, "\\x{:02X}", c as u32)),
            false => plain.push(c),
        }
    }
    plain.into()
}
