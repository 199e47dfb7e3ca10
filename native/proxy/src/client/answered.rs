//! What a backend answered, on its way to the client.

use super::connection::Client;
use super::hop;
use super::response::{Lease, ResponseBody, UnderWay};
use super::tunnel;
use crate::upstream::cluster::{Cluster, Endpoint};
use crate::upstream::pool::Pooled;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SET_COOKIE, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode, Version};
use std::rc::Rc;
use std::time::Duration;
use wire::proxy::BackendProtocol;

pub struct Answered<'a> {
    pub client: &'a Rc<Client>,
    pub cluster: &'a Cluster,
    pub endpoint: &'a Endpoint,
    /// Between two pieces of the body.
    pub read: Duration,
}

impl Answered<'_> {
    pub fn deliver(
        &self,
        mut response: Response<Incoming>,
        connection: Pooled,
        under_way: UnderWay,
        upgrade: Option<(HeaderValue, OnUpgrade)>,
    ) -> Result<Response<ResponseBody>, StatusCode> {
        let Answered { client, cluster, endpoint, read } = self;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // One that nobody asked for would make the backend's octets the client's responses.
            let Some((_, ours)) = upgrade else { return Err(StatusCode::BAD_GATEWAY) };
            let protocol = response.headers().get(UPGRADE).cloned().ok_or(StatusCode::BAD_GATEWAY)?;
            let theirs = hyper::upgrade::on(&mut response);
            client.thread.spawn(tunnel::run(ours, theirs, *read, under_way));
            let (mut parts, _) = response.into_parts();
            hop::strip_response(&mut parts.headers);
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, protocol);
            return Ok(Response::from_parts(parts, ResponseBody::whole("")));
        }
        let (mut parts, body) = response.into_parts();
        hop::strip_response(&mut parts.headers);
        parts.extensions.clear();
        parts.version = Version::HTTP_11;
        let lease = (cluster.row.row.protocol != BackendProtocol::Http2).then(|| Lease {
            pool: client.thread.pool.clone(),
            key: (endpoint.health.number, cluster.flavour),
            connection,
            rule: cluster.row.row.keep_alive,
        });
        Ok(Response::from_parts(parts, ResponseBody::of(body, *read, lease, under_way)))
    }
}

/// The cookie that names the endpoint, for a client that has none, or one whose endpoint is gone or failed.
pub fn stick(cluster: &Cluster, at: usize, stuck: Option<usize>, secure: bool, response: &mut Response<ResponseBody>) {
    let Some(rule) = &cluster.row.row.sticky else { return };
    if stuck == Some(at) || (stuck.is_some() && !rule.change_on_failure) {
        return;
    }
    let mut cookie = format!("{}={:016x}; Path={}; HttpOnly", rule.name, cluster.endpoints[at].id, rule.path);
    if let Some(domain) = &rule.domain {
        cookie += &format!("; Domain={domain}");
    }
    if let Some(seconds) = rule.max_age_seconds.or(rule.expires_seconds) {
        cookie += &format!("; Max-Age={seconds}");
    }
    if let Some(same_site) = rule.same_site {
        cookie += &format!("; SameSite={same_site:?}");
    }
    if rule.secure.unwrap_or(secure) {
        cookie += "; Secure";
    }
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
