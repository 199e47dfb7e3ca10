//! Where requests end.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
#[cfg(test)]
use ts_rs::TS;

/// What is known of its endpoints (ejections, connections, who is stuck to which) outlives a change of this row. Without an
/// endpoint: 503. One whose endpoints are all draining sends to those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Cluster {
    pub name: String,
    pub protocol: BackendProtocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub tls: Option<BackendTls>,
    pub balance: Balance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sticky: Option<StickyCookie>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub ejection: Option<Ejection>,
    pub circuit: Circuit,
    pub keep_alive: KeepAlive,
    /// Where this proxy is. When every endpoint says for which zones it is meant, and one is meant for this zone, those that
    /// are get the requests, as kube-proxy has it (KEP-2433).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub proxy_protocol: Option<ProxyVersion>,
    /// Its endpoints are the addresses of this name, looked up again and again, instead of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub resolve: Option<Resolve>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum BackendProtocol {
    Http1,
    /// With prior knowledge, or ALPN over TLS. gRPC.
    Http2,
    /// For `Relayed` and `Shows::Passthrough`.
    Raw,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct BackendTls {
    /// SNI, and the name that the certificate is to have; absent: no SNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub server_name: Option<String>,
    pub verify: VerifyBackend,
    /// Certificates between the backend's and the authority's, at most (OpenSSL's depth); absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub depth: Option<u8>,
    /// Of table `secrets`: the certificate shown to the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub certificate: Option<String>,
    pub protocols: Vec<super::TlsVersion>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum VerifyBackend {
    /// As ingress-nginx does unless told otherwise.
    Nothing,
    /// By certificates of table `secrets`.
    Trust(String),
    /// By those of the system.
    System,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum Balance {
    RoundRobin,
    /// Of two chosen by chance, that with fewer requests under way, weighed by how long they take.
    LeastRequest,
    /// Consistent, by this text with `$variables`: whoever goes takes only his own share with him.
    Hash(String),
}

/// The cookie names an endpoint, not its address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct StickyCookie {
    pub name: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub domain: Option<String>,
    /// Absent: for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub max_age_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub expires_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub same_site: Option<SameSite>,
    /// Absent: on TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub secure: Option<bool>,
    /// A client whose endpoint failed gets another for good.
    pub change_on_failure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(TS))]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// An endpoint that fails (no connection, 502, 503, 504) so often in a row is passed over for a while, longer each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Ejection {
    pub failures: u32,
    pub base_ms: u32,
    pub max_ms: u32,
    /// Of the cluster's endpoints; above, none more is passed over.
    pub max_percent: u8,
}

/// Above: 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Circuit {
    pub connections_max: u32,
    /// Under way.
    pub requests_max: u32,
}

/// Of connections to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct KeepAlive {
    /// Idle ones of one endpoint and thread.
    pub connections: u32,
    pub idle_ms: u32,
    pub requests_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(TS))]
pub enum ProxyVersion {
    V1,
    V2,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Resolve {
    /// As resolv.conf says, search domains included; or an address. While it cannot be looked up, its last addresses stay.
    pub name: String,
    pub port: u16,
    /// At most so often, at least every five minutes; in between, when the answer's TTL is over.
    pub every_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Endpoint {
    pub cluster: String,
    pub address: IpAddr,
    pub port: u16,
    pub weight: u32,
    /// For which it is meant; absent: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub zones: Vec<String>,
    /// It gets nothing new but what is stuck to it; requests and upgraded connections under way go on. So it is with one that
    /// was removed, too.
    pub draining: bool,
    /// For log and metrics: a pod's name.
    pub label: String,
}
