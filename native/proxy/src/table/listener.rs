//! A listener's row, read.

use super::Problem;
use crate::filter::compression::Compression;
use crate::tls::server::Ends;
use crate::trace::Tracing;
use crate::variable::Template;
use hyper::header::{HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use wire::network::Network;
use wire::proxy::{self, Serves};

pub struct Listener {
    pub name: Arc<str>,
    pub addresses: Vec<SocketAddr>,
    pub serves: Kind,
    /// Whose connections begin with a header of the PROXY protocol, and how long it may take.
    pub proxy_protocol: Vec<Network>,
    pub proxy_protocol_timeout: Duration,
    pub drain: Duration,
}

pub enum Kind {
    Http(Http),
    Https(Http, Ends),
    Tcp(Relayed),
    Udp(Relayed),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Relayed {
    pub cluster: String,
    pub connect: Duration,
    pub idle: Duration,
    /// To each datagram; 0: any number.
    pub responses: u32,
}

pub struct Http {
    pub trusted: Vec<Network>,
    pub forwarded_header: HeaderName,
    pub append_forwarded: bool,
    pub head_max_bytes: usize,
    pub header_fields_max: usize,
    pub head_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub requests_max: u32,
    pub streams_max: u32,
    pub underscores: bool,
    pub server: Option<HeaderValue>,
    pub compression: Option<Compression>,
    pub access_log: Option<AccessLog>,
    pub quiet_paths: Vec<String>,
    pub tracing: Option<Tracing>,
}

pub struct AccessLog {
    /// None: JSON.
    pub format: Option<Template>,
    pub sample: u32,
    /// It has header fields of backends' responses.
    pub keeps_answer: bool,
}

impl AccessLog {
    fn new(row: &proxy::AccessLog) -> Result<AccessLog, Problem> {
        let format = row.format.as_deref().map(Template::new).transpose()?;
        let keeps_answer = format.as_ref().is_some_and(Template::reads_answer);
        Ok(AccessLog { format, sample: row.sample, keeps_answer })
    }
}

impl Listener {
    pub fn new(row: &proxy::Listener) -> Result<Listener, Problem> {
        let serves = match &row.serves {
            Serves::Http(http) => Kind::Http(Http::new(http)?),
            Serves::Https(https) => Kind::Https(Http::new(&https.http)?, Ends::new(https)?),
            Serves::Tcp(relayed) => Kind::Tcp(Relayed::new(relayed)),
            Serves::Udp(relayed) => Kind::Udp(Relayed::new(relayed)),
        };
        if matches!(serves, Kind::Udp(_)) && !row.proxy_protocol.is_empty() {
            return Err(Problem::new("UDP has no PROXY protocol (proxyProtocol)", "leave it empty"));
        }
        Ok(Listener {
            name: row.name.as_str().into(),
            addresses: row.addresses.iter().map(|address| SocketAddr::new(*address, row.port)).collect(),
            serves,
            proxy_protocol: networks(&row.proxy_protocol)?,
            proxy_protocol_timeout: milliseconds(row.proxy_protocol_timeout_ms),
            drain: milliseconds(row.drain_ms),
        })
    }

    /// Both cannot be there.
    pub fn takes(&self, address: SocketAddr, udp: bool) -> bool {
        self.is_udp() == udp && self.addresses.contains(&address)
    }

    pub fn is_udp(&self) -> bool {
        matches!(self.serves, Kind::Udp(_))
    }

    /// None: it takes octets as they are.
    pub fn http(&self) -> Option<&Http> {
        match &self.serves {
            Kind::Http(http) | Kind::Https(http, _) => Some(http),
            Kind::Tcp(_) | Kind::Udp(_) => None,
        }
    }

    pub fn relayed(&self) -> Option<&Relayed> {
        match &self.serves {
            Kind::Tcp(relayed) | Kind::Udp(relayed) => Some(relayed),
            Kind::Http(_) | Kind::Https(..) => None,
        }
    }
}

impl Http {
    fn new(row: &proxy::Http) -> Result<Http, Problem> {
        Ok(Http {
            trusted: networks(&row.trusted)?,
            forwarded_header: HeaderName::from_bytes(row.forwarded_header.as_bytes()).map_err(|_| {
                let reason = format!("forwardedHeader {:?} is no name of a header field", row.forwarded_header);
                Problem::new(reason, "write it as X-Forwarded-For")
            })?,
            append_forwarded: row.append_forwarded,
            head_max_bytes: (row.head_max_bytes as usize).clamp(HEAD_MIN_BYTES, HEAD_MAX_BYTES),
            header_fields_max: usize::from(row.header_fields_max).clamp(1, FIELDS_MAX),
            head_timeout: milliseconds(row.head_timeout_ms),
            body_timeout: milliseconds(row.body_timeout_ms),
            idle_timeout: milliseconds(row.idle_timeout_ms),
            requests_max: row.requests_max.max(1),
            streams_max: row.streams_max.max(1),
            access_log: row.access_log.as_ref().map(AccessLog::new).transpose()?,
            compression: row.compression.as_ref().map(Compression::new),
            quiet_paths: row.quiet_paths.clone(),
            tracing: row.tracing.as_ref().map(Tracing::new).transpose()?,
            underscores: row.underscores,
            server: match row.server.as_str() {
                "" => None,
                text => Some(HeaderValue::from_str(text).map_err(|_| {
                    Problem::new(format!("server {text:?} cannot be sent"), "use visible ASCII characters")
                })?),
            },
        })
    }

    pub fn trusts(&self, client: IpAddr) -> bool {
        !self.trusted.is_empty() && holds(&self.trusted, client)
    }
}

impl Relayed {
    fn new(row: &proxy::Relayed) -> Relayed {
        Relayed {
            cluster: row.cluster.clone(),
            connect: milliseconds(row.connect_ms),
            idle: milliseconds(row.idle_ms),
            responses: row.responses,
        }
    }
}

fn milliseconds(time: u32) -> Duration {
    Duration::from_millis(time.into())
}

pub fn holds(networks: &[Network], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.holds(client))
}

pub fn networks(texts: &[String]) -> Result<Vec<Network>, Problem> {
    let network = |text: &String| {
        Network::parse(text).ok_or_else(|| Problem::new(format!("{text:?} is no network"), "write it as 10.0.0.0/8"))
    };
    texts.iter().map(network).collect()
}

const HEAD_MIN_BYTES: usize = 256;
const HEAD_MAX_BYTES: usize = 1 << 20;
const FIELDS_MAX: usize = 1000;
