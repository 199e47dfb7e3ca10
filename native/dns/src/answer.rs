//! From a query's octets to those of its answer: the path of every message, whatever it came by.

pub use crate::asker::Asker;
use crate::cache::{Hit, Key, count};
use crate::circle::Circle;
use crate::log::Event;
use crate::metrics::{Counters, Exchange};
use crate::name::{Name, within};
use crate::packet::{self, HEADER_BYTES, Query, Wrong};
use crate::reply::{Head, Reply, Transport, UDP_SIZE, pointer, refuse};
use crate::resolve::Fetched;
use crate::step::{Chain, Given, Tables};
use crate::stream::Timeouts;
use crate::tls_server::ServerTls;
use crate::zone::Place;
use std::sync::Arc;
use std::time::Instant;
use wire::corefile::Flag;

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
    pub tls: Option<Arc<ServerTls>>,
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
    /// There is an answer, and it is to be fetched anew.
    Renew(usize),
}

/// What was learnt from others: by forward step and name.
#[derive(Default)]
pub struct Known(pub Vec<(usize, Vec<u8>, Fetched)>);

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
    if let Some(identifier) = chain.identifier.as_ref().filter(|_| query.wants_identifier) {
        reply.option(packet::NSID, &[identifier]);
    }
    let said = match say(tables, chain, &query, known, &asker, &mut reply) {
        Ok(said) => said,
        Err(_) if known.is_none() => return Outcome::Later,
        Err(_) => Said { code: packet::SERVER_FAILURE, ..Said::default() },
    };
    if matches!(said.code, packet::SERVER_FAILURE | packet::REFUSED) {
        reply.clear(&query);
    }
    if said.dropped {
        return Outcome::Nothing;
    }
    if chain.minimal && said.code == packet::NO_ERROR {
        reply.minimize();
    }
    let mut head = Head {
        code: said.code,
        authoritative: said.authoritative
            && reply.authoritative
            && matches!(said.code, packet::NO_ERROR | packet::NAME_ERROR),
        recursion_available: chain.recursive,
        authentic: said.authentic && query.edns.is_some_and(|edns| edns.dnssec_ok),
    };
    if let Some(header) = &chain.header {
        set_flags(header, &mut query, &mut head);
    }
    let length = reply.finish(&query, head);
    if let Some(log) = &chain.log {
        log.tell(&Event {
            query: &query,
            query_bytes: packet.len(),
            answer: &room[..length],
            code: said.code,
            peer: asker.peer,
            local: listener.place.address.ip(),
            transport: asker.transport,
            took: asker.came.elapsed(),
        });
    }
    if chain.counted {
        let exchange = Exchange {
            transport: asker.transport,
            ipv6: asker.peer.is_ipv6(),
            kind: query.kind,
            request_bytes: packet.len(),
            response_bytes: length,
            code: said.code,
            plugin: said.plugin,
            took: asker.came.elapsed(),
        };
        served.counters.add(asker.lane, &exchange);
    }
    if said.renew { Outcome::Renew(length) } else { Outcome::Answer(length) }
}

/// The header step: RD of the query is what the answer repeats.
fn set_flags(header: &wire::corefile::Header, query: &mut Query, head: &mut Head) {
    for rule in &header.query {
        if rule.flag == Flag::Rd {
            query.recursion_desired = rule.set;
        }
    }
    for rule in &header.response {
        match rule.flag {
            Flag::Aa => head.authoritative = rule.set,
            Flag::Ra => head.recursion_available = rule.set,
            Flag::Rd => query.recursion_desired = rule.set,
        }
    }
}

/// What the header and the counters are to know.
#[derive(Default)]
struct Said {
    code: u16,
    plugin: usize,
    authoritative: bool,
    authentic: bool,
    renew: bool,
    /// There is to be no answer.
    dropped: bool,
}

/// The forward step and the name that has to be asked for.
type Wanted = (usize, Vec<u8>);

