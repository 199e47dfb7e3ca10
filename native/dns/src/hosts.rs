//! The hosts step: addresses of hosts files, from a set of table `names`.
//!
//! A name that only has names below it (`example.org` of `a.example.org`) is none of the file's. RFC 8020 would have such an empty
//! non-terminal exist, but that is said of zones: a hosts file has no SOA record and no delegation, and lists exceptions to a
//! zone that somebody else has. Were it NODATA here, `fallthrough` would stop at it, and the real `example.org` would be gone.
//! CoreDNS does the same.

use crate::given::Given;
use crate::name::{Name, names, parent, within, zone_of};
use crate::packet;
use crate::record::OWNER;
use crate::reply::{Reply, Section, pointer};
use crate::table::{Entry, Set};
use crate::tables::Tables;
use crate::zone::Place;
use supervisor::Problem;
use wire::corefile;

pub struct Hosts {
    pub set: usize,
    zones: Vec<Name>,
    ttl: u32,
    fallthrough: Vec<Name>,
    passes_other_types: bool,
}

impl Hosts {
    pub fn new(step: &corefile::Hosts, set: usize) -> Result<Hosts, Problem> {
        Ok(Hosts {
            set,
            zones: names(&step.zones)?,
            ttl: step.ttl,
            fallthrough: names(step.fallthrough.as_deref().unwrap_or_default())?,
            passes_other_types: step.fallthrough_unsupported,
        })
    }

    pub fn answer(&self, tables: &Tables, asked: Place, kind: u16, reply: &mut Reply) -> Given {
        // Reverse names need not be in the zones, and are never denied: a hosts file does not know them all.
        if kind != packet::PTR && zone_of(&self.zones, asked.name).is_none() {
            return Given::Pass;
        }
        let falls = self.fallthrough.iter().any(|zone| within(asked.name, zone.wire()));
        let entry = find(&tables.sets[self.set], asked.name);
        if let Some(answer) = entry.and_then(|entry| entry.set(kind)) {
            reply.put(Section::Answer, answer, pointer(asked.offset).unwrap_or(OWNER), self.ttl);
            return Given::Done(packet::NO_ERROR);
        }
        match kind {
            packet::PTR => Given::Pass,
            packet::A | packet::AAAA if entry.is_some() => Given::Done(packet::NO_ERROR),
            packet::A | packet::AAAA if falls => Given::Pass,
            _ if self.passes_other_types && falls => Given::Pass,
            _ if entry.is_some() => Given::Done(packet::NO_ERROR),
            _ if falls => Given::Pass,
            // There is no SOA to deny it with (as CoreDNS), nor are there names before the table has come.
            _ => Given::Done(packet::SERVER_FAILURE),
        }
    }
}

/// A row of the name (not what is only above a row), or of the wildcard in place of its first label.
fn find<'a>(set: &'a Set, name: &[u8]) -> Option<Entry<'a>> {
    set.get(name).filter(|entry| entry.is_row()).or_else(|| {
        let above = parent(name)?;
        let mut wildcard = [0; crate::name::NAME_MAX + 2];
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..2 + above.len()].copy_from_slice(above);
        set.get(&wildcard[..2 + above.len()])
    })
}
