//! A request that a backend is to answer: which one, how often it is tried, and what becomes of its answer.

use super::answered::{Answered, stick};
use super::attempt::{Attempt, Failure};
use super::body::RequestBody;
use super::connection::Client;
use super::mirror::{self, Original};
use super::response::{ResponseBody, UnderWay};
use super::scene::Scene;
use crate::filter::Chain;
use crate::record::request::{Record, Upstream};
use crate::table::State;
use crate::table::condition::cookie;
use crate::table::listener::Http;
use crate::table::route::{Forward, Route, Share};
use crate::upstream::balance::Choice;
use crate::upstream::cluster::Cluster;
use crate::upstream::health::{ClusterRequests, Counted, Requests, Retries};
use foldhash::fast::FixedState;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use wire::proxy::BackendProtocol;

type Answer = Result<Response<ResponseBody>, StatusCode>;

/// What a request and its route say, once and for all tries.
pub struct Given<'a> {
    rule: &'a Forward,
    cluster: &'a Arc<Cluster>,
    uri: Uri,
    host: HeaderValue,
    hash: Option<u64>,
    stuck: Option<usize>,
    secure: bool,
    copies: Vec<mirror::Copy>,
    /// Of requests to this cluster only.
    pub filters: Option<&'a Chain>,
}

impl<'a> Given<'a> {
    pub fn new(
        route: &Route,
        rule: &'a Forward,
        state: &'a State,
        scene: &Scene<'_>,
        named: &HeaderValue,
    ) -> Result<Given<'a>, StatusCode> {
        let (share, cluster, stuck) = cluster(rule, state, scene).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let host = rule.host.as_ref().unwrap_or(named).clone();
        let row = &cluster.row;
        Ok(Given {
            uri: target(route, rule, cluster, scene, &host)?,
            hash: row.hash.as_ref().map(|template| FixedState::with_seed(0).hash_one(template.render(scene))),
            secure: scene.client.tls.is_some(),
            rule,
            cluster,
            host,
            stuck,
            copies: mirror::copies(rule, state, scene),
            filters: share.filters.as_deref(),
        })
    }
}

/// By weight, unless the client is stuck to an endpoint of one.
fn cluster<'a>(
    rule: &'a Forward,
    state: &'a State,
    scene: &Scene<'_>,
) -> Option<(&'a Share, &'a Arc<Cluster>, Option<usize>)> {
    let stuck = |cluster: &Cluster| {
        let name = &cluster.row.row.sticky.as_ref()?.name;
        cluster.named(u64::from_str_radix(cookie(scene.asked.headers, name)?, 16).ok()?)
    };
    if rule.clusters.len() > 1 {
        let all = rule.clusters.iter().filter_map(|share| Some((share, state.clusters.get(&share.cluster)?)));
        if let Some(held) = all.filter_map(|(share, cluster)| Some((share, cluster, Some(stuck(cluster)?)))).next() {
            return Some(held);
        }
    }
    let share = rule.share(scene.client.thread.chance())?;
    let cluster = state.clusters.get(&share.cluster)?;
    Some((share, cluster, stuck(cluster)))
}

/// As the backend is asked for it.
fn target(
    route: &Route,
    rule: &Forward,
    cluster: &Cluster,
    scene: &Scene<'_>,
    host: &HeaderValue,
) -> Result<Uri, StatusCode> {
    let (path, query) = (scene.asked.path, scene.asked.query);
    let same = rule.rewrite.is_none() && path.len() == scene.uri.path().len() && path == scene.uri.path();
    let target = match (same, scene.uri.path_and_query()) {
        (true, Some(target)) => target.clone(),
        _ => {
            let (path, added) = match &rule.rewrite {
                Some(by) => route.replace(by, path),
                None => (path.into(), None),
            };
            let mut text = path.into_owned();
            for (number, query) in [added.as_deref(), query].into_iter().flatten().enumerate() {
                text.push(if number == 0 { '?' } else { '&' });
                text.push_str(query);
            }
            PathAndQuery::try_from(text).map_err(|_| StatusCode::BAD_REQUEST)?
        }
    };
    if cluster.row.row.protocol != BackendProtocol::Http2 {
        return Ok(Uri::from(target));
    }
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(if cluster.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?);
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| StatusCode::BAD_REQUEST)
}

