//! A client's connection, from its first octet to its last.

use super::addresses::{Addresses, Unknown, addresses};
use super::conduct::{Conduct, Misconduct};
use super::exchange::answer;
use super::exchanges::Exchanges;
use super::forwarded;
use super::frames::counted;
use super::guard::{Guard, Rules};
use super::head::Limits;
use super::transport::{Replay, Transport};
use crate::executor::LocalExecutor;
use crate::later::Later;
use crate::record::metrics::Metrics;
use crate::record::refusals::Refusal;
use crate::stream::connection::Relay;
use crate::table::listener::{Http, Kind, Listener, Relayed};
use crate::thread::Thread;
use crate::tls::server::{Accepted, Ended, accept};
use hyper::header::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

pub struct Client {
    pub thread: Rc<Thread>,
    /// The listener's address, by which rows mean it, and the listener as it was when the client came.
    pub place: SocketAddr,
    pub listener: Arc<Listener>,
    pub peer: SocketAddr,
    /// The peer's address, as backends are told of it.
    pub address: HeaderValue,
    pub local: SocketAddr,
    /// Where the client made its connection to, as far as it is told.
    pub port: HeaderValue,
    /// Whoever ended TLS before us said that there was some.
    pub secured: bool,
    pub tls: Option<Ended>,
    pub exchanges: Arc<Exchanges>,
    pub seen: Cell<u64>,
    /// It is told to end after what is under way.
    pub closing: Cell<bool>,
    pub close: Notify,
    pub conduct: Conduct,
}

impl Client {
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() || self.secured { "https" } else { "http" }
    }
}

/// A connection, as it is counted.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: &Arc<Metrics>) -> Open {
        let mut counts = metrics.lock();
        counts.accepted += 1;
        counts.active += 1;
        Open(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().active -= 1;
    }
}

/// Whether a listener's connections are to end.
#[derive(Default)]
pub struct Closing {
    /// How long they may take; Some(None): as their listener says.
    within: Cell<Option<Option<Duration>>>,
    told: Notify,
}

impl Closing {
    pub fn close(&self, within: Option<Duration>) {
        self.within.set(Some(within));
        self.told.notify_waiters();
    }

    /// None: one listener only, which says how long they may take.
    pub async fn told(&self) -> Option<Duration> {
        loop {
            let told = self.told.notified();
            if let Some(within) = self.within.get() {
                return within;
            }
            told.await;
        }
    }

    async fn until(&self, listener: &Listener) -> Instant {
        let within = self.told().await;
        Instant::now() + within.unwrap_or(listener.drain)
    }

    /// Told, and the time over.
    pub async fn over(&self, listener: &Listener) {
        let until = self.until(listener).await;
        sleep_until(until.into()).await;
    }
}

pub async fn serve(
    thread: Rc<Thread>,
    place: SocketAddr,
    mut stream: TcpStream,
    peer: SocketAddr,
    closing: Rc<Closing>,
) {
    let state = thread.state();
    let _open = Open::new(&thread.metrics);
    let Some(listener) = state.listener(place).cloned() else { return };
    drop(state);
    let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else { return };
    let found = tokio::select! {
        found = addresses(&mut stream, &listener, peer, local) => found,
        () = closing.over(&listener) => return,
    };
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(Unknown::Gone) => return,
        Err(Unknown::Bad(reason)) => return thread.refuse(&listener, peer, Refusal::ProxyProtocol, reason),
    };
    match (listener.http(), listener.relayed()) {
        (Some(http), _) => serve_requests(thread, place, &listener, http, stream, addresses, &closing).await,
        (None, Some(Relayed { cluster, connect, idle, .. })) => {
            let (thread, listener, connect, idle) = (&*thread, &*listener, *connect, *idle);
            Relay { thread, listener, addresses, cluster, connect, idle }.run(stream, Vec::new(), &closing).await;
        }
        (None, None) => {}
    }
}

