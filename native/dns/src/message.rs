//! A message as records with whole names: what steps work on that change the answers of those behind them.

use crate::name::{NAME_MAX, labels, parent};
use crate::packet::{self, HEADER_BYTES, Query, name_at};
use crate::reply::{Reply, Section, pointer};
use std::collections::HashMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub code: u16,
    pub authoritative: bool,
    pub authentic: bool,
    pub recursion_available: bool,
    pub recursion_desired: bool,
    pub truncated: bool,
    /// It is to be fetched anew.
    pub renew: bool,
    /// Index into `metrics::PLUGINS`.
    pub plugin: usize,
    pub answer: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
    /// Of EDNS, for the client.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// Names are in wire form without pointers, those in the data, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub owner: Vec<u8>,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

impl Message {
    /// The records that a reply to a question of so many octets has so far; `None`: they are broken.
    pub fn read(reply: &Reply, question_bytes: usize) -> Option<Message> {
        let (octets, mut at) = (reply.written(), HEADER_BYTES + question_bytes);
        let mut sections = reply.counts().map(|count| Vec::with_capacity(count.into()));
        for (section, count) in sections.iter_mut().zip(reply.counts()) {
            for _ in 0..count {
                let (record, end) = record_at(octets, at)?;
                section.push(record);
                at = end;
            }
        }
        let [answer, authority, additional] = sections;
        let options = options_of(reply.options());
        let truncated = reply.is_truncated();
        Some(Message { answer, authority, additional, options, truncated, ..Message::default() })
    }

    /// Whether it says that something is there, or who has it (CoreDNS's response.Typify).
    pub fn has_answer(&self) -> bool {
        self.code == packet::NO_ERROR && !self.answer.is_empty()
    }

    pub fn sections(&mut self) -> impl Iterator<Item = &mut Record> {
        self.authority.iter_mut().chain(&mut self.answer).chain(&mut self.additional)
    }

    /// Appends all that fits: sets of records whole or not at all.
    pub fn put(&self, query: &Query, reply: &mut Reply) {
        for (code, data) in &self.options {
            reply.option(*code, &[data]);
        }
        let question = &query.question[..query.question.len() - 4];
        let mut known = HashMap::new();
        learn(question, HEADER_BYTES, &mut known);
        let sections = [&self.answer, &self.authority, &self.additional];
        for (section, records) in [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(sections) {
            for set in records.chunk_by(|one, next| one.kind == next.kind && one.owner == next.owner) {
                let (start, mut octets) = (reply.written().len(), Vec::new());
                for record in set {
                    record.write(start, &mut octets, &mut known);
                }
                if reply.octets(section, &octets, set.len() as u16).is_none() {
                    // Pointers into what is not there would be broken.
                    known.retain(|_, offset| *offset < start);
                    if section != Section::Additional {
                        return;
                    }
                }
            }
        }
    }
}

impl Record {
    /// Appends it to octets that begin at `start` of the message.
    fn write(&self, start: usize, octets: &mut Vec<u8>, known: &mut HashMap<Vec<u8>, usize>) {
        let here = start + octets.len();
        let mut rest = &self.owner[..];
        loop {
            if let Some(pointer) = known.get(&rest.to_ascii_lowercase()).and_then(|offset| pointer(*offset)) {
                octets.extend(pointer.to_be_bytes());
                break;
            }
            let Some(above) = parent(rest) else {
                octets.push(0);
                break;
            };
            octets.extend(&rest[..rest.len() - above.len()]);
            rest = above;
        }
        let own = &self.owner[..self.owner.len() - rest.len()];
        if !own.is_empty() {
            learn(&self.owner, here, known);
        }
        octets.extend(self.kind.to_be_bytes());
        octets.extend(self.class.to_be_bytes());
        octets.extend(self.ttl.to_be_bytes());
        octets.extend((self.data.len() as u16).to_be_bytes());
        if let Some(target) = self.target() {
            learn(&self.data[target.clone()], start + octets.len() + target.start, known);
        }
        octets.extend(&self.data);
    }

    /// Where in the data the name is that the record points to.
    pub fn target(&self) -> Option<std::ops::Range<usize>> {
        let start = match self.kind {
            packet::CNAME | packet::NS | packet::PTR | packet::SOA | DNAME => 0,
            packet::MX => 2,
            packet::SRV => 6,
            NAPTR => {
                let mut at = 4;
                for _ in 0..3 {
                    at += 1 + usize::from(*self.data.get(at)?);
                }
                at
            }
            _ => return None,
        };
        let length = packet::plain_name(self.data.get(start..)?)?;
        Some(start..start + length)
    }
}

/// Where a name and those above it are written. Too many are not worth it.
fn learn(name: &[u8], offset: usize, known: &mut HashMap<Vec<u8>, usize>) {
    let (mut rest, mut offset) = (name, offset);
    while let Some(above) = parent(rest).filter(|_| known.len() < NAMES_MAX) {
        let key = rest.to_ascii_lowercase();
        if known.contains_key(&key) {
            return;
        }
        known.insert(key, offset);
        offset += rest.len() - above.len();
        rest = above;
    }
}

fn record_at(octets: &[u8], at: usize) -> Option<(Record, usize)> {
    let (owner, at) = name_at(octets, at)?;
    let fixed = octets.get(at..)?.first_chunk::<10>()?;
    let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let (kind, end) = (number(0), at + 10 + usize::from(number(8)));
    let ttl = u32::from(number(4)) << 16 | u32::from(number(6));
    let data = data_at(octets, kind, at + 10, end)?;
    Some((Record { owner, kind, class: number(2), ttl, data }, end))
}

/// A record's data, the names in it written out (RFC 3597 4: only of types that may be compressed).
fn data_at(octets: &[u8], kind: u16, start: usize, end: usize) -> Option<Vec<u8>> {
    let (before, names) = match kind {
        packet::NS | packet::CNAME | packet::PTR => (0, 1),
        packet::SOA => (0, 2),
        packet::MX => (2, 1),
        packet::SRV => (6, 1),
        _ => return octets.get(start..end).map(<[u8]>::to_vec),
    };
    let mut data = octets.get(start..start + before)?.to_vec();
    let mut at = start + before;
    for _ in 0..names {
        let (name, behind) = name_at(octets, at)?;
        data.extend(name);
        at = behind;
    }
    data.extend(octets.get(at..end)?);
    Some(data)
}

/// Options of EDNS, one behind the other.
pub fn options_of(mut octets: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let Some((fixed, rest)) = octets.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let Some((data, behind)) = rest.split_at_checked(length) else { break };
        options.push((u16::from_be_bytes([fixed[0], fixed[1]]), data.to_vec()));
        octets = behind;
    }
    options
}

/// `name` with `zone` in place of the zone it is in; `None`: it would be too long.
pub fn moved(name: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let moved = [&name[..name.len().checked_sub(from.len())?], to].concat();
    (moved.len() <= NAME_MAX && labels(&moved).next().is_some()).then_some(moved)
}

pub const DNAME: u16 = 39;
const NAPTR: u16 = 35;
const NAMES_MAX: usize = 1024;
