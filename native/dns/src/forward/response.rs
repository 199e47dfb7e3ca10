//! Answers of upstreams, read with suspicion: what belongs to the question is kept, in a form that can be written into any
//! message; the rest is left out.

use super::stored::Stored;
use crate::packet::{self, HEADER_BYTES};
use crate::record::{FIXED_BYTES, OWNER};

/// Why a message is no answer to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Of another question, or none: somebody else's, or a forgery. The answer may still come.
    Foreign,
    /// Ours but for the case of its name: from a server that does not keep it, or a forgery.
    Case,
    /// The rest of it is to be had over TCP.
    Truncated,
    /// Ours, and broken.
    Broken,
}

/// `asked` is the query as it was sent.
pub fn read(message: &[u8], asked: &[u8], question_bytes: usize) -> Result<Stored, Bad> {
    let header = message.first_chunk::<HEADER_BYTES>().ok_or(Bad::Foreign)?;
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[..2] != asked[..2] || header[2] & 0xf8 != 0x80 {
        return Err(Bad::Foreign);
    }
    let code = number(2) & 0xf;
    if number(4) == 0 && code != 0 {
        // A server that does not know EDNS may leave out the question.
        return Ok(Stored::empty(code));
    }
    let question = &asked[HEADER_BYTES..HEADER_BYTES + question_bytes];
    let theirs = message.get(HEADER_BYTES..HEADER_BYTES + question_bytes).ok_or(Bad::Foreign)?;
    if number(4) != 1 || !theirs.eq_ignore_ascii_case(question) {
        return Err(Bad::Foreign);
    }
    if theirs != question {
        return Err(Bad::Case);
    }
    if header[2] & 2 != 0 {
        return Err(Bad::Truncated);
    }
    let mut reader = Reader { message, at: HEADER_BYTES + question_bytes, base: HEADER_BYTES + question_bytes };
    let kind = u16::from_be_bytes([question[question_bytes - 4], question[question_bytes - 3]]);
    let mut stored = Stored::empty(code);
    stored.base = reader.base;
    stored.authentic = header[3] & 0x20 != 0;
    // The question's name and those that aliases lead to, with where they are written.
    let mut chain = Chain { names: vec![(question[..question_bytes - 4].to_vec(), OWNER)] };
    for section in 0..2 {
        for _ in 0..number(6 + 2 * section) {
            reader.record(section, kind, &mut chain, &mut stored).ok_or(Bad::Broken)?;
        }
    }
    // An OPT record has the upper part of the code; whatever else is there is not needed.
    Ok(stored)
}

struct Chain {
    names: Vec<(Vec<u8>, u16)>,
}

impl Chain {
    fn owner(&self, name: &[u8]) -> Option<u16> {
        self.names.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, owner)| *owner)
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    /// Where records begin in the message that is written.
    base: usize,
}

impl Reader<'_> {
    /// Reads one record, and keeps it if it belongs to the answer. `None`: the message is broken.
    fn record(&mut self, section: usize, asked: u16, chain: &mut Chain, stored: &mut Stored) -> Option<()> {
        let owner = self.name()?;
        let fixed = self.message.get(self.at..)?.first_chunk::<10>()?;
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let (kind, class, length) = (number(0), number(2), usize::from(number(8)));
        let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl }; // RFC 2181 8
        self.at += 10;
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let data = self.data(kind, end)?;
        self.at = end;
        if class != packet::IN || kind == packet::OPT || data.len() > usize::from(u16::MAX) {
            return Some(());
        }
        if stored.octets.len() + owner.len() + FIXED_BYTES + data.len() > STORED_MAX {
            return None;
        }
        if section == 0 {
            let Some(pointer) = chain.owner(&owner) else { return Some(()) };
            let start = self.base + stored.octets.len();
            stored.push(0, &pointer.to_be_bytes(), kind, ttl, &data);
            if kind == packet::CNAME && chain.names.len() < ALIASES_MAX {
                // Short of 0x4000, which pointers end at: the records may come to lie behind aliases of ours.
                let offset = u16::try_from(start + FIXED_BYTES).ok().filter(|offset| *offset < 0x3000);
                chain.names.push((data, 0xc000 | offset?));
            }
            stored.answered |= kind == asked || asked == packet::ANY || asked == packet::CNAME;
        } else if matches!(kind, packet::SOA | NSEC | NSEC3) || (kind == RRSIG && !stored.answered) {
            let ttl = if kind == packet::SOA && data.len() >= 4 {
                // RFC 2308 5.
                let minimum = data.last_chunk::<4>().map_or(0, |octets| u32::from_be_bytes(*octets));
                stored.denial_ttl = Some(ttl.min(minimum));
                ttl.min(minimum)
            } else {
                ttl
            };
            stored.push(1, &owner, kind, ttl, &data);
        }
        Some(())
    }

    /// A record's data up to `end`, names in it written out (RFC 3597 4: only those of the types that RFC 1035 has, and
    /// some that are compressed all the same).
    fn data(&mut self, kind: u16, end: usize) -> Option<Vec<u8>> {
        // Octets before the names, names, octets behind them.
        let (before, names, behind) = match kind {
            packet::A => (4, 0, 0),
            packet::AAAA => (16, 0, 0),
            packet::NS | packet::CNAME | packet::PTR | 7..=9 | 39 => (0, 1, 0),
            packet::SOA => (0, 2, 20),
            14 | 17 => (0, 2, 0),
            packet::MX | 18 | 21 | 36 => (2, 1, 0),
            packet::SRV => (6, 1, 0),
            _ => return Some(self.message[self.at..end].to_vec()),
        };
        let mut data = self.message[self.at..end].get(..before)?.to_vec();
        self.at += before;
        for _ in 0..names {
            data.extend(self.name()?);
        }
        if self.at + behind != end {
            return None;
        }
        data.extend(&self.message[self.at..end]);
        Some(data)
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        let (name, behind) = packet::name_at(self.message, self.at)?;
        self.at = behind;
        Some(name)
    }
}

