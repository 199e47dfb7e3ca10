//! /health, /ready and /metrics over HTTP, served by the supervisor: the worker may be dead, which is what they are for.

use crate::kind::{Page, PageAt};
use crate::pulse::{Beat, Pulse};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use sys::listener::{Listen, Transport, tcp};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What the pages tell.
#[derive(Default)]
pub struct Status {
    /// None: a worker serves.
    pub down_since: Option<Instant>,
    pub why_down: String,
    /// Of the worker.
    pub unready: Vec<String>,
    /// Told to end.
    pub draining: bool,
}

/// Somebody wants /metrics.
pub type Wish = oneshot::Sender<String>;

pub struct Pages {
    status: Arc<Mutex<Status>>,
    wishes: mpsc::Sender<Wish>,
    open: BTreeMap<Door, Server>,
    /// Another process had them open.
    inherited: BTreeMap<Door, std::net::TcpListener>,
    failed: BTreeMap<Door, String>,
    pub pulse: Pulse,
}

/// Address (None: all of them) and port.
pub type Door = (Option<IpAddr>, u16);

struct Server {
    listener: std::net::TcpListener,
    pages: Arc<Mutex<BTreeSet<Page>>>,
    accepting: JoinHandle<()>,
    /// While /health is served there.
    beat: Option<Beat>,
}

impl Pages {
    pub fn new(
        status: Arc<Mutex<Status>>,
        wishes: mpsc::Sender<Wish>,
        inherited: BTreeMap<Door, std::net::TcpListener>,
    ) -> Pages {
        Pages { status, wishes, open: BTreeMap::new(), inherited, failed: BTreeMap::new(), pulse: Pulse::default() }
    }

    pub fn listeners(&self) -> impl Iterator<Item = (Door, BorrowedFd<'_>)> {
        self.open.iter().map(|(door, server)| (*door, server.listener.as_fd()))
    }

    /// Serves none any more; what was asked is answered.
    pub fn close(&mut self) {
        self.open.clear();
    }

    /// Serves these and no others. What cannot be opened is said once, and tried again by the next call.
    pub fn serve(&mut self, wanted: &BTreeSet<PageAt>, say: &dyn Fn(&str)) {
        let mut doors: BTreeMap<Door, BTreeSet<Page>> = BTreeMap::new();
        for at in wanted {
            doors.entry((at.address, at.port)).or_default().insert(at.page);
        }
        self.open.retain(|door, _| doors.contains_key(door));
        self.failed.retain(|door, _| doors.contains_key(door));
        self.inherited.retain(|door, _| doors.contains_key(door));
        for (door, pages) in doors {
            if let Some(server) = self.open.get_mut(&door) {
                let beats = pages.contains(&Page::Health);
                server.beat =
                    server.beat.take().filter(|_| beats).or_else(|| beats.then(|| self.pulse.begin(door.0, door.1)));
                *lock(&server.pages) = pages;
                continue;
            }
            match self.start(door, pages) {
                Ok(server) => {
                    self.failed.remove(&door);
                    self.open.insert(door, server);
                }
                Err(error) => {
                    let reason = format!("cannot serve health pages on port {}: {error}", door.1);
                    if self.failed.insert(door, reason.clone()).is_none() {
                        say(&format!("{reason}; tried again until it can"));
                    }
                }
            }
        }
    }

    pub fn failed(&self) -> Vec<String> {
        self.failed.values().cloned().collect()
    }

    fn start(&mut self, (address, port): Door, pages: BTreeSet<Page>) -> io::Result<Server> {
        let listener = match self.inherited.remove(&(address, port)) {
            Some(listener) => listener,
            None => tcp(&Listen { transport: Transport::Tcp, address, port, freely: false }, BACKLOG, false)?,
        };
        let accepting = TcpListener::from_std(listener.try_clone()?)?;
        let beat = pages.contains(&Page::Health).then(|| self.pulse.begin(address, port));
        let pages = Arc::new(Mutex::new(pages));
        let room = Room { pages: pages.clone(), status: self.status.clone(), wishes: self.wishes.clone() };
        Ok(Server { listener, pages, beat, accepting: tokio::spawn(accept(accepting, room)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Room {
    pages: Arc<Mutex<BTreeSet<Page>>>,
    status: Arc<Mutex<Status>>,
    wishes: mpsc::Sender<Wish>,
}

async fn accept(listener: TcpListener, room: Room) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let room = room.clone();
                tokio::spawn(async move {
                    drop(timeout(CONNECTION_LIMIT, converse(stream, room)).await);
                    drop(place);
                });
            }
            Err(_) => sleep(RETRY).await, // out of descriptors
        }
    }
}

async fn converse(stream: TcpStream, room: Room) {
    let service = service_fn(|request| answer(request, room.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADERS_MAX_BYTES);
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, room: Room) -> Result<Response<String>, Infallible> {
    let page = match request.uri().path() {
        "/health" => Page::Health,
        "/ready" => Page::Ready,
        "/metrics" => Page::Metrics,
        _ => return Ok(response(StatusCode::NOT_FOUND, "not found\n".to_string())),
    };
    if !lock(&room.pages).contains(&page) {
        return Ok(response(StatusCode::NOT_FOUND, "served on another port\n".to_string()));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(response(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_string()));
    }
    Ok(match page {
        Page::Health => lock(&room.status).health(),
        Page::Ready => lock(&room.status).ready(),
        Page::Metrics => metrics(&room.wishes).await,
    })
}

impl Status {
    /// What comes waits for a moment while one worker takes the place of another.
    pub fn serves(&self) -> bool {
        let is_up = self.down_since.is_none_or(|since| !self.why_down.is_empty() && since.elapsed() < WORKER_GRACE);
        is_up && self.unready.is_empty() && !self.draining
    }

    /// A worker that is being replaced is no reason to restart everything; one that cannot be is.
    fn health(&self) -> Response<String> {
        match self.down_since {
            Some(since) if since.elapsed() > HEALTH_GRACE => {
                response(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", self.why_down))
            }
            _ => response(StatusCode::OK, "OK".to_string()),
        }
    }

    fn ready(&self) -> Response<String> {
        let unready = if self.draining {
            "shutting down".to_string()
        } else if self.down_since.is_some() {
            "worker".to_string()
        } else {
            self.unready.join(",")
        };
        match unready.as_str() {
            "" => response(StatusCode::OK, "OK".to_string()),
            _ => response(StatusCode::SERVICE_UNAVAILABLE, unready),
        }
    }
}

async fn metrics(wishes: &mpsc::Sender<Wish>) -> Response<String> {
    let (wish, text) = oneshot::channel();
    let asked = async {
        wishes.send(wish).await.ok()?;
        text.await.ok()
    };
    match timeout(METRICS_LIMIT, asked).await {
        Ok(Some(text)) => {
            let mut response = response(StatusCode::OK, text);
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        _ => response(StatusCode::SERVICE_UNAVAILABLE, "busy; try again\n".to_string()),
    }
}

fn response(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const BACKLOG: i32 = 128;
const CONNECTIONS_MAX: usize = 64;
const CONNECTION_LIMIT: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(30);
const HEADERS_MAX_BYTES: usize = 16 * 1024;
const METRICS_LIMIT: Duration = Duration::from_secs(5);
const WORKER_GRACE: Duration = Duration::from_millis(500);
const HEALTH_GRACE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);
