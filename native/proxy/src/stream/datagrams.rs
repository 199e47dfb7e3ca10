//! UDP: a socket of its own for each client (address, port, and the address that it asked), so that answers find their way
//! back. A flow ends when its backend has answered as often as it is to, or when it is idle; a thread has so many at most, and
//! those that are used least lately make room.

use super::flows::{self, Flows};
use crate::client::connection::Closing;
use crate::record::metrics::Metrics;
use crate::record::refusals::Refusal;
use crate::table::listener::Relayed;
use crate::thread::{Held, Thread};
use crate::upstream::balance::Choice;
use crate::upstream::cluster::Cluster;
use crate::upstream::health::{ClusterRequests, Counted, Requests};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use sys::datagram::{self, Ends};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, timeout};

/// Takes what comes to a socket, until the listener is closed: then its flows end, or, at the end of all, go on within the time
/// that is left, and only answers are carried.
pub async fn receive(thread: Rc<Thread>, place: SocketAddr, socket: std::net::UdpSocket, closing: Rc<Closing>) {
    let Ok(near) = UdpSocket::from_std(socket) else { return };
    let door = Rc::new(Door { near, flows: RefCell::new(Flows::new(FLOWS_MAX)) });
    let mut data = vec![0; DATAGRAM_MAX_BYTES];
    tokio::select! {
        () = door.receive(&thread, place, &mut data) => {}
        within = closing.told() => {
            if within.is_some() {
                door.idle().await;
            }
        }
    }
    door.flows.borrow_mut().end_all();
}

struct Door {
    near: UdpSocket,
    flows: RefCell<Flows<Key, Flow>>,
}

type Key = (SocketAddr, Option<IpAddr>);

struct Flow {
    far: UdpSocket,
    ends: Ends,
    /// Which the endpoint is, for as long as it is there.
    endpoint: u64,
    cluster: RefCell<Arc<Cluster>>,
    used: Cell<Instant>,
    /// It was, since it was last looked at.
    fresh: Cell<bool>,
    /// Answers that are still to come; None: any number.
    due: Cell<Option<u64>>,
    answering: AbortHandle,
}

