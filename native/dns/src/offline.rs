//! The whole way of a query without sockets, other servers or time: for native/fuzz.

use crate::answer::{Outcome, State, answer, answer_knowing, wanted};
use crate::asker::Asker;
use crate::forward::stated;
use crate::known::{Fetched, Known};
use crate::lookup::Lookup;
use crate::name::within;
use crate::packet;
use crate::reply::Transport;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is answered to a datagram, or to a message of a stream, at the first place that is served: its length in `room`, of
/// 65,535 octets; `None`: nothing. `others`: what servers that are asked say, without question and id.
pub fn answer_offline(
    state: &State,
    packet: &[u8],
    peer: SocketAddr,
    stream: bool,
    others: &[u8],
    room: &mut [u8],
) -> Option<usize> {
    let listener = state.listeners.first()?;
    let transport = if stream { Transport::Tcp } else { Transport::Udp };
    let asker = Asker { peer, transport, came: Instant::now(), lane: 0, turn: packet.len() };
    // As udp.rs has it for datagrams, stream.rs for the others.
    let bytes = if stream { room.len() } else { 4096 };
    match answer(&state.tables, listener, packet, asker, &mut room[..bytes]) {
        Outcome::Later => {}
        outcome => return length(outcome),
    }
    let query = packet::parse(packet).ok()?;
    let (_, served) = listener.zones.iter().find(|(zone, _)| within(query.name.wire(), zone.wire()))?;
    let (tables, chain, server) = (&state.tables, &served.chain, listener.place.address);
    let mut known = Known::default();
    for _ in 0..FETCHES_MAX {
        let known_yet = Some(&known);
        let lookup =
            Lookup { tables, chain, query: &query, known: known_yet, asker: &asker, server, options: &[], trace: None };
        let Some(wanted) = wanted(&lookup, room) else { break };
        let fetched = match stated(&wanted.name, wanted.kind, others) {
            Some(stored) => {
                let ttl = (packet.len() & 1 == 0).then_some(30);
                Fetched::Answer { stored: Arc::new(stored), ttl, upstream: ttl.is_none().then_some(peer) }
            }
            None => Fetched::Nothing,
        };
        known.0.push((wanted, fetched));
    }
    length(answer_knowing(tables, listener, packet, asker, &mut room[..bytes], Some(&known)))
}

fn length(outcome: Outcome) -> Option<usize> {
    match outcome {
        Outcome::Answer(length) | Outcome::Renew(length) | Outcome::Hold(length, _) => Some(length),
        Outcome::Nothing | Outcome::Later => None,
    }
}

/// Fewer than `resolve` takes: an execution is to be short.
const FETCHES_MAX: usize = 4;
