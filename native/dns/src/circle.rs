//! The loop step: whether the servers that are asked ask us. A random name is sent to them; that it comes back says so.
//! Queries for others then fail at once instead of going round, and it is looked at again from time to time: CoreDNS exits,
//! which takes the names of the cluster away, too.

use crate::answer::Asker;
use crate::forward::random;
use crate::later::{Later, Reach};
use crate::name::{Name, not_absolute};
use crate::packet::{self, HEADER_BYTES};
use crate::reply::Transport;
use crate::step::Chain;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use supervisor::{Place, Problem};
use tokio::time::sleep;

pub struct Circle {
    name: Name,
    seen: AtomicU32,
    closed: AtomicBool,
}

impl Circle {
    pub fn new(zone: &str) -> Result<Circle, Problem> {
        let zone = Name::parse(zone).map_err(not_absolute)?;
        let name = zone.child(&format!("{}.{}", random(), random())).map_err(not_absolute)?;
        Ok(Circle { name, seen: AtomicU32::new(0), closed: AtomicBool::new(false) })
    }

    /// A query came from outside.
    pub fn look(&self, name: &[u8], kind: u16) {
        if kind == HINFO && name == self.name.wire() && self.seen.fetch_add(1, Ordering::Relaxed) + 1 >= SEEN {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// For as long as the chain is in force.
pub async fn watch(chain: Weak<Chain>, place: Place, later: Later) {
    let mut said = false;
    loop {
        let Some((name, server)) = chain.upgrade().and_then(|chain| {
            let circle = chain.circle.as_ref()?;
            circle.seen.store(0, Ordering::Relaxed);
            circle.closed.store(false, Ordering::Relaxed);
            Some((circle.name.clone(), place.address))
        }) else {
            return;
        };
        let mut packet = vec![0; HEADER_BYTES];
        (packet[2], packet[5]) = (1, 1);
        packet.extend(name.wire());
        packet.extend([HINFO.to_be_bytes(), packet::IN.to_be_bytes()].concat());
        let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let asker = Asker { peer, transport: Transport::Udp, came: Instant::now(), lane: 0, turn: 0 };
        later.ask(&packet, &place, asker, Reach::Nobody, &mut []);
        sleep(LOOK).await;
        let closed = chain.upgrade().is_some_and(|chain| chain.circle.as_ref().is_some_and(Circle::is_closed));
        if !closed {
            return;
        }
        if !said {
            eprintln!(
                "loop: the servers that {server} forwards to ask it in turn: names outside fail; \
                 name other servers in the Corefile, or in the resolv.conf it reads (the node's own, not 127.0.0.53)"
            );
            said = true;
        }
        sleep(AGAIN).await;
    }
}

const HINFO: u16 = 13;
/// A name that nobody else knows came back, and again: the first one may have been a packet that the network doubled.
const SEEN: u32 = 2;
const LOOK: Duration = Duration::from_secs(6);
const AGAIN: Duration = Duration::from_secs(24);