/// Runs the chain for the question, then for what it turns out to be an alias of.
fn say(
    tables: &Tables,
    chain: &Chain,
    query: &Query,
    known: Option<&Known>,
    asker: &Asker,
    reply: &mut Reply,
) -> Result<Said, Wanted> {
    let (mut name, mut offset, mut from) = (query.name.clone(), HEADER_BYTES, 0);
    let mut said = Said { authoritative: true, ..Said::default() };
    let other = chain.rewrite.as_ref().and_then(|rewrite| rewrite.name(name.wire()));
    let mut rewritten = other.is_some();
    if let Some(other) = other {
        name = packet::LowerName::of(other.wire());
    }
    for _ in 0..crate::kubernetes::ALIASES_MAX {
        let place = Place { name: name.wire(), offset, rewritten };
        let (given, plugin) = chain.run(from, tables, place, query.kind, asker, reply);
        if said.plugin == 0 {
            said.plugin = plugin;
        }
        match given {
            Given::Done(code) => return Ok(Said { code, ..said }),
            Given::Pass => break,
            Given::Drop => return Ok(Said { dropped: true, ..said }),
            Given::Elsewhere { offset: target } => {
                let wire = &reply.written()[target..];
                let length = packet::plain_name(wire).unwrap_or(0);
                name = packet::LowerName::of(&wire[..length]);
                (offset, from, rewritten) = (target, 0, false);
            }
            Given::Upstream(_) if chain.circle.as_ref().is_some_and(Circle::is_closed) => break,
            Given::Upstream(step) => {
                said.authoritative = false;
                let owner = pointer(offset).unwrap_or(crate::record::OWNER);
                let wanted = || (step, name.wire().to_vec());
                let Some(known) = known else {
                    return cached(chain, &name, query, asker.came, owner, reply, said).ok_or_else(wanted);
                };
                let told = known.0.iter().find(|(asked, held, _)| *asked == step && held == name.wire());
                match told.map(|(.., fetched)| fetched) {
                    None => return Err(wanted()),
                    Some(Fetched::Answer(stored, ttl)) => {
                        if chain.forward(step).is_some_and(|forward| forward.passes(stored)) {
                            from = step + 1;
                            continue;
                        }
                        stored.put(reply, owner, *ttl);
                        return Ok(Said { code: stored.code, authentic: stored.authentic, ..said });
                    }
                    Some(Fetched::Refused) => return Ok(Said { code: packet::REFUSED, ..said }),
                    Some(Fetched::Nothing) => break,
                }
            }
        }
    }
    Ok(Said { code: packet::SERVER_FAILURE, ..said })
}

/// From the cache, without asking.
fn cached(
    chain: &Chain,
    name: &packet::LowerName,
    query: &Query,
    now: Instant,
    owner: u16,
    reply: &mut Reply,
    said: Said,
) -> Option<Said> {
    let cache = chain.cache.as_ref().filter(|cache| cache.holds(name.wire()))?;
    let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
    let key = Key::new(name.wire(), query.kind, dnssec_ok, query.checking_disabled);
    let Some(hit) = cache.get(&key, now) else {
        count(&cache.counts.misses);
        return None;
    };
    match hit {
        Hit::Fresh { kept, ttl, refresh } => {
            kept.stored.put(reply, owner, Some(ttl));
            let (code, authentic) = (kept.stored.code, kept.stored.authentic);
            Some(Said { code, authentic, plugin: CACHE, renew: refresh, ..said })
        }
        Hit::Stale { .. } => None,
    }
}

/// What the chain wants to know and does not yet.
pub fn chase_of(
    tables: &Tables,
    chain: &Chain,
    query: &Query,
    asker: &Asker,
    room: &mut [u8],
    known: &Known,
) -> Option<Wanted> {
    let mut reply = Reply::new(room, query, Transport::Tcp, UDP_SIZE);
    say(tables, chain, query, Some(known), asker, &mut reply).err()
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

/// Index into `metrics::PLUGINS`.
const CACHE: usize = 3;
