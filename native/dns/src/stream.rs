//! Queries over connections (RFC 7766), of TCP or TLS (RFC 7858): pipelined, answered as soon as each answer is known,
//! bounded in number, time and memory. All run on the event loop.

use crate::answer::{Asker, Outcome, State, answer};
use crate::later::{Later, Reach};
use crate::packet::HEADER_BYTES;
use crate::reply::Transport;
use crate::resolve::refresh;
use crate::tls::HANDSHAKE_FAILURES;
use crate::tls_server::shown_to;
use arc_swap::ArcSwap;
use rustls::server::Acceptor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use supervisor::Place;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use wire::corefile;

/// Of the connections to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Of a handshake, of the first query, and of what is left of one that has begun.
    read: Duration,
    write: Duration,
    /// Until the next query begins.
    idle: Duration,
    queries_max: u32,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let most = Duration::from_secs(10);
        Timeouts { read: most, write: most, idle: most, queries_max: u32::MAX }
    }
}

impl Timeouts {
    pub fn new(step: &corefile::Timeouts) -> Timeouts {
        let default = Timeouts::default();
        let or = |ms: Option<u32>, default| ms.map_or(default, |ms| Duration::from_millis(ms.into()));
        Timeouts {
            read: or(step.read_ms, default.read),
            write: or(step.write_ms, default.write),
            idle: or(step.idle_ms, default.idle),
            queries_max: step.max_queries.unwrap_or(default.queries_max),
        }
    }

    /// How long a connection may rest, as clients are told: in tenths of a second.
    pub fn keepalive(&self) -> u16 {
        u16::try_from(self.idle.as_millis() / 100).unwrap_or(u16::MAX)
    }
}

/// What all connections share.
pub struct Streams {
    pub state: Arc<ArcSwap<State>>,
    pub later: Later,
    pub lane: usize,
    clients: RefCell<HashMap<IpAddr, usize>>,
    left: Notify,
    room: RefCell<Vec<u8>>,
    turn: RefCell<usize>,
}

impl Streams {
    pub fn new(state: Arc<ArcSwap<State>>, later: Later, lane: usize) -> Rc<Streams> {
        let room = RefCell::new(vec![0; usize::from(u16::MAX)]);
        Rc::new(Streams {
            state,
            later,
            lane,
            clients: RefCell::default(),
            left: Notify::new(),
            room,
            turn: RefCell::default(),
        })
    }

