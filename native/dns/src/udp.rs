//! A thread for each socket: takes what is there, answers it, sends the answers, all in buffers that it made once.

use crate::ahead;
use crate::answer::{Asker, Outcome, State, answer};
use crate::later::{Later, Reach};
use crate::reply::Transport;
use crate::resolve::refresh as renew;
use arc_swap::{ArcSwap, Cache};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use supervisor::Place;
use sys::batch::Batch;

/// Serves until it is dropped, and a little longer.
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(
        socket: UdpSocket,
        place: Place,
        state: Arc<ArcSwap<State>>,
        later: Later,
        lane: usize,
    ) -> std::io::Result<Server> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(WAKE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || serve(&Arc::new(socket), &place, &state, &later, lane, &stopped);
        let thread = thread::Builder::new().name(format!("udp-{lane}")).spawn(work)?;
        Ok(Server { stop, thread: Some(thread) })
    }

    /// The thread ends when it has answered what it has taken.
    pub fn end(mut self) -> JoinHandle<()> {
        self.thread.take().expect("it is taken here only")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(
    socket: &Arc<UdpSocket>,
    place: &Place,
    state: &ArcSwap<State>,
    later: &Later,
    lane: usize,
    stop: &AtomicBool,
) {
    let mut batch = Batch::new(BATCH, QUERY_BYTES, ANSWER_BYTES, place.address.ip().is_unspecified());
    let mut held = Cache::new(state);
    let mut turn = lane;
    while !stop.load(Ordering::Relaxed) {
        let count = match batch.receive(socket) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            // What ICMP said of an earlier answer, or a signal. Should it be worse, not in a busy loop.
            Err(_) => {
                thread::sleep(RETRY);
                continue;
            }
        };
        let state = held.load();
        let Some(listener) = state.listener(place) else { continue };
        let came = Instant::now();
        if count > 1 {
            ahead::look(&state.tables, listener, (0..count).map(|index| batch.query(index)));
        }
        for index in 0..count {
            turn = turn.wrapping_add(1);
            let (packet, ends, room) = batch.exchange(index);
            let Some(peer) = ends.peer() else { continue };
            let asker = Asker { peer, transport: Transport::Udp, came, lane, turn };
            let length = match answer(&state.tables, listener, packet, asker, room) {
                Outcome::Answer(length) => length,
                Outcome::Renew(length) => {
                    renew(later, packet, place, asker);
                    length
                }
                Outcome::Hold(length, sighting) => {
                    let reach = Reach::Datagram { socket: socket.clone(), ends: Box::new(*ends) };
                    let held = state.tables.observers.watch.hold(sighting, &room[..length], reach);
                    if held.is_ok() { 0 } else { length }
                }
                Outcome::Nothing => 0,
                Outcome::Later => {
                    let reach = Reach::Datagram { socket: socket.clone(), ends: Box::new(*ends) };
                    later.ask(packet, place, asker, reach, room)
                }
            };
            batch.answer(index, length);
        }
        batch.send(socket, count);
    }
}

const BATCH: usize = 64;
/// Queries are short; what is longer is dropped.
const QUERY_BYTES: usize = 2048;
/// The most that `bufsize` may be.
const ANSWER_BYTES: usize = 4096;
/// How soon a thread sees that it is to stop.
const WAKE: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_millis(10);
