//! UDP: a socket of its own for each client, so that answers find their way back. A flow ends when it is idle, as in the
//! kernel's connection tracking.

use crate::relay::Places;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// Until it is dropped; its flows end with it.
pub async fn forward(near: std::net::UdpSocket, to: watch::Receiver<Places>, places: Arc<Semaphore>) {
    let near = Arc::new(UdpSocket::from_std(near).expect("a non-blocking socket inside a runtime"));
    let mut flows = Flows { near: near.clone(), to, places, began: Instant::now(), known: HashMap::new(), serial: 0 };
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            ready = near.readable() => {
                // Not kept: a thousand doors that nobody knocks at hold no memory for it.
                let mut data = Vec::with_capacity(DATAGRAM_MAX_BYTES);
                match ready.and_then(|()| near.try_recv_buf_from(&mut data)) {
                    // No place, or no way: lost, as UDP may.
                    Ok((_, client)) => drop(flows.send(client, &data, &mut answering).await),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => sleep(RETRY).await,
                }
            },
            Some(Ok(ended)) = answering.join_next(), if !answering.is_empty() => flows.end(ended),
            changed = flows.to.changed() => {
                if changed.is_err() {
                    return;
                }
                flows.known.clear();
                answering.abort_all();
            }
        }
    }
}

struct Flows {
    near: Arc<UdpSocket>,
    to: watch::Receiver<Places>,
    places: Arc<Semaphore>,
    began: Instant,
    known: HashMap<SocketAddr, Flow>,
    serial: u64,
}

struct Flow {
    far: Arc<UdpSocket>,
    /// When something last passed, in ms since `began`.
    used_ms: Arc<AtomicU64>,
    serial: u64,
    answering: AbortHandle,
    _place: OwnedSemaphorePermit,
}

/// The task may end after its client got a new flow: then it is not that one which ends.
type Ended = (SocketAddr, u64);

impl Flows {
    async fn send(&mut self, client: SocketAddr, data: &[u8], answering: &mut JoinSet<Ended>) -> io::Result<()> {
        if !self.known.contains_key(&client) {
            let flow = self.open(client, answering).await?;
            self.known.insert(client, flow);
        }
        let flow = &self.known[&client];
        flow.used_ms.store(self.now_ms(), Ordering::Relaxed);
        match flow.far.send(data).await {
            // What ICMP said of an earlier datagram: this one was not sent yet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => flow.far.send(data).await?,
            other => other?,
        };
        Ok(())
    }

    async fn open(&mut self, client: SocketAddr, answering: &mut JoinSet<Ended>) -> io::Result<Flow> {
        let to = self.to.borrow().first().copied().ok_or(ErrorKind::ConnectionRefused)?;
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.make_room().ok_or(ErrorKind::WouldBlock)?,
        };
        let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let far = Arc::new(UdpSocket::bind((any, 0)).await?);
        far.connect(to).await?;
        self.serial += 1;
        let (serial, began) = (self.serial, self.began);
        let used_ms = Arc::new(AtomicU64::new(self.now_ms()));
        let (near, from, used) = (self.near.clone(), far.clone(), used_ms.clone());
        let answering = answering.spawn(async move {
            answer(&near, &from, client, &used, began).await;
            (client, serial)
        });
        Ok(Flow { far, used_ms, serial, answering, _place: place })
    }

    /// The place of the flow here that was used least lately.
    fn make_room(&mut self) -> Option<OwnedSemaphorePermit> {
        let (client, _) = self.known.iter().min_by_key(|(_, flow)| flow.used_ms.load(Ordering::Relaxed))?;
        let client = *client;
        let flow = self.known.remove(&client)?;
        flow.answering.abort();
        Some(flow._place)
    }

    fn end(&mut self, (client, serial): Ended) {
        if self.known.get(&client).is_some_and(|flow| flow.serial == serial) {
            self.known.remove(&client);
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// Takes answers back to the client, until nothing passed for a while.
async fn answer(near: &UdpSocket, far: &UdpSocket, client: SocketAddr, used_ms: &AtomicU64, began: Instant) {
    loop {
        let idle = began.elapsed().saturating_sub(Duration::from_millis(used_ms.load(Ordering::Relaxed)));
        if idle >= IDLE_MAX {
            return;
        }
        let Ok(ready) = timeout(IDLE_MAX - idle, far.readable()).await else { continue };
        if ready.is_err() {
            return;
        }
        let mut data = Vec::with_capacity(DATAGRAM_MAX_BYTES);
        // An error is what ICMP said of an earlier datagram: the endpoint may come back.
        if far.try_recv_buf(&mut data).is_ok() {
            used_ms.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
            let _ = near.send_to(&data, client).await;
        }
    }
}

const DATAGRAM_MAX_BYTES: usize = 65_535;
/// nf_conntrack_udp_timeout_stream: what the kernel keeps a flow for that was answered.
const IDLE_MAX: Duration = Duration::from_secs(120);
const RETRY: Duration = Duration::from_millis(1);
