//! Queries, parsed where they lie: header, one question, OPT (RFC 1035 4, RFC 6891). Nothing is allocated, nothing
//! panics, and work is bounded by the packet's length.

use crate::name::{LABEL_MAX, NAME_MAX};

/// A query that may be answered. `question` is as the client wrote it, `name` in lower case.
#[derive(Clone)]
pub struct Query<'a> {
    pub id: [u8; 2],
    pub recursion_desired: bool,
    pub checking_disabled: bool,
    /// Name, type and class, without compression.
    pub question: &'a [u8],
    pub name: LowerName,
    pub kind: u16,
    pub class: u16,
    pub edns: Option<Edns>,
    pub wants: Wants,
    /// Of EDNS, in wire form.
    pub options: &'a [u8],
}

/// Options of EDNS that the client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Of the server (RFC 5001).
    pub identifier: bool,
    /// How long its connection may rest (RFC 7828).
    pub keepalive: bool,
    /// An answer whose length says nothing (RFC 7830).
    pub padding: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP answer that the client takes.
    pub size: u16,
    pub dnssec_ok: bool,
}

/// What came instead of a query that may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Too short to have an id, or an answer: two servers must not talk forever.
    Drop,
    /// The answer is a header, the question if it was understood, and this response code.
    Refuse { code: u16, opt: bool },
}

/// A name in lower case, in place.
#[derive(Clone)]
pub struct LowerName {
    octets: [u8; NAME_MAX],
    length: u8,
}

impl LowerName {
    pub fn wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    pub fn of(wire: &[u8]) -> LowerName {
        let mut name = LowerName { octets: [0; NAME_MAX], length: wire.len().min(NAME_MAX) as u8 };
        for (to, from) in name.octets.iter_mut().zip(wire) {
            *to = from.to_ascii_lowercase();
        }
        name
    }
}

pub fn parse(packet: &[u8]) -> Result<Query<'_>, Wrong> {
    let Some((header, body)) = packet.split_first_chunk::<HEADER_BYTES>() else { return Err(Wrong::Drop) };
    if header[2] & 0x80 != 0 {
        return Err(Wrong::Drop);
    }
    if header[2] & 0x78 != 0 {
        return Err(Wrong::Refuse { code: NOT_IMPLEMENTED, opt: false });
    }
    let format_error = Wrong::Refuse { code: FORMAT_ERROR, opt: false };
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let records = usize::from(count(6)) + usize::from(count(8)) + usize::from(count(10));
    // An answer section has no place in a query; in the others, OPT and TSIG are all that is sent.
    if count(4) != 1 || count(6) != 0 || records > RECORDS_MAX {
        return Err(format_error);
    }
    let Some(name_bytes) = plain_name(body) else { return Err(format_error) };
    let Some(question) = body.get(..name_bytes + 4) else { return Err(format_error) };
    let tail = &question[name_bytes..];
    let mut query = Query {
        id: [header[0], header[1]],
        recursion_desired: header[2] & 1 != 0,
        checking_disabled: header[3] & 0x10 != 0,
        question,
        name: LowerName::of(&question[..name_bytes]),
        kind: u16::from_be_bytes([tail[0], tail[1]]),
        class: u16::from_be_bytes([tail[2], tail[3]]),
        edns: None,
        wants: Wants::default(),
        options: &[],
    };
    let mut rest = &body[name_bytes + 4..];
    let authorities = usize::from(count(8));
    for index in 0..records {
        let Some((record, behind)) = record(rest) else { return Err(format_error) };
        if record.kind == OPT && index >= authorities {
            if query.edns.is_some() || !record.root {
                return Err(format_error);
            }
            query.wants = options(record.data).ok_or(format_error)?;
            query.options = record.data;
            query.edns = Some(Edns { size: record.class, dnssec_ok: record.ttl & 0x8000 != 0 });
            if record.ttl >> 16 & 0xff != 0 {
                return Err(Wrong::Refuse { code: BAD_VERSION, opt: true });
            }
        }
        rest = behind;
    }
    Ok(query)
}

struct Record<'a> {
    root: bool,
    kind: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
}

fn record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let name_bytes = any_name(bytes)?;
    let (fixed, rest) = bytes.get(name_bytes..)?.split_first_chunk::<10>()?;
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let (data, rest) = rest.split_at_checked(length)?;
    let record = Record {
        root: name_bytes == 1,
        kind: u16::from_be_bytes([fixed[0], fixed[1]]),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        data,
    };
    Some((record, rest))
}

/// `None`: OPT's options are not whole.
fn options(mut data: &[u8]) -> Option<Wants> {
    let mut wants = Wants::default();
    while !data.is_empty() {
        let (fixed, rest) = data.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        match u16::from_be_bytes([fixed[0], fixed[1]]) {
            NSID => wants.identifier = true,
            KEEPALIVE => wants.keepalive = true,
            PADDING => wants.padding = true,
            _ => {}
        }
        data = rest.get(length..)?;
    }
    Some(wants)
}