/// As many aliases as a chain may have.
const ALIASES_MAX: usize = 16;
/// Of what is kept of a message.
const STORED_MAX: usize = 60_000;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x01A\x03oRg\0\0\x01\0\x01";

    fn asked() -> Vec<u8> {
        [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", QUESTION].concat()
    }

    fn message(flags: u16, counts: [u8; 3], question: &[u8], rest: &[u8]) -> Vec<u8> {
        let [answers, authorities, additional] = counts;
        let head = [0x12, 0x34, (flags >> 8) as u8, flags as u8, 0, 1, 0, answers, 0, authorities, 0, additional];
        [&head, question, rest].concat()
    }

    fn read_it(message: &[u8]) -> Result<Stored, Bad> {
        read(message, &asked(), QUESTION.len())
    }

    #[test]
    fn aliases_and_addresses_are_kept_and_strangers_are_not() {
        let records = [
            &b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0e"[..], // A.oRg CNAME b.oRg, at 23
            b"\xc0\x23\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x01",       // b.oRg A
            b"\x04evil\0\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x66",
        ]
        .concat();
        let stored = read_it(&message(0x8180, [3, 0, 0], QUESTION, &records)).unwrap();
        assert_eq!((stored.counts, stored.least_ttl, stored.answered), ([2, 0], 10, true));
        assert_eq!(
            stored.octets,
            b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x07\x01b\x03oRg\0\xc0\x23\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x01"
        );
    }

    #[test]
    fn what_is_not_our_answer_is_told_apart() {
        let good = message(0x8180, [0, 0, 0], QUESTION, b"");
        assert!(read_it(&good).is_ok());
        let mut wrong_id = good.clone();
        wrong_id[0] ^= 1;
        assert_eq!(read_it(&wrong_id).unwrap_err(), Bad::Foreign);
        assert_eq!(read_it(&asked()).unwrap_err(), Bad::Foreign, "a query");
        assert_eq!(read_it(&message(0x8180, [0; 3], b"\x01b\x03oRg\0\0\x01\0\x01", b"")).unwrap_err(), Bad::Foreign);
        assert_eq!(read_it(&message(0x8180, [0; 3], b"\x01a\x03org\0\0\x01\0\x01", b"")).unwrap_err(), Bad::Case);
        assert_eq!(read_it(&message(0x8380, [0; 3], QUESTION, b"")).unwrap_err(), Bad::Truncated);
        for length in 0..good.len() {
            assert_eq!(read_it(&good[..length]).unwrap_err(), Bad::Foreign, "{length}");
        }
    }

    #[test]
    fn names_end() {
        for name in [
            &b"\xc0\x17"[..], // itself
            b"\xc0\x19",      // forwards
            b"\x01a\xc0\x17", // a loop
            b"\x40",
            b"\xc0",
        ] {
            let rest = [name, b"\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x01"].concat();
            assert_eq!(read_it(&message(0x8180, [1, 0, 0], QUESTION, &rest)).unwrap_err(), Bad::Broken, "{name:?}");
        }
        let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(5);
        let rest = [&long[..], b"\0\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x01"].concat();
        assert_eq!(read_it(&message(0x8180, [1, 0, 0], QUESTION, &rest)).unwrap_err(), Bad::Broken);
    }

    #[test]
    fn a_denial_lasts_as_long_as_its_soa_says() {
        let soa =
            b"\xc0\x0e\0\x06\0\x01\0\0\x0e\x10\0\x18\xc0\x0e\xc0\x0e\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x3c";
        let stored = read_it(&message(0x8183, [0, 1, 0], QUESTION, soa)).unwrap();
        assert_eq!((stored.code, stored.denial_ttl, stored.counts), (3, Some(60), [0, 1]));
    }
}
