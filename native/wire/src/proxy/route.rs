//! Which request goes where.

use crate::proxy::Filters;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
#[cfg(test)]
use ts_rs::TS;

/// Of the routes of the host that fits best (exact, wildcard, empty), the one with the lowest rank whose path and
/// conditions all match takes the request; of equal ranks, that with the lowest key. None: 404.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Route {
    pub host: String,
    /// Names of listeners.
    pub listeners: Vec<String>,
    pub path: PathMatch,
    pub conditions: Vec<Condition>,
    /// Below 2^53.
    pub rank: u64,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub filters: Option<Box<Filters>>,
    /// Of metrics and log: `namespace`, `ingress`, `service`, `path`; of `$service_port`: `port`.
    pub labels: BTreeMap<String, String>,
}

/// Of the normalised path: percent-encoding of unreserved characters undone, dot segments resolved, slashes merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum PathMatch {
    Exact(String),
    /// By whole elements: `/foo` is `/foo` and `/foo/...`; a slash at its end counts for nothing. `/` is every path.
    Prefix(String),
    /// By octets: `/foo` is `/foobar`, too.
    Start(String),
    /// Anchored at the start. Its groups serve `Replacement::Pattern`.
    Pattern(PathPattern),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct PathPattern {
    pub pattern: String,
    pub ignore_case: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Condition {
    pub on: On,
    /// Without regard to case for headers; empty for `method`. X-Forwarded-* are those that the backend would get: of a
    /// client that is not trusted, the listener's own.
    pub name: String,
    pub value: ValueMatch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum On {
    Method,
    Header,
    Query,
    Cookie,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum ValueMatch {
    Exact(String),
    /// Found anywhere in the value.
    Pattern(String),
    Present,
    Absent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum Action {
    Forward(Box<Forward>),
    Redirect(Redirect),
    Respond(Respond),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Forward {
    /// One is taken by weight; none with a weight: 503. A client that is stuck to an endpoint of one of them stays with it.
    pub clusters: Vec<Weighted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub rewrite: Option<Replacement>,
    /// The backend's Host; absent: as the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub host: Option<String>,
    pub timeouts: Timeouts,
    pub retry: Retry,
    /// Above: 413. Absent: any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub body_max_bytes: Option<u64>,
    /// The whole body is taken (up to `bodyMaxBytes`, at most 1 MiB in memory) before a backend is chosen, so that the
    /// request can be tried again.
    pub buffer_request: bool,
    /// The response is taken from the backend at its own speed, up to so many octets; 0: at the client's.
    pub buffer_response_bytes: u32,
    pub mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Weighted {
    pub cluster: String,
    pub weight: u32,
    /// Only for requests that go to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub filters: Option<Box<Filters>>,
}

/// Of the path; the query stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum Replacement {
    /// What the prefix matched becomes this.
    Prefix(String),
    Full(String),
    /// `$1`, `$2` are groups of the route's pattern. A `?` in it begins a query that the client's is added to.
    Pattern(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Timeouts {
    pub connect_ms: u32,
    /// Between two pieces that the backend sends. Before the response's head: 504.
    pub read_ms: u32,
    /// Between two pieces that the backend takes.
    pub send_ms: u32,
    /// Of the whole request, retries and all; 0: none.
    pub request_ms: u32,
}

/// To another endpoint each time, only while nothing of the response has reached the client, and no more than a fifth of
/// the requests under way at a cluster (three may always be).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Retry {
    /// All in all, the first included.
    pub tries: u8,
    /// No further try begins after so long; 0: none.
    pub within_ms: u32,
    pub on_error: bool,
    pub on_timeout: bool,
    /// Statuses of responses.
    pub on_statuses: Vec<u16>,
    /// POST, LOCK and PATCH, too.
    pub non_idempotent: bool,
}

/// A copy of the request whose response is thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Mirror {
    pub cluster: String,
    pub ppm: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub host: Option<String>,
    /// Path and query, with `$request_uri`; absent: as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub target: Option<String>,
    pub with_body: bool,
}

/// What is absent is the request's own; with the query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS), ts(optional_fields))]
pub struct Redirect {
    pub status: u16,
    /// All of it, with `$variables` of ingress-nginx (`$scheme`, `$host`, `$request_uri`, ...); the others are not read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Absent: that of the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Replacement>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Respond {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}
