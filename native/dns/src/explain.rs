//! What gives the answer to a question, for people.

use crate::answer::{Asker, State, say};
use crate::lookup::{Lookup, Said};
use crate::metrics::{FILE, PLUGINS};
use crate::name::{Name, Shown, within};
use crate::names;
use crate::packet::{self, HEADER_BYTES, Query};
use crate::reply::{Reply, Transport, UDP_SIZE};
use crate::step::{Chain, Step};
use crate::tables::Tables;
use crate::trace::{Trace, Voice, Who};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;
use wire::protocol::Explain;

/// `{ place, zone, by, code, dropped }`: of the first place that serves the name. `code` is null where others are to be asked,
/// who are then the last of `by`; `place` is null when no server block is for the name. Each of `by`, in order, is
/// `{ name, type, plugin, object, upstreams, kept }`. Nobody is asked, and nothing counted.
pub fn explain(state: &State, asked: &Explain) -> Result<Value, String> {
    let name = Name::parse(&asked.name)?;
    let kind = names::kind(&asked.kind).ok_or_else(|| format!("{:?} is no type of records", asked.kind))?;
    let client: IpAddr = match &asked.from {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no address"))?,
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let held = state.listeners.iter().find_map(|listener| {
        let (zone, served) = listener.zones.iter().find(|(zone, _)| within(name.wire(), zone.wire()))?;
        Some((listener, zone, served))
    });
    let Some((listener, zone, served)) = held else {
        return Ok(json!({ "place": null, "zone": null, "by": [], "code": packet::REFUSED, "dropped": false }));
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
    let (trace, chain, tables) = (Trace::default(), &served.chain, &state.tables);
    let server = listener.place.address;
    let lookup =
        Lookup { tables, chain, query: &query, known: None, asker: &asker, server, options: &[], trace: Some(&trace) };
    let said = say(&lookup, &mut reply).map(|(said, _)| said);
    let by: Vec<Value> = trace.end().iter().map(|voice| shown(voice, chain, tables)).collect();
    Ok(json!({
        "place": { "address": server, "transport": listener.place.transport },
        "zone": zone.to_string(),
        "by": by,
        "code": said.as_ref().ok().filter(|said| !said.dropped).map(|said| said.code),
        "dropped": said.as_ref().is_ok_and(|Said { dropped, .. }| *dropped),
    }))
}

fn shown(voice: &Voice, chain: &Chain, tables: &Tables) -> Value {
    let name = voice.name.to_ascii_lowercase();
    let (plugin, object) = match voice.who {
        Who::Layer(plugin) => (Some(plugin), None),
        Who::Step(plugin) => {
            (Some(PLUGINS[plugin]).filter(|plugin| !plugin.is_empty()), object(plugin, &name, chain, tables))
        }
        Who::Upstream { .. } => (Some("forward"), None),
        Who::Nobody => (None, None),
    };
    let (forward, kept) = match voice.who {
        Who::Upstream { step, kept } => (chain.forward(step), kept),
        _ => (None, false),
    };
    json!({
        "name": Shown(&name).to_string(),
        "type": names::Kind(voice.kind).to_string(),
        "plugin": plugin,
        "object": object,
        "upstreams": forward.map_or(json!([]), |forward| {
            forward.upstreams().map(|(address, down)| json!({ "address": address, "down": down })).collect()
        }),
        "kept": kept,
    })
}

/// What the row of a name was made of.
fn object<'t>(plugin: usize, name: &[u8], chain: &Chain, tables: &'t Tables) -> Option<&'t str> {
    let gave = |step: &&Step| match step {
        Step::Kubernetes(_) => plugin == KUBERNETES,
        Step::Hosts(_) => plugin == HOSTS,
        Step::File(_) => plugin == FILE,
        _ => false,
    };
    let sets = chain.steps.iter().filter(gave).flat_map(Step::sets).filter_map(|set| tables.sets.get(set));
    sets.filter_map(|set| set.get(name)?.object()).next()
}

/// Indices into `metrics::PLUGINS`.
const KUBERNETES: usize = 1;
const HOSTS: usize = 4;
