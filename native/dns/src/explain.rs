//! What gives the answer to a question, for people.

use crate::answer::{Asker, State};
use crate::cache::{Hit, Key};
use crate::metrics::PLUGINS;
use crate::name::{Name, Shown, within};
use crate::packet::{self, HEADER_BYTES, Query};
use crate::reply::{Reply, Transport, UDP_SIZE};
use crate::step::{Given, Step};
use crate::zone::Place;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;
use wire::protocol::Explain;

/// `{ place, zone, plugin, object, alias, code, cached, upstreams }`: of the first place that serves the name. `code` is null
/// where others are asked, and `cached` whether they were already; `place` is null when no server block is for the name.
pub fn explain(state: &State, asked: &Explain) -> Result<Value, String> {
    let name = Name::parse(&asked.name)?;
    let kind = number(&asked.kind).ok_or_else(|| format!("{:?} is no type of records", asked.kind))?;
    let client: IpAddr = match &asked.from {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no address"))?,
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let held = state.listeners.iter().find_map(|listener| {
        let (zone, served) = listener.zones.iter().find(|(zone, _)| within(name.wire(), zone.wire()))?;
        Some((listener, zone, served))
    });
    let Some((listener, zone, served)) = held else {
        return Ok(json!({
            "place": null, "zone": null, "plugin": null, "object": null, "alias": null, "code": packet::REFUSED,
            "cached": false, "upstreams": [],
        }));
    };
    let mut packet = vec![0; HEADER_BYTES];
    packet[5] = 1;
    packet.extend(name.wire());
    packet.extend([kind.to_be_bytes(), packet::IN.to_be_bytes()].concat());
    let query: Query = packet::parse(&packet).map_err(|_| format!("{name} cannot be asked for"))?;
    let mut room = vec![0; usize::from(u16::MAX)];
    let mut reply = Reply::new(&mut room, &query, Transport::Tcp, UDP_SIZE);
    let asker =
        Asker { peer: SocketAddr::new(client, 0), transport: Transport::Udp, came: Instant::now(), lane: 0, turn: 0 };
    let chain = &served.chain;
    let name = chain.rewritten(&query, &asker, listener.place.address).unwrap_or(name);
    let place = Place { name: name.wire(), offset: HEADER_BYTES };
    let (given, plugin) = chain.run(0..chain.steps.len(), &state.tables, place, kind, &asker, &mut reply);
    let given = if given == Given::Pass { Given::Done(chain.code_of_nobody(packet::IN)) } else { given };
    let alias = match given {
        Given::Elsewhere { offset } => {
            let wire = &reply.written()[offset..];
            Some(Shown(&wire[..packet::plain_name(wire).unwrap_or(0)]).to_string())
        }
        _ => None,
    };
    let key = Key::new(name.wire(), kind, false, false);
    let cached = match given {
        Given::Upstream(_) => {
            let cache = served.chain.cache.as_ref().filter(|cache| cache.holds(name.wire()));
            matches!(cache.and_then(|cache| cache.get(&key, Instant::now())), Some(Hit::Fresh { .. }))
        }
        _ => false,
    };
    let upstreams = match given {
        Given::Upstream(step) => served.chain.forward(step),
        _ => None,
    };
    let sets = served.chain.steps.iter().flat_map(Step::sets).filter_map(|set| state.tables.sets.get(set));
    let object = sets.filter_map(|set| set.get(name.wire())?.object()).next();
    Ok(json!({
        "place": { "address": listener.place.address, "transport": listener.place.transport },
        "zone": zone.to_string(),
        "plugin": if plugin == 0 { None } else { Some(PLUGINS[plugin]) },
        "object": object,
        "alias": alias,
        "code": if let Given::Done(code) = given { Some(code) } else { None },
        "dropped": given == Given::Drop,
        "cached": cached,
        "upstreams": upstreams.map_or(json!([]), |forward| {
            forward.upstreams().map(|(address, down)| json!({ "address": address, "down": down })).collect()
        }),
    }))
}

/// `A`, `SRV`, `TYPE65`.
fn number(text: &str) -> Option<u16> {
    let known = crate::metrics::TYPES.iter().find(|(number, name)| *number != 0 && name.eq_ignore_ascii_case(text));
    known.map(|(number, _)| *number).or_else(|| text.to_ascii_uppercase().strip_prefix("TYPE")?.parse().ok())
}
