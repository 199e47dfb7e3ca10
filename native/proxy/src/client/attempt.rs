//! One try: a request over a connection to one endpoint, until its response begins.

use super::body::{Progress, RequestBody, Waits};
use crate::table::route::Timeouts;
use crate::thread::Thread;
use crate::upstream::cluster::{Cluster, Endpoint};
use crate::upstream::connect::{Refused, connect};
use crate::upstream::pool::Pooled;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response, StatusCode};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;
use wire::proxy::BackendProtocol;

pub struct Attempt<'a> {
    pub thread: &'a Thread,
    pub timeouts: Timeouts,
    pub cluster: &'a Cluster,
    pub endpoint: &'a Endpoint,
    pub progress: &'a Progress,
    /// The end of the whole request.
    pub until: Option<Instant>,
    /// Its method allows that it be sent twice.
    pub repeatable: bool,
}

/// Why a try came to nothing.
pub enum Failure {
    /// The client, or the proxy itself, is the reason: no other endpoint would do better.
    Final(StatusCode),
    Error,
    Timeout,
}

/// The request, where it may be sent again: it was never sent, or can be repeated.
type Again = Option<Box<Request<RequestBody>>>;

impl Attempt<'_> {
    /// Sends it over a connection that is idle, or a new one. That a backend closes a connection it no longer wants is no
    /// failure of its: what had been sent then and can be repeated is sent over the next one (RFC 9110 9.2.2).
    pub async fn run(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Pooled, Again), (Failure, Again)> {
        let Attempt { cluster, endpoint, .. } = self;
        let (pool, key) = (&self.thread.pool, (endpoint.health.number, cluster.flavour));
        let shared = cluster.row.row.protocol == BackendProtocol::Http2;
        loop {
            let held = if shared { pool.share(key, &cluster.row.row.keep_alive) } else { pool.take(key) };
            let reused = held.is_some();
            let mut connection = match held {
                Some(connection) => connection,
                None => match self.open().await {
                    Ok(connection) => connection,
                    Err(failure) => return Err((failure, Some(Box::new(request)))),
                },
            };
            if !connection.ready().await {
                if reused {
                    continue;
                }
                return Err((Failure::Error, Some(Box::new(request))));
            }
            connection.requests += 1;
            let copy = if self.repeatable { copy(&request) } else { None };
            match self.send(&mut connection, request).await {
                Ok(Ok(response)) => {
                    let over = self.progress.waits.get() == Waits::Done;
                    if !over || response.status() == StatusCode::SWITCHING_PROTOCOLS {
                        connection.part();
                    }
                    return Ok((response, connection, copy));
                }
                Ok(Err(mut error)) => match error.take_message().map(Box::new).or(copy) {
                    Some(again) if reused && self.progress.failure.get().is_none() => request = *again,
                    again => return Err((self.blame(Failure::Error), again)),
                },
                Err(()) => return Err((self.blame(Failure::Timeout), copy)),
            }
        }
    }

    fn blame(&self, failure: Failure) -> Failure {
        self.progress.failure.get().map_or(failure, Failure::Final)
    }

    async fn open(&self) -> Result<Pooled, Failure> {
        let Attempt { timeouts, cluster, endpoint, .. } = self;
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let within = left.map_or(timeouts.connect, |left| left.min(timeouts.connect));
        let connection = match connect(cluster, endpoint, within).await {
            Ok(connection) => connection,
            Err(Refused::Full) => return Err(Failure::Final(StatusCode::SERVICE_UNAVAILABLE)),
            Err(Refused::TimedOut) => return Err(Failure::Timeout),
            Err(Refused::Failed) => return Err(Failure::Error),
        };
        if let Some(sender) = connection.sender.share() {
            let shared = Pooled { sender, drive: None, requests: 0, timer: Default::default(), connected: None };
            let key = (endpoint.health.number, cluster.flavour);
            self.thread.pool.put(key, shared, &cluster.row.row.keep_alive);
        }
        Ok(connection)
    }

    /// Until the head of the response. Err: in time there was none.
    async fn send(
        &self,
        connection: &mut Pooled,
        request: Request<RequestBody>,
    ) -> Result<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>, ()> {
        let Pooled { sender, drive, timer, .. } = connection;
        let (progress, timeouts) = (self.progress, self.timeouts);
        progress.since.set(Instant::now());
        let mut sending = pin!(sender.send(request));
        poll_fn(|cx| {
            let polled = match drive {
                None => sending.as_mut().poll(cx),
                Some(drive) => drive.until(cx, |cx| sending.as_mut().poll(cx)),
            };
            if let Poll::Ready(sent) = polled {
                return Poll::Ready(Ok(sent));
            }
            let own = match progress.waits.get() {
                Waits::Done => Some(progress.since.get() + timeouts.read),
                Waits::ToSend => Some(progress.since.get() + timeouts.send),
                Waits::ForClient => None, // the body has a limit of its own
            };
            timer.set(own.into_iter().chain(self.until).min());
            timer.poll(cx).map(|()| Err(()))
        })
        .await
    }
}

fn copy(request: &Request<RequestBody>) -> Again {
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}