/// Octets of a name without compression. The question's is the first name of a packet: there is nothing to point to.
pub fn plain_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length > LABEL_MAX || at > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// The name there, written out, and where what follows it begins. Pointers lead strictly backwards, so that there is an end to
/// them. `None`: it is none, or longer than names are.
pub fn name_at(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut limit, mut behind) = (Vec::new(), start, start, None);
    loop {
        let length = usize::from(*message.get(at)?);
        if length & 0xc0 == 0xc0 {
            let target = (length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            if target >= limit {
                return None;
            }
            behind.get_or_insert(at + 2);
            (at, limit) = (target, target);
            continue;
        }
        if length > LABEL_MAX {
            return None;
        }
        name.extend(message.get(at..=at + length)?);
        at += 1 + length;
        if name.len() > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some((name, behind.unwrap_or(at)));
        }
    }
}

/// Octets that a name takes here, which may end in a pointer. Where it points is of no interest: only OPT is read.
fn any_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length & 0xc0 == 0xc0 {
            bytes.get(at + 1)?;
            return Some(at + 2);
        }
        at += 1 + length;
        if length > LABEL_MAX || at > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

pub const HEADER_BYTES: usize = 12;
/// Authority and additional records of a query.
const RECORDS_MAX: usize = 4;
pub const NSID: u16 = 3;
pub const KEEPALIVE: u16 = 11;
pub const PADDING: u16 = 12;

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const PTR: u16 = 12;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const OPT: u16 = 41;
pub const IXFR: u16 = 251;
pub const AXFR: u16 = 252;
pub const ANY: u16 = 255;
pub const IN: u16 = 1;
pub const CHAOS: u16 = 3;

pub const NO_ERROR: u16 = 0;
pub const FORMAT_ERROR: u16 = 1;
pub const SERVER_FAILURE: u16 = 2;
pub const NAME_ERROR: u16 = 3;
pub const NOT_IMPLEMENTED: u16 = 4;
pub const REFUSED: u16 = 5;
pub const BAD_VERSION: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34];
        packet.extend(flags.to_be_bytes());
        counts.iter().for_each(|count| packet.extend(count.to_be_bytes()));
        packet.extend(rest);
        packet
    }

    const QUESTION: &[u8] = b"\x03WwW\x02nS\0\0\x01\0\x01";
    const OPT_1232: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";

    fn code(packet: &[u8]) -> u16 {
        match parse(packet) {
            Err(Wrong::Refuse { code, .. }) => code,
            Err(Wrong::Drop) => 99,
            Ok(_) => 0,
        }
    }

    #[test]
    fn a_query_is_read() {
        let packet = packet(0x0110, [1, 0, 0, 1], &[QUESTION, OPT_1232].concat());
        let query = parse(&packet).unwrap();
        assert_eq!((query.question, query.name.wire()), (QUESTION, &b"\x03www\x02ns\0"[..]));
        assert_eq!((query.kind, query.class, query.edns), (A, IN, Some(Edns { size: 1232, dnssec_ok: true })));
        assert!(query.recursion_desired && query.checking_disabled);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let plain = packet(0, [1, 0, 0, 0], QUESTION);
        assert_eq!(code(&plain), 0);
        (0..12).for_each(|length| assert_eq!(code(&plain[..length]), 99));
        (12..plain.len()).for_each(|length| assert_eq!(code(&plain[..length]), FORMAT_ERROR, "{length}"));
        assert_eq!(code(&packet(0x8000, [1, 0, 0, 0], QUESTION)), 99);
        assert_eq!(code(&packet(0x7800, [0, 0, 0, 0], b"")), NOT_IMPLEMENTED);
        for counts in [[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0xffff]] {
            assert_eq!(code(&packet(0, counts, QUESTION)), FORMAT_ERROR, "{counts:?}");
        }
        let two = [QUESTION, OPT_1232, OPT_1232].concat();
        assert_eq!(code(&packet(0, [1, 0, 0, 2], &two)), FORMAT_ERROR);
        let version = [QUESTION, b"\0\0\x29\x04\xd0\0\x01\0\0\0\0"].concat();
        assert_eq!(code(&packet(0, [1, 0, 0, 1], &version)), BAD_VERSION);
        let short_option = [QUESTION, b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x64\0\x01"].concat();
        assert_eq!(code(&packet(0, [1, 0, 0, 1], &short_option)), FORMAT_ERROR);
        let pointer = b"\xc0\x0c\0\x01\0\x01";
        assert_eq!(code(&packet(0, [1, 0, 0, 0], pointer)), FORMAT_ERROR);
        let not_root = [QUESTION, b"\x01a", OPT_1232].concat();
        assert_eq!(code(&packet(0, [1, 0, 0, 1], &not_root)), FORMAT_ERROR);
    }

    #[test]
    fn names_are_bounded() {
        let name = |labels: usize| [b"\x07abcdefg".repeat(labels), b"\0\0\x01\0\x01".to_vec()].concat();
        assert_eq!(code(&packet(0, [1, 0, 0, 0], &name(31))), 0);
        assert_eq!(code(&packet(0, [1, 0, 0, 0], &name(32))), FORMAT_ERROR);
        assert_eq!(code(&packet(0, [1, 0, 0, 0], b"\x40a\0\0\x01\0\x01")), FORMAT_ERROR);
    }
}
