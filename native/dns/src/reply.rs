//! Writes an answer into room that exists: record sets are copied whole or not at all, and the header comes last.

use crate::packet::{self, HEADER_BYTES, OPT, Query};
use crate::record::{DEFAULT_TTL, FIXED_BYTES, OWNER};
use crate::table::{RecordSet, record_bytes};
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// The transport of a query decides how long its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

pub struct Reply<'b> {
    room: &'b mut [u8],
    at: usize,
    /// Records end here: room for OPT is left behind.
    limit: usize,
    counts: [u16; 3],
    truncated: bool,
    stream: bool,
    opt: bool,
    /// Its length is to say nothing to who sees it pass.
    pad: bool,
    /// Where the answer section ends.
    answer_end: usize,
    /// Of EDNS, as they will be in OPT.
    options: Vec<u8>,
    /// Of the record sets of addresses, the record to begin with.
    pub turn: usize,
    /// Of the question, and of the records that are made here.
    pub class: u16,
    /// Whether what is said is about a zone of ours; steps that only tell of others' clear it.
    pub authoritative: bool,
}

/// What the header says besides what the query said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub code: u16,
    pub authoritative: bool,
    pub recursion_available: bool,
    pub authentic: bool,
}

impl<'b> Reply<'b> {
    /// The question is copied, as the client wrote it. `room` has at least 1,232 octets.
    pub fn new(room: &'b mut [u8], query: &Query, transport: Transport, bufsize: u16) -> Reply<'b> {
        let stream = transport != Transport::Udp;
        let wanted = match query.edns {
            _ if stream => usize::from(u16::MAX),
            Some(edns) => usize::from(edns.size.clamp(PLAIN_MAX, bufsize.max(PLAIN_MAX))),
            None => usize::from(PLAIN_MAX),
        };
        let opt = query.edns.is_some();
        let limit = wanted.min(room.len()) - if opt { OPT_BYTES } else { 0 };
        let at = HEADER_BYTES + query.question.len();
        room[HEADER_BYTES..at].copy_from_slice(query.question);
        Reply {
            room,
            at,
            limit,
            counts: [0; 3],
            truncated: false,
            stream,
            opt,
            pad: transport == Transport::Tls && query.wants.padding,
            answer_end: at,
            options: Vec::new(),
            turn: 0,
            class: query.class,
            authoritative: true,
        }
    }

    /// Adds an option of EDNS, if the client speaks that and there is space.
    pub fn option(&mut self, code: u16, data: &[&[u8]]) {
        let length: usize = data.iter().map(|part| part.len()).sum();
        if !self.opt || self.at + 4 + length > self.limit {
            return;
        }
        self.limit -= 4 + length;
        self.options.extend(code.to_be_bytes());
        self.options.extend((length as u16).to_be_bytes());
        data.iter().for_each(|part| self.options.extend(*part));
    }

    /// RFC 8914.
    pub fn extended_error(&mut self, code: u16, text: &str) {
        self.option(EXTENDED_ERROR, &[&code.to_be_bytes(), text.as_bytes()]);
    }

    /// Leaves out what an answer does not need: what is not in the answer section, unless that is a denial or a referral.
    pub fn minimize(&mut self) {
        let [answers, authorities, _] = self.counts;
        if answers > 0 || authorities == 0 {
            (self.at, self.counts) = (self.answer_end, [answers, 0, 0]);
        }
    }

    /// Records of answer, authority and additional section.
    pub fn counts(&self) -> [u16; 3] {
        self.counts
    }

    /// Of EDNS, in wire form.
    pub fn options(&self) -> &[u8] {
        &self.options
    }

    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Appends the records of one type. `owner` is a pointer. Returns where the first one lies, unless they do not fit:
    /// then an answer or authority is truncated, and additional records are just not there.
    pub fn put(&mut self, section: Section, set: RecordSet, owner: u16, ttl: u32) -> Option<usize> {
        let turn = match set.kind {
            packet::A | packet::AAAA | packet::MX if set.count > 1 => set.offset(self.turn % usize::from(set.count)),
            _ => 0,
        };
        let space = self.limit - self.at;
        let (mut head, mut tail) = set.octets.split_at(turn);
        let mut count = set.count;
        if set.octets.len() > space {
            if !self.stream || section != Section::Answer {
                self.truncated |= section != Section::Additional;
                return None;
            }
            // Longer than any message can be: as many as there is room for, other ones each time. A client that is told
            // TC over TCP has nowhere to go.
            let (first, second);
            (tail, first) = fitting(tail, space);
            (head, second) = fitting(head, space - tail.len());
            count = first + second;
        }
        let start = self.at;
        self.push(tail);
        self.push(head);
        self.add(section, count);
        let mut at = start;
        for _ in 0..count {
            let fixed = &mut self.room[at..at + FIXED_BYTES];
            if owner != OWNER {
                fixed[..2].copy_from_slice(&owner.to_be_bytes());
            }
            if fixed[6..10] == DEFAULT_TTL.to_be_bytes() {
                fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
            }
            at += FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
        }
        Some(start)
    }

    /// Appends one record of which the data is in parts. `owner` is in wire form, or a pointer.
    pub fn record(&mut self, section: Section, owner: &[u8], kind: u16, ttl: u32, data: &[&[u8]]) -> Option<usize> {
        let length: usize = data.iter().map(|part| part.len()).sum();
        if FIXED_BYTES + owner.len() + length > self.limit - self.at {
            self.truncated |= section != Section::Additional;
            return None;
        }
        let start = self.at;
        self.push(owner);
        self.push(&kind.to_be_bytes());
        self.push(&self.class.to_be_bytes());
        self.push(&ttl.to_be_bytes());
        self.push(&(length as u16).to_be_bytes());
        data.iter().for_each(|part| self.push(part));
        self.add(section, 1);
        Some(start)
    }

    /// Appends records as they are, all or none. They may still be changed.
    pub fn octets(&mut self, section: Section, octets: &[u8], count: u16) -> Option<&mut [u8]> {
        if octets.len() > self.limit - self.at {
            self.truncated |= section == Section::Answer;
            return None;
        }
        let start = self.at;
        self.push(octets);
        self.add(section, count);
        Some(&mut self.room[start..self.at])
    }

    pub fn address(&mut self, owner: u16, ttl: u32, ip: IpAddr) {
        let owner = &owner.to_be_bytes();
        match ip {
            IpAddr::V4(ip) => self.record(Section::Answer, owner, packet::A, ttl, &[&ip.octets()]),
            IpAddr::V6(ip) => self.record(Section::Answer, owner, packet::AAAA, ttl, &[&ip.octets()]),
        };
    }

    /// The octets written so far.
    pub fn written(&self) -> &[u8] {
        &self.room[..self.at]
    }

    /// As if nothing but the question had been written.
    pub fn clear(&mut self, query: &Query) {
        (self.at, self.counts, self.truncated) = (HEADER_BYTES + query.question.len(), [0; 3], false);
        self.answer_end = self.at;
    }

    pub fn finish(mut self, query: &Query, head: Head) -> usize {
        let [high, low] = flags(query.recursion_desired, query.checking_disabled, head, self.truncated && !self.stream);
        let [answers, authorities, additional] = self.counts.map(u16::to_be_bytes);
        let additional = (u16::from_be_bytes(additional) + u16::from(self.opt)).to_be_bytes();
        if self.opt {
            if self.pad {
                self.fill_block();
            }
            let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
            let mut opt = opt(head.code, dnssec_ok);
            opt[9..].copy_from_slice(&(self.options.len() as u16).to_be_bytes());
            self.push(&opt);
            let options = std::mem::take(&mut self.options);
            self.push(&options);
        }
        let header = [query.id, [high, low], [0, 1], answers, authorities, additional];
        header.iter().zip(self.room.chunks_exact_mut(2)).for_each(|(field, to)| to.copy_from_slice(field));
        self.at
    }

    /// RFC 8467 4.1: to a multiple of 468 octets, as far as a message goes.
    fn fill_block(&mut self) {
        let length = self.at + OPT_BYTES + self.options.len() + OPTION_BYTES;
        let Some(left) = self.room.len().min(usize::from(u16::MAX)).checked_sub(length) else { return };
        let zeros = (length.next_multiple_of(PADDED_BYTES) - length).min(left);
        self.options.extend(packet::PADDING.to_be_bytes());
        self.options.extend((zeros as u16).to_be_bytes());
        self.options.resize(self.options.len() + zeros, 0);
    }

    fn add(&mut self, section: Section, count: u16) {
        self.counts[section as usize] += count;
        if section == Section::Answer {
            self.answer_end = self.at;
        }
    }

    fn push(&mut self, octets: &[u8]) {
        self.room[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }
}

/// A pointer to what lies at an offset of the message; there is none to what lies too far behind.
pub fn pointer(offset: usize) -> Option<u16> {
    u16::try_from(offset).ok().filter(|offset| *offset < 0x4000).map(|offset| 0xc000 | offset)
}

/// The pointer to `zone` inside a name that is within it, written without compression at an offset.
pub fn zone_pointer(name: &[u8], zone: &[u8], offset: usize) -> Option<u16> {
    pointer(offset + name.len() - zone.len())
}

/// An answer to what could not be parsed: the header alone. Returns its length.
pub fn refuse(room: &mut [u8], packet: &[u8], code: u16, with_opt: bool) -> usize {
    room[..HEADER_BYTES].fill(0);
    room[..2].copy_from_slice(&packet[..2]);
    let [high, low] = flags(packet[2] & 1 != 0, packet[3] & 0x10 != 0, Head { code, ..Head::default() }, false);
    // The operation code is the query's.
    (room[2], room[3]) = (high | packet[2] & 0x78, low);
    if !with_opt {
        return HEADER_BYTES;
    }
    room[11] = 1;
    room[HEADER_BYTES..HEADER_BYTES + OPT_BYTES].copy_from_slice(&opt(code, false));
    HEADER_BYTES + OPT_BYTES
}

fn flags(recursion_desired: bool, checking_disabled: bool, head: Head, truncated: bool) -> [u8; 2] {
    let bit = |set: bool, at: u8| u8::from(set) << at;
    let high = 0x80 | bit(head.authoritative, 2) | bit(truncated, 1) | bit(recursion_desired, 0);
    let low = bit(head.recursion_available, 7) | bit(head.authentic, 5) | bit(checking_disabled, 4);
    [high, low | (head.code & 0xf) as u8]
}

/// RFC 6891 6.1.2: of the root, our UDP size, the upper part of the code, version 0, DO as asked; no options.
fn opt(code: u16, dnssec_ok: bool) -> [u8; OPT_BYTES] {
    let [kind, size] = [OPT.to_be_bytes(), UDP_SIZE.to_be_bytes()];
    [0, kind[0], kind[1], size[0], size[1], (code >> 4) as u8, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]
}

/// As many whole records as there is space for, and their number.
fn fitting(octets: &[u8], space: usize) -> (&[u8], u16) {
    let (mut end, mut count) = (0, 0);
    while let Some(length) = record_bytes(&octets[end..]).filter(|length| end + length <= space) {
        (end, count) = (end + length, count + 1);
    }
    (&octets[..end], count)
}

/// What fits through every network (DNS flag day 2020).
pub const UDP_SIZE: u16 = 1232;
/// Of a client without EDNS (RFC 1035 4.2.1).
const PLAIN_MAX: u16 = 512;
const OPT_BYTES: usize = 11;
/// Of an option, in front of its data.
const OPTION_BYTES: usize = 4;
const PADDED_BYTES: usize = 468;
const EXTENDED_ERROR: u16 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(size: Option<u16>) -> Vec<u8> {
        let mut packet = b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\0\x01A\0\0\x01\0\x01".to_vec();
        if let Some(size) = size {
            packet[11] = 1;
            packet.extend([b"\0\0\x29", &size.to_be_bytes()[..], b"\0\0\x80\0\0\0"].concat());
        }
        packet
    }

    fn addresses(count: u16) -> Vec<u8> {
        (0..count)
            .flat_map(|n| [b"\xc0\x0c\0\x01\0\x01\xff\xff\xff\xff\0\x04\x0a\0", &n.to_be_bytes()[..]].concat())
            .collect()
    }

    fn answer(size: Option<u16>, transport: Transport, count: u16, turn: usize) -> Vec<u8> {
        let (packet, octets) = (asked(size), addresses(count));
        let query = packet::parse(&packet).unwrap();
        let mut room = vec![0xee; 65535];
        let mut reply = Reply::new(&mut room, &query, transport, UDP_SIZE);
        reply.turn = turn;
        reply.put(Section::Answer, RecordSet { kind: 1, count, octets: &octets }, OWNER, 30);
        let length = reply.finish(&query, Head { authoritative: true, ..Head::default() });
        room.truncate(length);
        room
    }

    #[test]
    fn an_answer_to_the_octet() {
        assert_eq!(
            answer(None, Transport::Udp, 1, 0),
            b"\x12\x34\x85\x10\0\x01\0\x01\0\0\0\0\x01A\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\0"
        );
        let with_opt = answer(Some(4096), Transport::Udp, 1, 0);
        assert_eq!(with_opt[10..12], [0, 1]);
        assert!(with_opt.ends_with(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"));
    }

    #[test]
    fn record_sets_are_whole_or_not_there() {
        let count = |octets: &[u8]| u16::from_be_bytes([octets[6], octets[7]]);
        for (size, most) in [(None, 30), (Some(512), 30), (Some(100), 30), (Some(1232), 75), (Some(4096), 75)] {
            for (records, fits) in [(most, true), (most + 1, false)] {
                let octets = answer(size, Transport::Udp, records, 0);
                assert_eq!(count(&octets), if fits { records } else { 0 }, "{size:?}");
                assert_eq!(octets[2] & 2 == 0, fits, "TC");
                assert_eq!(octets[11], u8::from(size.is_some()), "OPT stays");
            }
        }
        let octets = answer(Some(512), Transport::Tcp, 5000, 4999);
        assert!(octets.len() > 65000 && octets[2] & 2 == 0);
        assert_eq!(answer(None, Transport::Tcp, 3000, 0)[6..8], 3000u16.to_be_bytes());
    }

    #[test]
    fn addresses_take_turns() {
        let first = |turn| answer(None, Transport::Udp, 3, turn)[34];
        assert_eq!([first(0), first(1), first(2), first(3)], [0, 1, 2, 0]);
        assert_eq!(answer(None, Transport::Udp, 3, 1)[50..51], [2]);
    }
}
