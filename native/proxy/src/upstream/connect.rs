//! A new connection to a backend.

use super::cluster::{Cluster, Endpoint};
use super::drive::Drive;
use super::health::{Connections, Counted};
use super::pool::Pooled;
use crate::client::body::RequestBody;
use crate::executor::LocalExecutor;
use crate::later::Later;
use crate::timer::Timer;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::{HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;
use wire::proxy::BackendProtocol;

pub enum Sender {
    One(http1::SendRequest<RequestBody>),
    Two(http2::SendRequest<RequestBody>),
}

#[derive(Debug)]
pub enum Refused {
    /// The cluster has as many as it may.
    Full,
    TimedOut,
    /// No connection, or no TLS or HTTP/2 on it.
    Failed,
}

impl Sender {
    pub fn is_open(&self) -> bool {
        match self {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Two(sender) => !sender.is_closed(),
        }
    }

    /// For one more request at the same time.
    pub fn share(&self) -> Option<Sender> {
        match self {
            Sender::One(_) => None,
            Sender::Two(sender) => Some(Sender::Two(sender.clone())),
        }
    }

    pub async fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Sender::One(sender) => {
                let body = request.body();
                if !body.is_end_stream() && body.size_hint().exact().is_none() {
                    // hyper would leave out that of a GET, unless it is told.
                    request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
                sender.try_send_request(request).await
            }
            Sender::Two(sender) => sender.try_send_request(request).await,
        }
    }
}

pub async fn connect(cluster: &Cluster, endpoint: &Endpoint, within: Duration) -> Result<Pooled, Refused> {
    let health = &cluster.health;
    if health.connections.load(Relaxed) >= cluster.row.row.circuit.connections_max {
        return Err(Refused::Full);
    }
    let seat = Counted::new(Connections(health.clone()));
    let began = Instant::now();
    match timeout(within, open(cluster, endpoint, seat)).await {
        Ok(Ok((sender, drive))) => {
            let connected = Some(began.elapsed());
            Ok(Pooled { sender, drive, requests: 0, timer: Timer::default(), connected })
        }
        Ok(Err(_)) => Err(Refused::Failed),
        Err(_) => Err(Refused::TimedOut),
    }
}

async fn open(
    cluster: &Cluster,
    endpoint: &Endpoint,
    seat: Counted<Connections>,
) -> io::Result<(Sender, Option<Drive>)> {
    let stream = dial(endpoint).await?;
    stream.set_nodelay(true)?;
    let stream = Later::new(stream);
    let protocol = cluster.row.row.protocol;
    match &cluster.tls {
        None => begin(stream, protocol, seat).await,
        Some(tls) => begin(tls.connect(stream, endpoint.address.ip()).await?, protocol, seat).await,
    }
}

/// To the other family, too, when the first fails or takes long: the first that answers counts (RFC 8305 5).
async fn dial(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let Some(other) = endpoint.other else { return TcpStream::connect(endpoint.address).await };
    let mut first = pin!(TcpStream::connect(endpoint.address));
    match timeout(HEAD_START, &mut first).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(_)) => return TcpStream::connect(other).await,
        Err(_) => {}
    }
    let mut second = pin!(TcpStream::connect(other));
    tokio::select! {
        found = &mut first => match found {
            Ok(stream) => Ok(stream),
            Err(_) => second.await,
        },
        found = &mut second => match found {
            Ok(stream) => Ok(stream),
            Err(_) => first.await,
        },
    }
}

async fn begin<T>(
    stream: T,
    protocol: BackendProtocol,
    seat: Counted<Connections>,
) -> io::Result<(Sender, Option<Drive>)>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    if protocol == BackendProtocol::Http2 {
        let mut builder = http2::Builder::new(LocalExecutor);
        builder.timer(TokioTimer::new()).max_header_list_size(HEADER_LIST_BYTES);
        builder.initial_stream_window_size(STREAM_WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        builder.keep_alive_interval(PING).keep_alive_timeout(PING);
        let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
        spawn_local(async move {
            let _ = connection.await;
            drop(seat);
        });
        return Ok((Sender::Two(sender), None));
    }
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(BUFFER_BYTES);
    let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
    let drive = Drive::new(async move {
        let _ = connection.with_upgrades().await;
        drop(seat);
    });
    Ok((Sender::One(sender), Some(drive)))
}

/// As RFC 8305 8 recommends.
const HEAD_START: Duration = Duration::from_millis(250);
const HEADER_LIST_BYTES: u32 = 64 << 10;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const WINDOW_BYTES: u32 = 1 << 20;
const HEADERS_MAX: usize = 256;
const BUFFER_BYTES: usize = 128 << 10;
const PING: Duration = Duration::from_secs(20);
