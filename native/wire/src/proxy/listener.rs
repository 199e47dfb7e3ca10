//! Where clients connect, and what holds for all of them there.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
#[cfg(test)]
use ts_rs::TS;

/// Removed: it takes no new connection, and those it has finish (`drainMs`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Listener {
    pub name: String,
    /// `::` is IPv6 only, and left out where the kernel has no IPv6.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub serves: Serves,
    /// PROXY protocol, versions 1 and 2, is required of clients in these networks and taken for payload from all others.
    pub proxy_protocol: Vec<String>,
    /// Until its header is complete; the connection ends.
    pub proxy_protocol_timeout_ms: u32,
    pub drain_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum Serves {
    Http(Http),
    Https(Https),
    /// Octets go to the cluster and back.
    Tcp(Relayed),
    /// A flow is a client's address and port.
    Udp(Relayed),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Relayed {
    pub cluster: String,
    pub connect_ms: u32,
    /// Without an octet or datagram either way.
    pub idle_ms: u32,
    /// Datagrams that a backend answers each of a client's with; then the flow ends. 0: any number.
    pub responses: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Https {
    pub http: Http,
    /// `TLSv1.2`, `TLSv1.3`; at least one.
    pub protocols: Vec<TlsVersion>,
    /// As OpenSSL names them, those that rustls has not are passed over; empty: all that rustls thinks safe.
    pub ciphers: Vec<String>,
    /// RFC 5077, RFC 8446 2.2.
    pub session_tickets: bool,
    /// HTTP/2 by ALPN.
    pub http2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
pub enum TlsVersion {
    #[serde(rename = "TLSv1.2")]
    Tls12,
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Http {
    /// Whose X-Forwarded-*, Forwarded and X-Real-IP are believed; everybody else's are replaced.
    pub trusted: Vec<String>,
    /// The client's address is read from it when a trusted one sends it: `X-Forwarded-For`.
    pub forwarded_header: String,
    /// X-Forwarded-For gets the address of who connected added; else it is that alone.
    pub append_forwarded: bool,
    /// Request line and header fields together, and each alone in HTTP/2 (decoded). Above: 431.
    pub head_max_bytes: u32,
    pub header_fields_max: u16,
    /// Until a request's head is complete. Above: 408.
    pub head_timeout_ms: u32,
    /// Between two pieces of a request's body. Above: 408.
    pub body_timeout_ms: u32,
    /// A connection without a request ends.
    pub idle_timeout_ms: u32,
    /// Then a connection is closed, or told GOAWAY.
    pub requests_max: u32,
    pub streams_max: u32,
    /// Header fields whose name has an underscore are dropped unless this is true.
    pub underscores: bool,
    /// Of responses that the proxy makes itself; empty: none.
    pub server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub compression: Option<Compression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub access_log: Option<AccessLog>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub tracing: Option<Tracing>,
    /// Paths of which no access log is written.
    pub quiet_paths: Vec<String>,
}

/// Of responses whose backend has not encoded them, to clients that accept it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Compression {
    /// The first that the client accepts.
    pub encodings: Vec<Encoding>,
    /// 1 to 9, for each algorithm what comes nearest.
    pub level: u8,
    pub min_bytes: u32,
    /// Media types without parameters; `*` is any.
    pub types: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(TS))]
pub enum Encoding {
    Gzip,
    Br,
    Zstd,
}

/// Lines on standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct AccessLog {
    /// ingress-nginx's `log-format-upstream`: text with `$variables`. Absent: JSON, one object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub format: Option<String>,
    /// One in so many requests; those that end in 5xx all are.
    pub sample: u32,
}

/// W3C trace context, made or continued, and exported by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Tracing {
    /// `http://collector.monitoring:4318/v1/traces`, or https; `grpc://collector.monitoring:4317`, or grpcs.
    pub endpoint: String,
    pub service: String,
    /// Requests whose route says nothing of it are traced, too.
    pub always: bool,
    /// Of traces that begin here, 0 to 1,000,000 of a million.
    pub sample_ppm: u32,
    /// A client's traceparent is continued, and decides.
    pub trust_parent: bool,
}

/// What a TLS client that asks for a host is shown (RFC 6066 3). The host that fits best counts: exact, wildcard, empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Sni {
    pub host: String,
    /// Names of listeners.
    pub listeners: Vec<String>,
    pub shows: Shows,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum Shows {
    Certificate(Shown),
    /// TLS is not ended here: the connection goes to this cluster as it came.
    Passthrough(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Shown {
    /// Of table `secrets`. One that is not there: the handshake ends with unrecognized_name.
    pub certificate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub clients: Option<ClientCertificates>,
}

/// Requests whose Host differs from a name that asks for certificates get 421.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ClientCertificates {
    /// Of table `secrets`: who signs them.
    pub trust: String,
    pub required: ClientCertificate,
    pub depth: u8,
    /// Where a client without a good one is sent; absent: 400, as nginx does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error_page: Option<String>,
    /// The certificate goes to the backend in `ssl-client-cert` (URL encoded PEM), `ssl-client-subject-dn` and so on always.
    pub pass: bool,
    /// A pattern that is found in the subject (RFC 2253), else 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub subject: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum ClientCertificate {
    On,
    Optional,
    OptionalNoCa,
}
