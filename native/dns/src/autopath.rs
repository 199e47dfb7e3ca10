//! The autopath step: a name that a client's resolver made with its first search domain is looked up in all of them at once,
//! and the client is spared the queries.

use crate::asker::Asker;
use crate::layer::{Answered, Layers, Request};
use crate::message::{Message, Record, moved};
use crate::name::{Name, names, not_absolute, within, zone_of};
use crate::packet;
use crate::table::Set;
use crate::tables::Tables;
use crate::trace::{Trace, Voice};
use crate::zone::reverse_name;
use supervisor::Problem;
use wire::corefile;

pub struct Autopath {
    zones: Vec<Name>,
    /// In the order of the client's list.
    search: Vec<Name>,
    /// The set that tells namespaces of clients, and the zones of the cluster, the longest first.
    pods: Option<(usize, Vec<Name>)>,
}

impl Autopath {
    pub fn new(step: &corefile::Autopath, mut set: impl FnMut(&str) -> usize) -> Result<Autopath, Problem> {
        let search = step.search.iter().map(|text| Name::parse(text)).collect::<Result<_, _>>();
        let pods = step.pods.as_ref().map(|pods| Ok((set(&pods.set), names(&pods.zones)?))).transpose()?;
        Ok(Autopath { zones: names(&step.zones)?, search: search.map_err(not_absolute)?, pods })
    }

    pub fn concerns(&self, tables: &Tables, name: &[u8], asker: &Asker) -> bool {
        self.first(tables, name, asker).is_some()
    }

    pub fn answer(&self, layers: &Layers, next: usize, request: &Request) -> Answered {
        let (name, lookup) = (request.lower(), layers.lookup);
        let Some((first, zone)) = self.first(lookup.tables, &name, lookup.asker) else {
            return layers.below(next, request);
        };
        let own = zone.map(|zone| [&first[..], &[SVC, zone].concat(), zone].map(<[u8]>::to_vec));
        let search = own.iter().flatten().map(Vec::as_slice).chain(self.search.iter().map(Name::wire));
        along(layers, next, request, &first, search.chain([ROOT]))
    }

    /// The first search domain of a client, if it is what the name was made with, and the zone of the cluster that it is in.
    fn first(&self, tables: &Tables, name: &[u8], asker: &Asker) -> Option<(Vec<u8>, Option<&[u8]>)> {
        if !self.zones.iter().any(|zone| within(name, zone.wire())) {
            return None;
        }
        let (first, zone) = match &self.pods {
            None => (self.search.first()?.wire().to_vec(), None),
            Some((set, zones)) => {
                let zone = zone_of(zones, name)?.wire();
                (own_domain(tables.sets.get(*set)?, zone, asker)?, Some(zone))
            }
        };
        (name.len() > first.len() && within(name, &first)).then_some((first, zone))
    }
}

/// `NS.svc.ZONE`, of the client's namespace.
fn own_domain(set: &Set, zone: &[u8], asker: &Asker) -> Option<Vec<u8>> {
    let entry = set.get(&reverse_name(asker.ip()))?;
    let data = entry.set(packet::TXT)?.data().next()?;
    let namespace = data.get(..=usize::from(*data.first()?))?;
    Some([namespace, SVC, zone].concat())
}

/// The first name of the search path that exists; none does: what is said of the first.
fn along<'z>(
    layers: &Layers,
    next: usize,
    request: &Request,
    first: &[u8],
    search: impl Iterator<Item = &'z [u8]>,
) -> Answered {
    let trace = layers.lookup.trace;
    let mark = trace.map_or(0, Trace::mark);
    let found = || {
        if let Some(trace) = trace {
            trace.layer(mark, request, "autopath");
        }
    };
    let mut told: Option<(Message, Vec<Voice>)> = None;
    for zone in search {
        let Some(name) = moved(&request.name, first, zone) else { continue };
        let said = layers.below(next, &request.renamed(&name)).inspect_err(|_| found())?;
        let Some(message) = said else { continue };
        if !matches!(message.code, packet::NAME_ERROR | packet::SERVER_FAILURE | packet::REFUSED) {
            found();
            return Ok(Some(aliased(message, &request.name)));
        }
        let voices = trace.map(|trace| trace.cut(mark)).unwrap_or_default();
        told.get_or_insert((message, voices));
    }
    Ok(told.map(|(message, voices)| {
        if let Some(trace) = trace {
            trace.join(voices);
        }
        message
    }))
}

/// With an alias from what was asked to what was found: clients drop answers for other names.
fn aliased(mut message: Message, asked: &[u8]) -> Message {
    let other = message.answer.iter().find(|record| !record.owner.eq_ignore_ascii_case(asked));
    if let Some(record) = other {
        let alias = Record {
            owner: asked.to_vec(),
            kind: packet::CNAME,
            class: packet::IN,
            ttl: record.ttl,
            data: record.owner.clone(),
        };
        message.answer.insert(0, alias);
    }
    message
}

const ROOT: &[u8] = &[0];
const SVC: &[u8] = b"\x03svc";