impl Door {
    async fn receive(self: &Rc<Door>, thread: &Rc<Thread>, place: SocketAddr, data: &mut [u8]) {
        loop {
            if self.near.readable().await.is_err() {
                sleep(RETRY).await;
                continue;
            }
            // Some of them, so that connections have their turn.
            for _ in 0..BATCH {
                match self.near.try_io(Interest::READABLE, || datagram::receive(&self.near, data)) {
                    Ok((length, ends)) => self.take(thread, place, &data[..length], ends),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => sleep(RETRY).await,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// What cannot be sent is lost, as with UDP it may be.
    fn take(self: &Rc<Door>, thread: &Rc<Thread>, place: SocketAddr, data: &[u8], ends: Ends) {
        let state = thread.state();
        let Some(listener) = state.datagrams(place) else { return };
        let Some(relayed) = listener.relayed() else { return };
        let key = (ends.peer, ends.local());
        let held = self.flows.borrow().get(&key);
        if let Some(flow) = held.filter(|flow| flow.stands(&state, relayed)) {
            match flow.send(data, relayed) {
                // What ICMP said of an earlier datagram: nobody is there any more.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                _ => return,
            }
        }
        self.flows.borrow_mut().end(&key);
        let peer = ends.peer;
        match self.open(thread, &state, relayed, ends) {
            Ok(flow) => drop(flow.send(data, relayed)),
            Err(why) => thread.refuse(listener, peer, why, format_args!("cluster {}", relayed.cluster)),
        }
    }

    fn open(
        self: &Rc<Door>,
        thread: &Rc<Thread>,
        state: &Held,
        relayed: &Relayed,
        ends: Ends,
    ) -> Result<Rc<Flow>, Refusal> {
        let cluster = state.clusters.get(&relayed.cluster).ok_or(Refusal::NoEndpoint)?;
        if cluster.health.requests.load(Relaxed) >= cluster.row.row.circuit.requests_max {
            return Err(Refusal::Full);
        }
        let mut tried = Vec::new();
        let (far, at) = loop {
            let chance = thread.chance();
            let choice = Choice { hash: None, stuck: None, tried: &tried, chance };
            let at = cluster.choose(&choice).filter(|_| tried.len() < TRIES_MAX);
            let at = at.ok_or(if tried.is_empty() { Refusal::NoEndpoint } else { Refusal::Connect })?;
            match socket_to(cluster.endpoints[at].address) {
                Ok(far) => break (far, at),
                Err(_) => tried.push(at),
            }
        };
        let endpoint = &cluster.endpoints[at];
        let of_cluster = Counted::new(ClusterRequests(cluster.health.clone()));
        let open = Open::new(&thread.metrics);
        let counted = (Counted::new(Requests(endpoint.health.clone())), of_cluster, open);
        let key = (ends.peer, ends.local());
        let (door, idle) = (self.clone(), relayed.idle);
        let flow = Rc::new_cyclic(|flow: &std::rc::Weak<Flow>| {
            let flow = flow.clone();
            let answering = async move {
                let Some(held) = flow.upgrade() else { return };
                door.answer(&held, idle).await;
                door.flows.borrow_mut().forget(&key, &held);
                drop(counted);
            };
            Flow {
                far,
                ends,
                endpoint: endpoint.id,
                cluster: RefCell::new(cluster.clone()),
                used: Cell::new(Instant::now()),
                fresh: Cell::new(true),
                due: Cell::new((relayed.responses > 0).then_some(0)),
                answering: spawn_local(answering).abort_handle(),
            }
        });
        self.flows.borrow_mut().add(key, flow.clone());
        Ok(flow)
    }

    /// Takes answers back to the client, until there are no more to come, or nothing passed for a while.
    async fn answer(&self, flow: &Flow, idle: Duration) {
        while flow.due.get() != Some(0) {
            let left = idle.saturating_sub(flow.used.get().elapsed());
            if left.is_zero() {
                return;
            }
            match timeout(left, flow.far.readable()).await {
                Err(_) => continue,
                Ok(Err(_)) => return,
                Ok(Ok(())) => {}
            }
            let mut data = Vec::with_capacity(DATAGRAM_MAX_BYTES);
            // An error is what ICMP said of an earlier datagram: the endpoint may come back.
            if flow.far.try_recv_buf(&mut data).is_ok() {
                flow.used.set(Instant::now());
                flow.due.set(flow.due.get().map(|due| due.saturating_sub(1)));
                let _ = datagram::answer(&self.near, &data, &flow.ends);
            }
        }
    }

    /// Until no flow is left.
    async fn idle(&self) {
        while !self.flows.borrow().is_empty() {
            sleep(IDLE_CHECK).await;
        }
    }
}

impl Flow {
    /// Its endpoint is there still, draining or not, and is what the listener leads to.
    fn stands(&self, state: &Held, relayed: &Relayed) -> bool {
        let Some(cluster) = state.clusters.get(&relayed.cluster) else { return false };
        let mut held = self.cluster.borrow_mut();
        if !Arc::ptr_eq(&held, cluster) {
            if held.row.row.name != relayed.cluster || cluster.named(self.endpoint).is_none() {
                return false;
            }
            *held = cluster.clone();
        }
        true
    }

    fn send(&self, data: &[u8], relayed: &Relayed) -> io::Result<()> {
        self.used.set(Instant::now());
        self.fresh.set(true);
        self.due.set(self.due.get().map(|due| due + u64::from(relayed.responses)));
        // Not by way of the event loop, which has yet to hear that a new socket can be written to.
        match SockRef::from(&self.far).send(data) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }
}

/// A flow, as it is counted.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: &Arc<Metrics>) -> Open {
        metrics.lock().flows += 1;
        Open(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().flows -= 1;
    }
}

impl flows::Flow for Flow {
    fn take_fresh(&self) -> bool {
        self.fresh.replace(false)
    }

    fn end(&self) {
        self.answering.abort();
    }
}

fn socket_to(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let any = if endpoint.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(endpoint)?;
    UdpSocket::from_std(socket)
}

const DATAGRAM_MAX_BYTES: usize = 65_535;
const BATCH: usize = 64;
/// Of one thread.
const FLOWS_MAX: usize = 8192;
const TRIES_MAX: usize = 3;
const RETRY: Duration = Duration::from_millis(1);
const IDLE_CHECK: Duration = Duration::from_millis(100);
