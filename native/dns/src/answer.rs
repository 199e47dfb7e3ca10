//! From a query's octets to those of its answer: the path of every message, whatever it came by.

use crate::metrics::{Counters, Exchange};
use crate::name::{Name, within};
use crate::packet::{self, HEADER_BYTES, Query, Wrong};
use crate::reply::{Head, Reply, Transport, UDP_SIZE, refuse};
use crate::step::{Chain, Given, Tables};
use crate::zone::Place;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is in force.
#[derive(Clone, Default)]
pub struct State {
    pub tables: Tables,
    pub listeners: Arc<Vec<Listener>>,
}

/// What answers at a place.
pub struct Listener {
    pub place: supervisor::Place,
    /// The longest zone first.
    pub zones: Vec<(Name, Arc<Served>)>,
}

/// A zone of a server block.
pub struct Served {
    pub chain: Arc<Chain>,
    pub counters: Arc<Counters>,
}

/// Who asks, and when it came.
#[derive(Clone, Copy)]
pub struct Asker {
    pub peer: SocketAddr,
    pub transport: Transport,
    pub came: Instant,
    /// Of the thread that serves.
    pub lane: usize,
    /// Grows with each query of a thread.
    pub turn: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer, ever.
    Nothing,
    /// The first octets of the room.
    Answer(usize),
    /// The answer takes asking others.
    Later,
}

impl State {
    pub fn listener(&self, place: &supervisor::Place) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.place == *place)
    }
}

/// `room` has at least 1,232 octets, and 65,535 for what is no datagram.
pub fn answer(tables: &Tables, listener: &Listener, packet: &[u8], asker: Asker, room: &mut [u8]) -> Outcome {
    let query = match packet::parse(packet) {
        Ok(query) => query,
        Err(Wrong::Drop) => return Outcome::Nothing,
        Err(Wrong::Refuse { code, opt }) => return Outcome::Answer(refuse(room, packet, code, opt)),
    };
    let name = query.name.wire();
    let Some((_, served)) = listener.zones.iter().find(|(zone, _)| within(name, zone.wire())) else {
        return Outcome::Answer(refused(room, &query, asker.transport));
    };
    let chain = &served.chain;
    let mut reply = Reply::new(room, &query, asker.transport, chain.bufsize);
    if chain.rotate {
        reply.turn = asker.turn;
    }
    let (given, plugin) = if query.class == packet::IN {
        chain.run(tables, Place { name, offset: HEADER_BYTES }, query.kind, &mut reply)
    } else {
        (Given::Done(packet::REFUSED), 0)
    };
    let code = match given {
        Given::Done(code) => code,
        Given::Later => return Outcome::Later,
        Given::Elsewhere { .. } if chain.recursive => return Outcome::Later,
        // There is nobody to ask what an alias stands for; half an answer would be taken for a whole one.
        Given::Elsewhere { .. } | Given::Pass => packet::SERVER_FAILURE,
    };
    if matches!(code, packet::SERVER_FAILURE | packet::REFUSED) {
        reply.clear(&query);
    }
    let authoritative = matches!(code, packet::NO_ERROR | packet::NAME_ERROR);
    let head = Head { code, authoritative, recursion_available: chain.recursive, authentic: false };
    let length = reply.finish(&query, head);
    if chain.counted {
        let exchange = Exchange {
            transport: asker.transport,
            ipv6: asker.peer.is_ipv6(),
            kind: query.kind,
            request_bytes: packet.len(),
            response_bytes: length,
            code,
            plugin,
            took: asker.came.elapsed(),
        };
        served.counters.add(asker.lane, &exchange);
    }
    Outcome::Answer(length)
}

/// SERVFAIL to a query that was fine. Returns its length.
pub fn failed(packet: &[u8], transport: Transport, room: &mut [u8]) -> usize {
    let Ok(query) = packet::parse(packet) else { return 0 };
    let head = Head { code: packet::SERVER_FAILURE, ..Head::default() };
    Reply::new(room, &query, transport, UDP_SIZE).finish(&query, head)
}

fn refused(room: &mut [u8], query: &Query, transport: Transport) -> usize {
    Reply::new(room, query, transport, UDP_SIZE).finish(query, Head { code: packet::REFUSED, ..Head::default() })
}
