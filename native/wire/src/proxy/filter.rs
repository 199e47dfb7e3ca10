//! What happens to a request on its way, and to its response. The order is the proxy's: sources, limits, CORS (which answers
//! preflights), auth, headers.

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, derive(TS), ts(optional_fields))]
pub struct Filters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAuth>,
    /// One of `sources`, `basic` and `external` is enough; else all must agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satisfy_any: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderEdit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<HeaderEdit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies: Option<CookieEdit>,
    /// Of Location and Refresh: from, to (ingress-nginx's proxy-redirect-from and -to).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locations: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorPages>,
    /// Requests with a scheme, host or path of their own are not upgraded (RFC 9110 7.8) when this is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// Prefix sent in X-Forwarded-Prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_prefix: Option<String>,
}

/// Else 403. A client in `deny` is refused, and one that is not in `allow` unless that is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Sources {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
}

/// By client address, in this proxy; routes that give the same name share what they allow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Limits {
    pub name: String,
    pub rates: Vec<Rate>,
    /// At once; 0: any number.
    pub connections: u32,
    /// Clients without limits.
    pub exempt: Vec<String>,
    pub status: u16,
    /// Octets a second of a response, after the first `rateAfterBytes`; 0: no limit.
    pub rate_bytes: u64,
    pub rate_after_bytes: u64,
}

/// A token bucket: `burst` at once, then `requests` in each `perMs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Rate {
    pub requests: u32,
    pub per_ms: u32,
    pub burst: u32,
}

/// RFC 7617.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct BasicAuth {
    /// Of table `secrets`. One that is not there: 503.
    pub users: String,
    pub realm: String,
}

/// Another server is asked first, without the body: 2xx lets the request pass; 401 (with its WWW-Authenticate) and 403 are
/// the answer; all else is 500.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ExternalAuth {
    pub cluster: String,
    /// Scheme, host and path, with `$variables`.
    pub url: String,
    /// Absent: GET. Present: X-Original-URI and X-Scheme are sent, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub method: Option<String>,
    /// Of its response, given to the backend; what the client says in them never is.
    pub response_headers: Vec<String>,
    /// Set on the question.
    pub request_headers: Vec<(String, String)>,
    /// Where 401 leads, with `$variables`; the request's own URL is added as `rd`, or `redirectParameter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sign_in: Option<String>,
    pub redirect_parameter: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub cache: Option<AuthCache>,
    /// Set-Cookie of its answers reaches the client with every status, not only with good ones.
    pub always_set_cookie: bool,
    pub timeout_ms: u32,
}

/// At most 10,000 answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct AuthCache {
    /// With `$variables`.
    pub key: String,
    pub statuses: Vec<AuthCacheStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct AuthCacheStatus {
    /// Empty: every one.
    pub statuses: Vec<u16>,
    pub ms: u32,
}

/// Fetch standard, 3.2. A preflight request is answered here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Cors {
    /// `*`, `https://a.example`, `https://*.example:8443`.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    pub headers: Vec<String>,
    pub expose: Vec<String>,
    pub credentials: bool,
    pub max_age_seconds: u32,
}

/// In this order: remove, set, add. Values may have `$variables`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct HeaderEdit {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}

/// Of Set-Cookie: each pair from, to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct CookieEdit {
    pub domains: Vec<(String, String)>,
    pub paths: Vec<(String, String)>,
}

/// Responses with these statuses are fetched from the cluster, by GET of `/` with the query of the request, its header
/// fields, X-Code, X-Format (of Accept), X-Original-URI and X-Request-ID. Where that fails they stay as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ErrorPages {
    pub statuses: Vec<u16>,
    pub cluster: String,
    /// Besides.
    pub headers: Vec<(String, String)>,
}