async fn serve_requests(
    thread: Rc<Thread>,
    place: SocketAddr,
    listener: &Arc<Listener>,
    http: &Http,
    stream: TcpStream,
    addresses: Addresses,
    closing: &Closing,
) {
    let Addresses { peer, local, told } = addresses;
    let state = thread.state();
    let began = timeout(http.head_timeout, async {
        match &listener.serves {
            Kind::Https(..) => Ok(match accept(stream, &state, &listener.name).await? {
                Accepted::Ended(stream, ended) => Begun::Requests(Transport::Tls(stream), Some(ended), Vec::new()),
                Accepted::Passed(stream, read, cluster) => Begun::Passed(stream, read, cluster),
                Accepted::Refused(reason) => {
                    thread.refuse(listener, peer, Refusal::ClientHello, reason);
                    Begun::Over
                }
                Accepted::Challenge => Begun::Over,
            }),
            _ => Ok(match first(stream).await? {
                Some((stream, read)) => Begun::Requests(Transport::Plain(Later::new(stream)), None, read),
                None => Begun::Over,
            }),
        }
    });
    let Ok(Ok::<_, io::Error>(begun)) = began.await else { return };
    drop(state);
    let (transport, tls, read) = match begun {
        Begun::Requests(transport, tls, read) => (transport, tls, read),
        Begun::Passed(stream, read, cluster) => {
            let (thread, cluster) = (&*thread, cluster.as_str());
            let (connect, idle) = (PASSED_CONNECT, PASSED_IDLE);
            return Relay { thread, listener, addresses, cluster, connect, idle }.run(stream, read, closing).await;
        }
        Begun::Over => return,
    };
    let two = tls.as_ref().map_or(read.starts_with(PREFACE), |tls| tls.http2);
    let client = Rc::new(Client {
        thread,
        place,
        peer,
        address: forwarded::value(peer.ip().to_canonical()),
        local,
        port: HeaderValue::from(told.unwrap_or(local).port()),
        // As ingress-nginx has it.
        secured: told.is_some_and(|told| told.port() == 443),
        tls,
        exchanges: Arc::new(Exchanges::new()),
        seen: Cell::new(0),
        closing: Cell::new(false),
        close: Notify::new(),
        conduct: Conduct::new(),
        listener: listener.clone(),
    });
    match two {
        true => serve_two(client, http, transport, read, closing).await,
        false => serve_one(client, http, transport, &read, closing).await,
    }
}

enum Begun {
    Requests(Transport, Option<Ended>, Vec<u8>),
    /// With what was read of it, to this cluster.
    Passed(TcpStream, Vec<u8>, String),
    Over,
}

/// What a client sends first; it begins with the preface if it speaks HTTP/2 (RFC 9113 3.4).
async fn first(mut stream: TcpStream) -> io::Result<Option<(TcpStream, Vec<u8>)>> {
    let mut read = vec![0; FIRST_BYTES];
    let mut length = stream.read(&mut read).await?;
    while length < PREFACE.len() && length > 0 && PREFACE.starts_with(&read[..length]) {
        match stream.read(&mut read[length..]).await? {
            0 => return Ok(None),
            count => length += count,
        }
    }
    read.truncate(length);
    Ok((length > 0).then_some((stream, read)))
}

async fn serve_one(client: Rc<Client>, http: &Http, transport: Transport, read: &[u8], closing: &Closing) {
    let limits = Limits { octets: http.head_max_bytes, fields: http.header_fields_max };
    let rules = Rules {
        limits,
        head_timeout: http.head_timeout,
        idle_timeout: http.idle_timeout,
        send_timeout: http.body_timeout,
    };
    let guard = Guard::new(transport, read, rules, client.exchanges.clone());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(http.head_max_bytes.max(BUFFER_BYTES));
    if http.header_fields_max > 100 {
        builder.max_headers(http.header_fields_max);
    }
    let service = service_fn(|request| answer(client.clone(), request));
    let mut connection = pin!(builder.serve_connection(guard, service).with_upgrades());
    let until = tokio::select! {
        biased;
        ended = &mut connection => return stalled(&client, &ended),
        until = closing.until(&client.listener) => until,
    };
    client.closing.set(true);
    // A request may be on its way on an idle connection: it is answered, and ends it.
    let quiet = until.min(Instant::now() + QUIET);
    if timeout(quiet.saturating_duration_since(Instant::now()), &mut connection).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(until.saturating_duration_since(Instant::now()), connection).await;
}

