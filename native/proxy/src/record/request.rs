//! What is noted of a request while it is under way; told when it is over, however it ended.

use super::clock::Moment;
use super::labels::Labels;
use super::line;
use super::metrics::Done;
use crate::client::body::Progress;
use crate::client::connection::Client;
use crate::filter::Slot;
use crate::table::listener::Listener;
use crate::trace::Span;
use crate::upstream::cluster::Cluster;
use crate::variable::Variable;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Uri, Version};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Record {
    pub client: Rc<Client>,
    pub began: Instant,
    pub labels: Option<Arc<Labels>>,
    pub method: Method,
    /// 0: the client has gone before there was one.
    pub status: u16,
    pub sent_bytes: u64,
    pub body: Option<Rc<Progress>>,
    pub upstream: Option<Upstream>,
    pub entry: Option<Box<Entry>>,
    /// Of one that is traced.
    pub span: Option<Box<Span>>,
    /// Of a client who may have so many requests at once: given back with the last who holds it.
    pub slot: Option<Rc<Slot>>,
    /// The header fields of the backend's response are kept.
    pub keeps_answer: bool,
    waits: bool,
}

/// The last endpoint that it was tried with.
pub struct Upstream {
    pub address: SocketAddr,
    pub cluster: Arc<Cluster>,
    pub began: Instant,
    pub connect: Option<Duration>,
    pub header: Option<Duration>,
    pub status: Option<u16>,
    /// Of its response, where somebody wants to know.
    pub headers: Option<HeaderMap>,
}

/// What the access log needs besides.
pub struct Entry {
    pub listener: Arc<Listener>,
    pub uri: Uri,
    pub version: Version,
    pub authority: HeaderValue,
    pub host: String,
    pub address: IpAddr,
    pub headers: HeaderMap,
    pub request_id: HeaderValue,
}

impl Record {
    pub fn new(client: Rc<Client>) -> Box<Record> {
        Box::new(Record {
            client,
            began: Instant::now(),
            labels: None,
            method: Method::GET,
            status: 0,
            sent_bytes: 0,
            body: None,
            upstream: None,
            entry: None,
            span: None,
            waits: false,
            slot: None,
            keeps_answer: false,
        })
    }

    pub fn received_bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.taken.get())
    }

    /// What is known of it before and after its response. None: nothing, or it is no such variable.
    pub fn value(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        let labels = self.labels.as_deref();
        let upstream = self.upstream.as_ref();
        Some(match variable {
            Variable::Status if self.status > 0 => self.status.to_string().into(),
            Variable::BytesSent => self.sent_bytes.to_string().into(),
            Variable::RequestLength => self.received_bytes().to_string().into(),
            Variable::RequestTime => line::seconds(self.began.elapsed()).to_string().into(),
            Variable::TimeLocal => Moment::now().local().into(),
            Variable::TimeIso8601 => Moment::now().iso8601().into(),
            Variable::Msec => Moment::now().msec().into(),
            Variable::Namespace => labels?.namespace.as_str().into(),
            Variable::IngressName => labels?.ingress.as_str().into(),
            Variable::ServiceName => labels?.service.as_str().into(),
            Variable::ServicePort => labels?.port.as_str().into(),
            Variable::LocationPath => labels?.path.as_str().into(),
            Variable::ServerName => labels?.host.as_str().into(),
            Variable::UpstreamName => upstream?.cluster.row.row.name.as_str().into(),
            Variable::UpstreamAddr => upstream?.address.to_string().into(),
            Variable::UpstreamStatus => upstream?.status?.to_string().into(),
            Variable::UpstreamTime => line::seconds(upstream?.began.elapsed()).to_string().into(),
            Variable::UpstreamLength => upstream.map(|_| self.sent_bytes.to_string())?.into(),
            Variable::UpstreamHeader(name) => {
                String::from_utf8_lossy(upstream?.headers.as_ref()?.get(name)?.as_bytes())
            }
            _ => return None,
        })
    }

    /// A piece of the response waits for the client, or does not any more.
    pub fn wait(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waits, waits) != waits {
            let conduct = &self.client.conduct;
            if waits { conduct.waits() } else { conduct.goes() }
        }
    }

    /// A piece of the response is on its way.
    pub fn gave(&mut self, octets: usize) {
        self.sent_bytes += octets as u64;
        self.client.conduct.serves(octets);
    }

    fn log(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let Some(rule) = entry.listener.http().and_then(|http| http.access_log.as_ref()) else { return };
        let thread = &self.client.thread;
        let sampled = rule.sample <= 1 || thread.chance() % u64::from(rule.sample) == 0;
        if !(sampled || self.status >= 500) {
            return;
        }
        let text = match &rule.format {
            Some(format) => line::text(format, self, &entry),
            None => line::json(self, &entry),
        };
        if !thread.log.write(text) {
            thread.metrics.lock().log_lost += 1;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.client.exchanges.end();
        self.client.conduct.serves(0);
        self.wait(false);
        if self.status == 0 {
            self.client.conduct.reset(self.began.elapsed(), self.client.seen.get());
            self.status = 499; // nginx's word for it
        }
        let upstream = self.upstream.as_ref();
        let done = Done {
            labels: self.labels.as_ref(),
            method: &self.method,
            status: self.status,
            took: self.began.elapsed(),
            connect: upstream.and_then(|upstream| upstream.connect),
            header: upstream.and_then(|upstream| upstream.header),
            response: upstream.map(|upstream| upstream.began.elapsed()),
            received_bytes: self.received_bytes(),
            sent_bytes: self.sent_bytes,
        };
        self.client.thread.metrics.lock().add(&done);
        self.log();
        if let Some(span) = self.span.take() {
            span.end(self);
        }
    }
}
