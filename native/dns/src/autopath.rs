//! The autopath step: a name that a client's resolver made with its first search domain is looked up in all of them at once,
//! and the client is spared the queries.

use crate::layer::{Answered, Layers, Request};
use crate::message::{Message, Record, moved};
use crate::name::{Name, within};
use crate::packet;
use crate::step::{Problem, names};
use wire::corefile;

pub struct Autopath {
    zones: Vec<Name>,
    /// In the order of the client's list.
    search: Vec<Name>,
}

impl Autopath {
    pub fn new(step: &corefile::Autopath) -> Result<Autopath, Problem> {
        let search = step.search.iter().map(|text| Name::parse(text)).collect::<Result<_, _>>();
        Ok(Autopath { zones: names(&step.zones)?, search: search.map_err(Problem::name)? })
    }

    pub fn concerns(&self, name: &[u8]) -> bool {
        self.zones.iter().any(|zone| within(name, zone.wire()))
            && self.search.first().is_some_and(|first| is_below(name, first.wire()))
    }

    pub fn answer(&self, layers: &Layers, next: usize, request: &Request) -> Answered {
        let name = request.lower();
        let first = self.search.first().filter(|_| self.concerns(&name));
        let Some(first) = first else { return layers.below(next, request) };
        let search: Vec<&[u8]> = self.search.iter().map(Name::wire).collect();
        along(layers, next, request, first.wire(), &search)
    }
}

/// The first name of the search path that exists; none does: what is said of the first.
fn along(layers: &Layers, next: usize, request: &Request, first: &[u8], search: &[&[u8]]) -> Answered {
    let mut told: Option<Message> = None;
    for zone in search.iter().chain([&ROOT]) {
        let Some(name) = moved(&request.name, first, zone) else { continue };
        let Some(message) = layers.below(next, &request.renamed(&name))? else { continue };
        if !matches!(message.code, packet::NAME_ERROR | packet::SERVER_FAILURE | packet::REFUSED) {
            return Ok(Some(aliased(message, &request.name)));
        }
        told.get_or_insert(message);
    }
    Ok(told)
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

fn is_below(name: &[u8], zone: &[u8]) -> bool {
    name.len() > zone.len() && within(name, zone)
}

const ROOT: &[u8] = &[0];
