//! Requests of the proxy's own: to who is asked for leave, for the page of an error, or gets a copy.

use super::attempt::{Attempt, Failure};
use super::body::{Progress, RequestBody};
use super::hop;
use super::response::{Lease, ResponseBody, UnderWay};
use crate::table::route::Timeouts;
use crate::thread::Thread;
use crate::upstream::balance::Choice;
use crate::upstream::cluster::Cluster;
use crate::upstream::health::{ClusterRequests, Counted, Requests};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use wire::proxy::BackendProtocol;

pub struct Inner<'a> {
    pub thread: &'a Rc<Thread>,
    pub cluster: &'a Cluster,
    pub timeouts: Timeouts,
}

pub struct Question {
    pub method: Method,
    pub target: PathAndQuery,
    pub host: HeaderValue,
    /// Without those that are of one connection only.
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

impl Inner<'_> {
    /// To another endpoint, once or twice, where one cannot be had. Err: there was no response.
    pub async fn ask(&self, question: Question) -> Result<Response<ResponseBody>, StatusCode> {
        let Inner { thread, cluster, timeouts } = self;
        let row = &cluster.row.row;
        if cluster.health.requests.load(Relaxed) >= row.circuit.requests_max {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let of_cluster = Counted::new(ClusterRequests(cluster.health.clone()));
        let until = timeouts.request.map(|within| Instant::now() + within);
        let repeatable = !matches!(question.method.as_str(), "POST" | "PATCH" | "LOCK");
        let mut request = self.request(question)?;
        let progress = Progress::over();
        let mut tried = Vec::new();
        loop {
            let choice = Choice { hash: None, stuck: None, tried: &tried, chance: thread.chance() };
            let Some(at) = cluster.choose(&choice) else {
                return Err(if tried.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY });
            };
            let endpoint = &cluster.endpoints[at];
            let of_endpoint = Counted::new(Requests(endpoint.health.clone()));
            let (progress, timeouts) = (&progress, *timeouts);
            let attempt = Attempt { thread, timeouts, cluster, endpoint, progress, until, repeatable };
            let sent = Instant::now();
            match attempt.run(request).await {
                Ok((response, connection, _)) => {
                    endpoint.health.succeeded(&cluster.health, sent.elapsed());
                    let (mut parts, body) = response.into_parts();
                    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Err(StatusCode::BAD_GATEWAY); // nobody asked for it
                    }
                    hop::strip_response(&mut parts.headers);
                    parts.extensions.clear();
                    parts.version = Version::HTTP_11;
                    let lease = (row.protocol != BackendProtocol::Http2).then(|| Lease {
                        pool: thread.pool.clone(),
                        key: (endpoint.health.number, cluster.flavour),
                        connection,
                        rule: row.keep_alive,
                    });
                    let under_way = UnderWay { _endpoint: of_endpoint, _cluster: of_cluster, _slot: None };
                    return Ok(Response::from_parts(parts, ResponseBody::of(body, timeouts.read, lease, under_way)));
                }
                Err((failure, again)) => {
                    let status = match failure {
                        Failure::Final(status) => return Err(status),
                        Failure::Error => StatusCode::BAD_GATEWAY,
                        Failure::Timeout => StatusCode::GATEWAY_TIMEOUT,
                    };
                    endpoint.health.failed(&cluster.health, row.ejection, cluster.endpoints.len());
                    tried.push(at);
                    let more = tried.len() < TRIES && tried.len() < cluster.endpoints.len();
                    let Some(again) = again.filter(|_| more && status == StatusCode::BAD_GATEWAY) else {
                        return Err(status);
                    };
                    request = *again;
                }
            }
        }
    }

    fn request(&self, question: Question) -> Result<Request<RequestBody>, StatusCode> {
        let Question { method, target, host, mut headers, body } = question;
        let two = self.cluster.row.row.protocol == BackendProtocol::Http2;
        let uri = if two {
            let mut parts = hyper::http::uri::Parts::default();
            parts.scheme = Some(if self.cluster.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
            parts.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?);
            parts.path_and_query = Some(target);
            headers.remove(HOST);
            Uri::from_parts(parts).map_err(|_| StatusCode::BAD_REQUEST)?
        } else {
            headers.insert(HOST, host);
            Uri::from(target)
        };
        headers.remove(CONTENT_LENGTH);
        let body = match body {
            Some(body) if !body.is_empty() => RequestBody::Whole(Some(body)),
            _ => RequestBody::Empty,
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = if two { Version::HTTP_2 } else { Version::HTTP_11 };
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Nobody wants to read it: taken all the same while it is short, as its connection is of use then.
pub async fn discard(mut response: Response<ResponseBody>, within: Duration) {
    let taking = async {
        let mut octets = 0;
        while octets <= DISCARDED_MAX_BYTES {
            match poll_fn(|cx| Pin::new(response.body_mut()).poll_frame(cx)).await {
                Some(Ok(frame)) => octets += frame.data_ref().map_or(0, Bytes::len),
                _ => return,
            }
        }
    };
    let _ = timeout(within, taking).await;
}

const TRIES: usize = 3;
const DISCARDED_MAX_BYTES: usize = 64 << 10;
