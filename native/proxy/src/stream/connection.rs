//! A TCP connection that goes on to an endpoint as it came.

use crate::client::addresses::Addresses;
use crate::client::connection::Closing;
use crate::client::transport::Replay;
use crate::client::tunnel::relay;
use crate::proxy_protocol;
use crate::record::refusals::Refusal;
use crate::table::listener::Listener;
use crate::thread::Thread;
use crate::upstream::balance::Choice;
use crate::upstream::cluster::{Cluster, Endpoint};
use crate::upstream::health::{ClusterRequests, Connections, Counted, Requests};
use socket2::SockRef;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub struct Relay<'a> {
    pub thread: &'a Thread,
    pub listener: &'a Listener,
    pub addresses: Addresses,
    pub cluster: &'a str,
    pub connect: Duration,
    pub idle: Duration,
}

impl Relay<'_> {
    /// Until both directions have ended, or nothing came for too long. `read`: what was read of the connection already.
    pub async fn run(&self, mut client: TcpStream, read: Vec<u8>, closing: &Closing) {
        let Addresses { peer, .. } = self.addresses;
        let refuse = |why, detail: &str| {
            self.thread.refuse(self.listener, peer, why, format_args!("{detail} (cluster {})", self.cluster));
        };
        let cluster = self.thread.state().clusters.get(self.cluster).cloned();
        let Some(cluster) = cluster.filter(|cluster| !cluster.active.is_empty()) else {
            return refuse(Refusal::NoEndpoint, "there is no endpoint");
        };
        let (health, circuit) = (&cluster.health, cluster.row.row.circuit);
        if health.connections.load(Relaxed) >= circuit.connections_max {
            return refuse(Refusal::Full, "there are as many connections as there may be");
        }
        let _seat = (Counted::new(Connections(health.clone())), Counted::new(ClusterRequests(health.clone())));
        let Some((mut backend, endpoint)) = self.reach(&cluster).await else {
            return refuse(Refusal::Connect, "no endpoint takes the connection");
        };
        let _held = Counted::new(Requests(endpoint.health.clone()));
        let over = {
            let both = relay(Replay::new(read, &mut client), &mut backend, self.idle);
            tokio::select! {
                ended = both => ended.is_err(),
                () = closing.over(self.listener) => true,
            }
        };
        if over {
            // The other side is to see that this is no end as any other.
            for stream in [&client, &backend] {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
    }

    /// One that fails is passed over, and another one tried.
    async fn reach<'c>(&self, cluster: &'c Cluster) -> Option<(TcpStream, &'c Endpoint)> {
        let mut tried = Vec::new();
        while tried.len() < TRIES_MAX {
            let chance = self.thread.chance();
            let at = cluster.choose(&Choice { hash: None, stuck: None, tried: &tried, chance })?;
            let endpoint = &cluster.endpoints[at];
            let began = Instant::now();
            if let Ok(Ok(stream)) = timeout(self.connect, self.open(cluster, endpoint)).await {
                endpoint.health.succeeded(&cluster.health, began.elapsed());
                return Some((stream, endpoint));
            }
            endpoint.health.failed(&cluster.health, cluster.row.row.ejection, cluster.endpoints.len());
            tried.push(at);
        }
        None
    }

    async fn open(&self, cluster: &Cluster, endpoint: &Endpoint) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(endpoint.address).await?;
        stream.set_nodelay(true)?;
        if let Some(version) = cluster.row.row.proxy_protocol {
            let Addresses { peer, local, told } = self.addresses;
            stream.write_all(&proxy_protocol::write(version, peer, told.unwrap_or(local))).await?;
        }
        Ok(stream)
    }
}

/// ingress-nginx's proxy-stream-next-upstream-tries.
const TRIES_MAX: usize = 3;