#[allow(clippy::too_many_arguments)]
pub async fn forward(
    client: &Rc<Client>,
    http: &Http,
    given: Given<'_>,
    method: Method,
    mut headers: HeaderMap,
    body: Incoming,
    upgrade: Option<(HeaderValue, OnUpgrade)>,
    record: &mut Record,
) -> Answer {
    let (rule, cluster) = (given.rule, given.cluster);
    let row = &cluster.row.row;
    if body.size_hint().lower() > rule.body_max_bytes {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if cluster.health.requests.load(Relaxed) >= row.circuit.requests_max {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let of_cluster = Counted::new(ClusterRequests(cluster.health.clone()));
    let began = Instant::now();
    // Whether nothing comes where nothing is to come is known at its end: what is malformed is not passed on (RFC 9113 8.1.1).
    let is_to_end = body.size_hint().exact() == Some(0) && !body.is_end_stream();
    let (mut body, progress) = RequestBody::of(body, rule.body_max_bytes, http.body_timeout);
    record.body = Some(progress.clone());
    if rule.buffer_request || is_to_end {
        let taken = body.buffer(BUFFER_MAX_BYTES).await;
        body = taken.map_err(|_| progress.failure.get().unwrap_or(StatusCode::BAD_REQUEST))?;
    }
    if !given.copies.is_empty() {
        let original = Original { method: &method, uri: &given.uri, host: &given.host, headers: &headers };
        mirror::send(client, given.copies, &original, &mut body, rule.timeouts);
    }
    let two = row.protocol == BackendProtocol::Http2;
    let upgrade = upgrade.filter(|_| !two);
    match two {
        true => drop(headers.remove(HOST)),
        false => drop(headers.insert(HOST, given.host.clone())),
    }
    if let Some((wanted, _)) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, wanted.clone());
    }
    let repeatable = rule.retry.non_idempotent || !matches!(method.as_str(), "POST" | "PATCH" | "LOCK");
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = given.uri;
    *request.version_mut() = if two { Version::HTTP_2 } else { Version::HTTP_11 };
    *request.headers_mut() = headers;
    let until = rule.timeouts.request.map(|within| began + within);
    let mut tried: Vec<usize> = Vec::new();
    let mut retrying: Option<Counted<Retries>> = None;
    loop {
        let chance = client.thread.chance();
        let choice = Choice { hash: given.hash, stuck: given.stuck, tried: &tried, chance };
        let Some(at) = cluster.choose(&choice) else {
            return Err(if tried.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY });
        };
        let endpoint = &cluster.endpoints[at];
        let of_endpoint = Counted::new(Requests(endpoint.health.clone()));
        // Asked when the try is over: it has taken its time.
        let more = || {
            tried.len() + 1 < usize::from(rule.retry.tries)
                && (rule.retry.within_ms == 0 || began.elapsed() < Duration::from_millis(rule.retry.within_ms.into()))
                && tried.len() + 1 < cluster.endpoints.len().max(1)
        };
        let attempt = Attempt {
            thread: &client.thread,
            timeouts: rule.timeouts,
            cluster,
            endpoint,
            progress: &progress,
            until,
            repeatable,
        };
        let sent = Instant::now();
        record.upstream = Some(Upstream {
            address: endpoint.address,
            cluster: cluster.clone(),
            began: sent,
            connect: None,
            header: None,
            status: None,
            headers: None,
        });
        let failure = match attempt.run(request).await {
            Ok((response, connection, copy)) => {
                if let Some(upstream) = &mut record.upstream {
                    upstream.connect = (connection.requests == 1).then_some(connection.connected).flatten();
                    upstream.header = Some(sent.elapsed());
                    upstream.status = Some(response.status().as_u16());
                    upstream.headers = record.keeps_answer.then(|| response.headers().clone());
                }
                let status = response.status().as_u16();
                match matches!(status, 502..=504) {
                    true => endpoint.health.failed(&cluster.health, row.ejection, cluster.endpoints.len()),
                    false => endpoint.health.succeeded(&cluster.health, sent.elapsed()),
                }
                let again = (more() && rule.retry.on_statuses.contains(&status)).then_some(copy);
                if let Some(Some(copy)) = again
                    && let Some(counted) = budget(cluster, retrying.is_some())
                {
                    retrying = retrying.or(counted);
                    tried.push(at);
                    request = *copy;
                    continue;
                }
                let under_way = UnderWay { _endpoint: of_endpoint, _cluster: of_cluster, _slot: record.slot.clone() };
                let answered = Answered { client, cluster, endpoint, read: rule.timeouts.read };
                let mut response = answered.deliver(response, connection, under_way, upgrade)?;
                if rule.buffer_response_bytes > 0 {
                    response.body_mut().buffer(rule.buffer_response_bytes);
                }
                stick(cluster, at, given.stuck, given.secure, &mut response);
                return Ok(response);
            }
            Err((failure, copy)) => {
                if !matches!(failure, Failure::Final(_)) {
                    endpoint.health.failed(&cluster.health, row.ejection, cluster.endpoints.len());
                }
                let asked = match failure {
                    Failure::Final(_) => false,
                    Failure::Error => rule.retry.on_error,
                    Failure::Timeout => rule.retry.on_timeout,
                };
                if let (true, Some(copy)) = (more() && asked, copy)
                    && let Some(counted) = budget(cluster, retrying.is_some())
                {
                    retrying = retrying.or(counted);
                    tried.push(at);
                    request = *copy;
                    continue;
                }
                failure
            }
        };
        return Err(match failure {
            Failure::Final(status) => status,
            Failure::Error => StatusCode::BAD_GATEWAY,
            Failure::Timeout => StatusCode::GATEWAY_TIMEOUT,
        });
    }
}

/// Some(None): it is a retry already, and counted. None: there are too many.
fn budget(cluster: &Cluster, counted: bool) -> Option<Option<Counted<Retries>>> {
    if counted {
        return Some(None);
    }
    let most = (cluster.health.requests.load(Relaxed) / 5).max(RETRIES_MIN);
    (cluster.health.retries.load(Relaxed) < most).then(|| Some(Counted::new(Retries(cluster.health.clone()))))
}

const BUFFER_MAX_BYTES: usize = 1 << 20;
/// So many retries are always allowed: a fifth of few requests is none.
const RETRIES_MIN: u32 = 3;
