//! From a query's octets to those of its answer: the path of every message, whatever it came by.

pub use crate::asker::Asker;
use crate::known::{Known, Wanted};
use crate::layer::{Layers, Request};
use crate::log::Event;
use crate::lookup::{Lookup, Said, set_flags};
use crate::message::Message;
use crate::metrics::{Counters, Exchange};
use crate::name::{Name, within};
use crate::packet::{self, Query, Wrong};
use crate::reply::{Head, Reply, Transport, UDP_SIZE, refuse};
use crate::step::Chain;
use crate::stream::Timeouts;
use crate::tables::{Observers, Tables};
use crate::tls_server::ServerTls;
use crate::watch::Sighting;
use std::sync::Arc;

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
    /// Of the first server block that says so.
    pub timeouts: Timeouts,
    /// Of each server block that has one.
    pub tls: Vec<Arc<ServerTls>>,
}

/// A zone of a server block.
pub struct Served {
    pub chain: Arc<Chain>,
    pub counters: Arc<Counters>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer, ever.
    Nothing,
    /// The first octets of the room.
    Answer(usize),
    /// The answer takes asking others.
    Later,
    /// There is an answer, and some want to know of it before it goes.
    Hold(usize, Sighting),
    /// There is an answer, and it is to be fetched anew.
    Renew(usize),
}

impl State {
    pub fn listener(&self, place: &supervisor::Place) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.place == *place)
    }
}

/// `room` has at least 1,232 octets, and 65,535 for what is no datagram.
pub fn answer(tables: &Tables, listener: &Listener, packet: &[u8], asker: Asker, room: &mut [u8]) -> Outcome {
    answer_knowing(tables, listener, packet, asker, room, None)
}

/// `known`: what others said; `None` when they were not asked yet.
pub fn answer_knowing(
    tables: &Tables,
    listener: &Listener,
    packet: &[u8],
    asker: Asker,
    room: &mut [u8],
    known: Option<&Known>,
) -> Outcome {
    let mut query = match packet::parse(packet) {
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
    if let Some(circle) = chain.circle.as_ref().filter(|_| known.is_none()) {
        circle.look(name, query.kind);
    }
    if let Some(identifier) = chain.identifier.as_ref().filter(|_| query.wants.identifier) {
        reply.option(packet::NSID, &[identifier]);
    }
    if query.wants.keepalive && asker.transport != Transport::Udp {
        reply.option(packet::KEEPALIVE, &[&listener.timeouts.keepalive().to_be_bytes()]);
    }
    let server = listener.place.address;
    let lookup = Lookup { tables, chain, query: &query, known, asker: &asker, server, options: &[], trace: None };
    let (said, in_layers) = match say(&lookup, &mut reply) {
        Ok(said) => said,
        Err(_) if known.is_none() => return Outcome::Later,
        Err(_) => (Said { code: packet::SERVER_FAILURE, ..Said::default() }, false),
    };
    if !in_layers && matches!(said.code, packet::SERVER_FAILURE | packet::REFUSED) {
        reply.clear(&query);
    }
    if said.dropped {
        if let Some(log) = &chain.log {
            log.tell(&Event::of(&query, packet, &asker, server, &[], said.code, lookup.facts()));
        }
        return Outcome::Nothing;
    }
    let mut head = Head {
        code: said.code,
        authoritative: said.authoritative && reply.authoritative,
        recursion_available: chain.recursive,
        authentic: said.authentic && query.edns.is_some_and(|edns| edns.dnssec_ok),
    };
    if let Some((available, desired)) = said.flags {
        (head.recursion_available, query.recursion_desired) = (available, desired);
    } else {
        shape(chain, &mut reply, &mut query, &mut head);
    }
    let length = reply.finish(&query, head);
    if let Some(log) = &chain.log {
        let lookup = Lookup { tables, chain, query: &query, known, asker: &asker, server, options: &[], trace: None };
        log.tell(&Event::of(&query, packet, &asker, server, &room[..length], said.code, lookup.facts()));
    }
    if chain.counted {
        let exchange = Exchange {
            transport: asker.transport,
            ipv6: asker.peer.is_ipv6(),
            kind: query.kind,
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            request_bytes: packet.len(),
            response_bytes: length,
            code: said.code,
            plugin: said.plugin,
            took: asker.came.elapsed(),
        };
        served.counters.add(asker.lane, &exchange);
    }
    let Observers { watch, top } = &*tables.observers;
    if top.is_on() {
        top.count(asker.lane, asker.peer.ip(), query.name.wire(), said.code);
    }
    if watch.is_on()
        && let Some(sighting) = watch.see(&room[..length])
    {
        return Outcome::Hold(length, sighting);
    }
    if said.renew { Outcome::Renew(length) } else { Outcome::Answer(length) }
}

/// What the chain says, and whether a layer had a say in it.
pub fn say(lookup: &Lookup, reply: &mut Reply) -> Result<(Said, bool), Wanted> {
    if !lookup.chain.is_layered(lookup.tables, lookup.query, lookup.asker) {
        let said = lookup.say(0, lookup.chain.steps.len(), reply)?;
        if said.alias.is_none() {
            return Ok((said, false));
        }
        // Layers may have a say in what it is an alias of.
        if let Some(trace) = lookup.trace {
            trace.cut(0);
        }
    }
    reply.clear(lookup.query);
    layered(lookup, reply).map(|said| (said, true))
}

/// What the steps minimal and header do.
fn shape(chain: &Chain, reply: &mut Reply, query: &mut Query, head: &mut Head) {
    head.authoritative &= matches!(head.code, packet::NO_ERROR | packet::NAME_ERROR);
    if chain.minimal && head.code == packet::NO_ERROR {
        reply.minimize();
    }
    if let Some(header) = &chain.header {
        set_flags(header, query, head);
    }
}

/// What the chain wants to know and does not yet.
pub fn wanted(lookup: &Lookup, room: &mut [u8]) -> Option<Wanted> {
    let mut reply = Reply::new(room, lookup.query, Transport::Tcp, UDP_SIZE);
    say(lookup, &mut reply).err()
}

/// The answer as a message, where a layer has a say in it.
fn layered(lookup: &Lookup, reply: &mut Reply) -> Result<Said, Wanted> {
    let Some(message) = Layers::new(*lookup).whole(&Request::of(lookup.query))? else {
        return Ok(Said { dropped: true, ..Said::default() });
    };
    message.put(lookup.query, reply);
    let Message { code, plugin, authoritative, authentic, renew, .. } = message;
    let flags = Some((message.recursion_available, message.recursion_desired));
    Ok(Said { code, plugin, authoritative, authentic, renew, flags, ..Said::default() })
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