    /// Accepts until it is dropped. Connections go on.
    pub async fn accept(self: Rc<Streams>, listener: TcpListener, place: Place) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                sleep(RETRY).await;
                continue;
            };
            // Too many are closed at once: to wait for a place would hold up everybody else.
            let Some(seat) = Seat::take(&self, peer.ip()) else { continue };
            let (streams, place) = (self.clone(), place.clone());
            spawn_local(async move {
                let _ = streams.connection(stream, peer, &place).await;
                drop(seat);
            });
        }
    }

    /// Until there is no connection.
    pub async fn idle(&self) {
        while !self.clients.borrow().is_empty() {
            self.left.notified().await;
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, place: &Place) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let held = self.state.load();
        let Some(listener) = held.listener(place) else { return Ok(()) };
        let (timeouts, tls) = (listener.timeouts, listener.tls.clone());
        drop(held);
        if place.transport != "tls" {
            let (reader, writer) = stream.into_split();
            return self.converse(reader, writer, Asked { peer, place, transport: Transport::Tcp, timeouts }).await;
        }
        let handshake = within(timeouts.read, async {
            let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            // There is none while its files are not in order, which was said.
            let config = shown_to(&tls, hello.client_hello().server_name()).ok_or(io::ErrorKind::NotFound)?;
            hello.into_stream(config).await
        });
        let failed = |_: &io::Error| {
            HANDSHAKE_FAILURES.fetch_add(1, Ordering::Relaxed);
        };
        let stream = handshake.await.inspect_err(failed)?;
        let (reader, writer) = tokio::io::split(stream);
        self.converse(reader, writer, Asked { peer, place, transport: Transport::Tls, timeouts }).await
    }

    async fn converse(
        &self,
        reader: impl AsyncRead + Unpin,
        writer: impl AsyncWrite + Unpin + 'static,
        asked: Asked<'_>,
    ) -> io::Result<()> {
        let (answers, queue) = mpsc::channel(ANSWERS_MAX);
        let writing = spawn_local(write(writer, queue, asked.timeouts.write));
        let read = self.read(BufReader::with_capacity(READ_BYTES, reader), answers, asked).await;
        // Answers that are still to come hold the queue open.
        let _ = writing.await;
        read
    }

    async fn read(
        &self,
        mut reader: impl AsyncRead + Unpin,
        answers: mpsc::Sender<Vec<u8>>,
        asked: Asked<'_>,
    ) -> io::Result<()> {
        let (mut packet, timeouts) = (Vec::new(), asked.timeouts);
        for number in 0..timeouts.queries_max {
            let patience = if number == 0 { timeouts.read } else { timeouts.idle };
            let high = within(patience, reader.read_u8()).await?;
            within(timeouts.read, async {
                let length = usize::from(u16::from_be_bytes([high, reader.read_u8().await?]));
                if length < HEADER_BYTES {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                packet.resize(length, 0);
                reader.read_exact(&mut packet).await
            })
            .await?;
            let answer = self.answer(&packet, &asked, &answers)?;
            // A client that does not read its answers is not read from.
            if let Some(answer) = answer {
                let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                within(timeouts.write, async { answers.send(answer).await.map_err(closed) }).await?;
            }
            if packet.capacity() > READ_BYTES {
                packet = Vec::new();
            }
        }
        Ok(())
    }

    /// Err: it is to be asked of another process.
    fn answer(&self, packet: &[u8], asked: &Asked, answers: &mpsc::Sender<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
        let Asked { peer, place, transport, .. } = *asked;
        let state = self.state.load();
        let Some(listener) = state.listener(place) else { return Ok(None) };
        let turn = self.turn.replace_with(|turn| turn.wrapping_add(1));
        let asker = Asker { peer, transport, came: Instant::now(), lane: self.lane, turn };
        let mut room = self.room.borrow_mut();
        let length = match answer(&state.tables, listener, packet, asker, &mut room) {
            Outcome::Nothing => 0,
            Outcome::Answer(length) => length,
            Outcome::Renew(length) => {
                refresh(&self.later, packet, place, asker);
                length
            }
            Outcome::Hold(length, sighting) => {
                let reach = Reach::Stream(answers.clone());
                let watch = &state.tables.observers.watch;
                match watch.hold(sighting, &room[..length], reach) {
                    Ok(()) => 0,
                    Err(_) if watch.is_over() => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Err(_) => length,
                }
            }
            Outcome::Later => self.later.ask(packet, place, asker, Reach::Stream(answers.clone()), &mut room),
        };
        Ok((length > 0).then(|| [&(length as u16).to_be_bytes(), &room[..length]].concat()))
    }
}

/// Where queries of a connection come from, and by what.
struct Asked<'a> {
    peer: SocketAddr,
    place: &'a Place,
    transport: Transport,
    timeouts: Timeouts,
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
    patience: Duration,
) -> io::Result<()> {
    while let Some(mut octets) = queue.recv().await {
        while octets.len() < WRITE_BYTES {
            let Ok(next) = queue.try_recv() else { break };
            octets.extend(next);
        }
        // TLS holds on to what it made of them until it is flushed.
        within(patience, async {
            writer.write_all(&octets).await?;
            writer.flush().await
        })
        .await?;
    }
    within(patience, writer.shutdown()).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A connection's place among its client's and all others.
struct Seat {
    streams: Rc<Streams>,
    client: IpAddr,
}

impl Seat {
    fn take(streams: &Rc<Streams>, client: IpAddr) -> Option<Seat> {
        let mut clients = streams.clients.borrow_mut();
        if clients.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let count = clients.entry(client).or_default();
        if *count >= CLIENT_CONNECTIONS_MAX {
            return None;
        }
        *count += 1;
        Some(Seat { streams: streams.clone(), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = self.streams.clients.borrow_mut();
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
                self.streams.left.notify_waiters();
            }
        }
    }
}

const CONNECTIONS_MAX: usize = 4096;
const CLIENT_CONNECTIONS_MAX: usize = 128;
/// Of a connection, not yet written.
const ANSWERS_MAX: usize = 64;
const READ_BYTES: usize = 2048;
const WRITE_BYTES: usize = 32 << 10;
const RETRY: Duration = Duration::from_millis(10);
