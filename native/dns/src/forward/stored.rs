//! An answer as it is kept: its records behind a question, ready to be copied into a message.

use crate::packet;
use crate::record::{FIXED_BYTES, OWNER};
use crate::reply::{Reply, Section};

/// Names are written out but for owners in the answer section, which point to the question's name or into the records. The
/// pointers are those of a message in which records begin at `base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub code: u16,
    pub authentic: bool,
    pub base: usize,
    pub octets: Vec<u8>,
    /// Records of answer and authority.
    pub counts: [u16; 2],
    /// Octets of the answer section.
    pub answer_bytes: usize,
    /// In seconds.
    pub least_ttl: u32,
    /// How long a denial is known, if it says.
    pub denial_ttl: Option<u32>,
    /// Whether there are records of the type that was asked for.
    pub answered: bool,
}

impl Stored {
    pub fn empty(code: u16) -> Stored {
        Stored {
            code,
            authentic: false,
            base: 0,
            octets: Vec::new(),
            counts: [0; 2],
            answer_bytes: 0,
            least_ttl: u32::MAX,
            denial_ttl: None,
            answered: false,
        }
    }

    pub fn push(&mut self, section: usize, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) {
        self.octets.extend(owner);
        self.octets.extend(kind.to_be_bytes());
        self.octets.extend(packet::IN.to_be_bytes());
        self.octets.extend(ttl.to_be_bytes());
        self.octets.extend((data.len() as u16).to_be_bytes());
        self.octets.extend(data);
        self.counts[section] += 1;
        self.least_ttl = self.least_ttl.min(ttl);
        if section == 0 {
            self.answer_bytes = self.octets.len();
        }
    }

    /// Whether it says that there is no such name, or no such data.
    pub fn denies(&self) -> bool {
        self.code == packet::NAME_ERROR || (self.code == packet::NO_ERROR && !self.answered)
    }

    /// Appends the records to a reply, as the answer for a name that `owner` points to. `ttl` is that of all records;
    /// `None`: their own.
    pub fn put(&self, reply: &mut Reply, owner: u16, ttl: Option<u32>) {
        let (answer, authority) = self.octets.split_at(self.answer_bytes);
        let base = reply.written().len();
        let turn = if self.rotates() { reply.turn } else { 0 };
        let [answers, authorities] = self.counts;
        let Some(written) = reply.octets(Section::Answer, answer, answers) else { return };
        let pointer = |held: u16| match held {
            OWNER => owner,
            held => (usize::from(held) + base - self.base) as u16,
        };
        let mut addresses = (written.len(), 0);
        let mut at = 0;
        while at < written.len() {
            let fixed = &mut written[at..at + FIXED_BYTES];
            let held = u16::from_be_bytes([fixed[0], fixed[1]]);
            fixed[..2].copy_from_slice(&pointer(held).to_be_bytes());
            if let Some(ttl) = ttl {
                fixed[6..10].copy_from_slice(&ttl.to_be_bytes());
            }
            let kind = u16::from_be_bytes([fixed[2], fixed[3]]);
            if matches!(kind, packet::A | packet::AAAA) {
                addresses = (addresses.0.min(at), addresses.1 + 1);
            }
            at += FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
        }
        let (start, count) = addresses;
        if count > 1 && turn > 0 {
            let size = (written.len() - start) / count;
            written[start..].rotate_left(turn % count * size);
        }
        let Some(written) = reply.octets(Section::Authority, authority, authorities) else { return };
        let mut at = 0;
        while let Some(name) = ttl.and_then(|_| packet::plain_name(&written[at..])) {
            let fixed = &mut written[at + name..];
            fixed[4..8].copy_from_slice(&ttl.unwrap_or_default().to_be_bytes());
            at += name + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        }
    }

    /// Whether the answer ends with addresses of one type, and nothing but aliases is before them.
    fn rotates(&self) -> bool {
        let (mut at, mut kind_seen) = (0, None);
        while at < self.answer_bytes {
            let fixed = &self.octets[at..at + FIXED_BYTES];
            let kind = u16::from_be_bytes([fixed[2], fixed[3]]);
            match (kind, kind_seen) {
                (packet::CNAME, None) => {}
                (packet::A | packet::AAAA, None) => kind_seen = Some(kind),
                (kind, Some(seen)) if kind == seen => {}
                _ => return false,
            }
            at += FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
        }
        kind_seen.is_some()
    }
}