async fn serve_two(client: Rc<Client>, http: &Http, transport: Transport, read: Vec<u8>, closing: &Closing) {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder.timer(TokioTimer::new()).max_concurrent_streams(http.streams_max);
    builder.max_header_list_size(u32::try_from(http.head_max_bytes).unwrap_or(u32::MAX));
    builder.max_pending_accept_reset_streams(RESETS_MAX).max_local_error_reset_streams(RESETS_MAX);
    builder.initial_stream_window_size(STREAM_WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    builder.max_send_buf_size(SEND_BYTES).keep_alive_interval(PING).keep_alive_timeout(PING);
    let service = service_fn(|request| answer(client.clone(), request));
    let io = TokioIo::new(counted(Replay::new(read, transport), client.clone()));
    let mut connection = pin!(builder.serve_connection(io, service));
    let until = tokio::select! {
        biased;
        _ = &mut connection => return,
        until = closing.until(&client.listener) => until,
        () = client.close.notified() => Instant::now() + client.listener.drain,
        () = quiet(&client, http.idle_timeout) => Instant::now() + client.listener.drain,
        failed = client.conduct.fails(http.body_timeout) => return misbehaved(&client, failed),
    };
    client.closing.set(true);
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = sleep_until(until.into()) => {}
        failed = client.conduct.fails(http.body_timeout) => misbehaved(&client, failed),
    }
}

/// Tells of a connection that ended as the client took nothing any more (see `Guard`).
fn stalled(client: &Client, ended: &hyper::Result<()>) {
    let Err(error) = ended else { return };
    let why = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if why.is_some_and(|why| why.kind() == io::ErrorKind::TimedOut) {
        misbehaved(client, Misconduct::Stalled);
    }
}

fn misbehaved(client: &Client, how: Misconduct) {
    let (why, detail) = match how {
        Misconduct::Resets => (Refusal::Resets, "most of its requests were taken back at once"),
        Misconduct::Stalled => (Refusal::Stalled, "nothing was taken of what it has asked for"),
        Misconduct::Idle => (Refusal::Idle, "it sent frames that ask for nothing, again and again"),
    };
    client.thread.refuse(&client.listener, client.peer, why, detail);
}

/// Ends when the connection had no request for so long, up to twice.
async fn quiet(client: &Client, idle: Duration) {
    let mut before = u64::MAX;
    loop {
        let seen = client.seen.get();
        if seen == before && client.exchanges.over.load(Relaxed) >= seen {
            return;
        }
        before = seen;
        sleep_until((Instant::now() + idle).into()).await;
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Of TLS that is passed through, which has no settings of its own.
const PASSED_CONNECT: Duration = Duration::from_secs(5);
const PASSED_IDLE: Duration = Duration::from_secs(3600);
const FIRST_BYTES: usize = 8 << 10;
const BUFFER_BYTES: usize = 64 << 10;
/// Streams that a client takes back before they are answered (CVE-2023-44487), or that it broke (CVE-2025-8671).
const RESETS_MAX: usize = 100;
/// Without a request a connection that is told to end waits so long for one (haproxy: idle-close-on-response).
const QUIET: Duration = Duration::from_secs(5);
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const WINDOW_BYTES: u32 = 1 << 20;
const SEND_BYTES: usize = 128 << 10;
const PING: Duration = Duration::from_secs(30);
