//! The file step: zones whose records are rows of a set, as an authoritative server answers them (RFC 1034 4.3.2, wildcards of
//! RFC 4592, DNAME of RFC 6672). Zones are served as they are: nothing is signed, and nothing is transferred.

use crate::given::Given;
use crate::kubernetes::{ALIASES_MAX, any};
use crate::name::{Name, labels, names, not_absolute, within};
use crate::packet::{self, LowerName};
use crate::record::FIXED_BYTES;
use crate::reply::{Reply, Section, pointer, zone_pointer};
use crate::table::{Entry, RecordSet, Set};
use crate::tables::Tables;
use crate::zone::{Place, add_targets};
use supervisor::Problem;
use wire::corefile;

pub struct File {
    /// With the numbers of their sets; the longest first.
    zones: Vec<(Name, usize)>,
    fallthrough: Vec<Name>,
}

/// A zone, ready to be asked.
struct Loaded<'a> {
    zone: &'a [u8],
    set: &'a Set,
    soa: RecordSet<'a>,
    servers: Option<RecordSet<'a>>,
}

/// What a name is in a zone.
enum Found<'a> {
    /// It has records, or a wildcard stands for it.
    Entry(Entry<'a>),
    /// It is at or below this name, which other servers have.
    Referral(&'a [u8], RecordSet<'a>),
    /// It is below this name, which stands for another.
    Elsewhere(&'a [u8], RecordSet<'a>),
    /// Names below it exist.
    Between,
    Nothing,
}

impl File {
    pub fn new(step: &corefile::File, mut set: impl FnMut(&str) -> usize) -> Result<File, Problem> {
        let zone = |zone: &corefile::FileZone| Ok((Name::parse(&zone.zone).map_err(not_absolute)?, set(&zone.set)));
        let mut zones = step.zones.iter().map(zone).collect::<Result<Vec<_>, _>>()?;
        zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.wire().len()));
        Ok(File { zones, fallthrough: names(step.fallthrough.as_deref().unwrap_or_default())? })
    }

    /// The sets it answers from.
    pub fn sets(&self) -> impl Iterator<Item = usize> {
        self.zones.iter().map(|(_, set)| *set)
    }

    pub fn answer(&self, tables: &Tables, asked: Place, kind: u16, reply: &mut Reply) -> Given {
        let Some((zone, set)) = self.zones.iter().find(|(zone, _)| within(asked.name, zone.wire())) else {
            return Given::Pass;
        };
        if matches!(kind, packet::AXFR | packet::IXFR) {
            return Given::Done(packet::REFUSED);
        }
        let Some(loaded) = Loaded::of(zone.wire(), &tables.sets[*set]) else {
            return Given::Done(packet::SERVER_FAILURE);
        };
        let (mut name, mut offset) = (LowerName::of(asked.name), asked.offset);
        for _ in 0..ALIASES_MAX {
            let at = Place { name: name.wire(), offset };
            let found = loaded.find(at.name, kind);
            let falls = matches!(found, Found::Nothing | Found::Between)
                && offset == asked.offset
                && self.fallthrough.iter().any(|zone| within(at.name, zone.wire()));
            if falls {
                return Given::Pass;
            }
            let target = match loaded.put(found, at, kind, reply) {
                Ok(given) => return given,
                Err(target) => target,
            };
            // An alias of a name that the room ends before is cut off there.
            let wire = &reply.written()[target..];
            name = LowerName::of(&wire[..packet::plain_name(wire).unwrap_or(0)]);
            offset = target;
            if !within(name.wire(), loaded.zone) {
                return Given::Elsewhere { offset };
            }
        }
        Given::Done(packet::SERVER_FAILURE)
    }
}

