//! Copies of requests, whose responses nobody reads. They hold up nobody: what cannot be sent now is not sent at all.

use super::body::{RequestBody, Tee};
use super::connection::Client;
use super::inner::{Inner, Question, discard};
use super::scene::Scene;
use crate::record::metrics::Mirrored;
use crate::table::route::{Forward, Timeouts};
use crate::table::{Problem, State};
use crate::thread::Thread;
use crate::upstream::cluster::Cluster;
use crate::variable::Template;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Uri};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::proxy;

/// A row, read.
pub struct Mirror {
    cluster: String,
    ppm: u32,
    host: Option<HeaderValue>,
    target: Option<Template>,
    with_body: bool,
}

/// One copy to be sent.
pub struct Copy {
    cluster: Arc<Cluster>,
    host: Option<HeaderValue>,
    /// None: as the backend is asked.
    target: Option<PathAndQuery>,
    with_body: bool,
}

impl Mirror {
    pub fn new(row: &proxy::Mirror) -> Result<Mirror, Problem> {
        let host = |text: &str| {
            let wrong = |_| Problem::new(format!("mirror to host {text:?}"), "write the name of a host");
            HeaderValue::from_str(text).map_err(wrong)
        };
        Ok(Mirror {
            cluster: row.cluster.clone(),
            ppm: row.ppm,
            host: row.host.as_deref().map(host).transpose()?,
            target: row.target.as_deref().map(Template::new).transpose()?,
            with_body: row.with_body,
        })
    }

    fn copy(&self, state: &State, scene: &Scene<'_>) -> Option<Copy> {
        if self.ppm < MILLION && scene.client.thread.chance() % u64::from(MILLION) >= u64::from(self.ppm) {
            return None;
        }
        Some(Copy {
            cluster: state.clusters.get(&self.cluster)?.clone(),
            host: self.host.clone(),
            target: match &self.target {
                Some(template) => Some(PathAndQuery::try_from(template.render(scene)).ok()?),
                None => None,
            },
            with_body: self.with_body,
        })
    }
}

/// Those of this request.
pub fn copies(rule: &Forward, state: &State, scene: &Scene<'_>) -> Vec<Copy> {
    rule.mirrors.iter().filter_map(|mirror| mirror.copy(state, scene)).collect()
}

/// What was asked, as the copies are.
pub struct Original<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub host: &'a HeaderValue,
    pub headers: &'a HeaderMap,
}

/// Sends copies once the body has gone by, if it is not too long. `body` is what the backend gets from now on.
pub fn send(client: &Rc<Client>, copies: Vec<Copy>, original: &Original<'_>, body: &mut RequestBody, within: Timeouts) {
    let thread = &client.thread;
    let with_body = copies.iter().any(|copy| copy.with_body);
    let streamed = with_body && matches!(body, RequestBody::Streamed(_));
    let most = if streamed { STREAMED_MAX } else { UNDER_WAY_MAX };
    if thread.mirrors.get() >= most {
        return thread.metrics.lock().count_mirrored(Mirrored::Dropped, copies.len());
    }
    let received = match body {
        RequestBody::Streamed(streamed) if with_body => {
            let (tee, received) = Tee::new();
            streamed.tee = Some(tee);
            received
        }
        RequestBody::Whole(Some(bytes)) => here(bytes.clone()),
        _ => here(Bytes::new()),
    };
    let Some(own) = original.uri.path_and_query().cloned() else { return };
    let (method, host, headers) = (original.method.clone(), original.host.clone(), original.headers.clone());
    let count = Count::new(thread.clone());
    let thread = thread.clone();
    client.thread.spawn(async move {
        let Ok(Ok(whole)) = timeout(BODY_PATIENCE, received).await else {
            return thread.metrics.lock().count_mirrored(Mirrored::Dropped, copies.len());
        };
        for copy in copies {
            let question = Question {
                method: method.clone(),
                target: copy.target.unwrap_or_else(|| own.clone()),
                host: copy.host.unwrap_or_else(|| host.clone()),
                headers: headers.clone(),
                body: copy.with_body.then(|| whole.clone()),
            };
            let timeouts = Timeouts { request: Some(PATIENCE), ..within };
            let inner = Inner { thread: &thread, cluster: &copy.cluster, timeouts };
            let result = match timeout(PATIENCE, inner.ask(question)).await {
                Ok(Ok(response)) => {
                    discard(response, PATIENCE).await;
                    Mirrored::Sent
                }
                _ => Mirrored::Failed,
            };
            thread.metrics.lock().count_mirrored(result, 1);
        }
        drop(count);
    });
}

fn here(bytes: Bytes) -> oneshot::Receiver<Bytes> {
    let (sender, received) = oneshot::channel();
    let _ = sender.send(bytes);
    received
}

/// A request whose copies are under way.
struct Count(Rc<Thread>);

impl Count {
    fn new(thread: Rc<Thread>) -> Count {
        thread.mirrors.set(thread.mirrors.get() + 1);
        Count(thread)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.mirrors.set(self.0.mirrors.get() - 1);
    }
}

const MILLION: u32 = 1_000_000;
/// Of one thread.
const UNDER_WAY_MAX: usize = 1000;
/// With a body, of which up to `Tee::MAX_BYTES` are held.
const STREAMED_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);
const BODY_PATIENCE: Duration = Duration::from_secs(60);