impl<'a> Loaded<'a> {
    /// `None`: there is no such zone in the set, or not yet.
    fn of(zone: &'a [u8], set: &'a Set) -> Option<Loaded<'a>> {
        let apex = set.get(zone)?;
        Some(Loaded { zone, set, soa: apex.set(packet::SOA)?, servers: apex.set(packet::NS) })
    }

    /// Walks down from the apex: what cuts the zone comes before what is below.
    fn find<'n>(&self, name: &'n [u8], kind: u16) -> Found<'n>
    where
        'a: 'n,
    {
        let mut above: Vec<&[u8]> = vec![name];
        for label in labels(name) {
            let last = above[above.len() - 1];
            above.push(&last[label.len() + 1..]);
        }
        let inside = above.iter().rev().filter(|above| within(above, self.zone));
        let mut encloser = self.zone;
        for part in inside.copied() {
            let Some(entry) = self.set.get(part) else { return self.wildcard(encloser) };
            encloser = part;
            let whole = part.len() == name.len();
            if let Some(alias) = entry.set(DNAME).filter(|_| !whole) {
                return Found::Elsewhere(part, alias);
            }
            // The parent has the DS records of what it delegates.
            let cut = part.len() > self.zone.len() && !(whole && kind == DS);
            if let Some(servers) = entry.set(packet::NS).filter(|_| cut) {
                return Found::Referral(part, servers);
            }
            if whole {
                return if entry.is_row() { Found::Entry(entry) } else { Found::Between };
            }
        }
        Found::Nothing
    }

    /// Of the closest name above that exists (RFC 4592 3.3.1).
    fn wildcard(&self, encloser: &[u8]) -> Found<'a> {
        match self.set.get(&[b"\x01*", encloser].concat()) {
            Some(entry) if entry.is_row() => Found::Entry(entry),
            Some(_) => Found::Between,
            None => Found::Nothing,
        }
    }

    /// Writes it. `Err`: the offset of the name to go on with.
    fn put(&self, found: Found, at: Place, kind: u16, reply: &mut Reply) -> Result<Given, usize> {
        let done = Ok(Given::Done(packet::NO_ERROR));
        let Some(owner) = pointer(at.offset) else { return Ok(Given::Done(packet::SERVER_FAILURE)) };
        let zones = [self.zone];
        match found {
            Found::Referral(cut, servers) => {
                // An alias before it is ours to tell.
                reply.authoritative = reply.counts()[0] > 0;
                let cut = zone_pointer(at.name, cut, at.offset).unwrap_or(owner);
                if let Some(start) = reply.put(Section::Authority, servers, cut, TTL) {
                    add_targets(reply, servers, start, self.set, &zones, TTL);
                }
                done
            }
            Found::Elsewhere(above, alias) => self.substitute(above, alias, at, kind, reply),
            Found::Entry(_) if kind == packet::ANY => {
                any(reply, owner);
                done
            }
            Found::Entry(entry) => {
                if let Some(answer) = entry.set(kind) {
                    let start = reply.put(Section::Answer, answer, owner, TTL);
                    let apex = kind == packet::NS && at.name == self.zone;
                    if let Some(servers) = self.servers.filter(|_| !apex) {
                        let zone = zone_pointer(at.name, self.zone, at.offset).unwrap_or(owner);
                        reply.put(Section::Authority, servers, zone, TTL);
                    }
                    if let Some(start) = start {
                        add_targets(reply, answer, start, self.set, &zones, TTL);
                    }
                    return done;
                }
                match entry.set(packet::CNAME).and_then(|alias| reply.put(Section::Answer, alias, owner, TTL)) {
                    Some(start) => Err(start + FIXED_BYTES),
                    None if entry.set(packet::CNAME).is_some() => done,
                    None => Ok(self.deny(packet::NO_ERROR, at, reply)),
                }
            }
            Found::Between => Ok(self.deny(packet::NO_ERROR, at, reply)),
            Found::Nothing => Ok(self.deny(packet::NAME_ERROR, at, reply)),
        }
    }

    /// RFC 6672 3.2: the record, and an alias for who does not know it.
    fn substitute(
        &self,
        above: &[u8],
        alias: RecordSet,
        at: Place,
        kind: u16,
        reply: &mut Reply,
    ) -> Result<Given, usize> {
        let failed = Ok(Given::Done(packet::SERVER_FAILURE));
        let (Some(record), Some(owner)) = (alias.records().next(), zone_pointer(at.name, above, at.offset)) else {
            return failed;
        };
        let (labels, target) = (&at.name[..at.name.len() - above.len()], &record[FIXED_BYTES..]);
        if [labels, target].concat() == at.name {
            return failed;
        }
        let ttl = ttl_of(record);
        reply.record(Section::Answer, &owner.to_be_bytes(), DNAME, ttl, &[target]);
        if labels.len() + target.len() > crate::name::NAME_MAX {
            return Ok(Given::Done(NAME_TOO_LONG));
        }
        let own = pointer(at.offset).unwrap_or(owner).to_be_bytes();
        match reply.record(Section::Answer, &own, packet::CNAME, ttl, &[labels, target]) {
            Some(start) if kind != packet::CNAME => Err(start + FIXED_BYTES),
            _ => Ok(Given::Done(packet::NO_ERROR)),
        }
    }

    fn deny(&self, code: u16, at: Place, reply: &mut Reply) -> Given {
        if let (Some(record), Some(owner)) = (self.soa.records().next(), zone_pointer(at.name, self.zone, at.offset)) {
            let data = &record[FIXED_BYTES..];
            // RFC 2308 5: no longer than the minimum, which is the last field.
            let minimum = data.last_chunk::<4>().map_or(0, |octets| u32::from_be_bytes(*octets));
            let ttl = ttl_of(record).min(minimum);
            reply.record(Section::Authority, &owner.to_be_bytes(), packet::SOA, ttl, &[data]);
        }
        Given::Done(code)
    }
}

fn ttl_of(record: &[u8]) -> u32 {
    let ttl = u32::from_be_bytes([record[6], record[7], record[8], record[9]]);
    if ttl == crate::record::DEFAULT_TTL { TTL } else { ttl }
}

/// Of a record that has none of its own.
const TTL: u32 = 3600;
const DNAME: u16 = 39;
const DS: u16 = 43;
/// YXDOMAIN (RFC 6672 2.2).
const NAME_TOO_LONG: u16 = 6;
