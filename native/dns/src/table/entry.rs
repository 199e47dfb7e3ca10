//! A name and its answers as octets, one behind the other in a shard:
//!
//! ```text
//! length of name, flags, below (4), number of record sets, length of object, name, object,
//! then for each record set: type (2), count (2), length (4), records
//! ```
//!
//! Numbers are little-endian. `below` counts the rows of names below: a name without a row of its own that has some is an
//! empty non-terminal (RFC 8020).

use crate::record::{FIXED_BYTES, Records};

#[derive(Clone, Copy)]
pub struct Entry<'a>(&'a [u8]);

impl<'a> Entry<'a> {
    /// The entry that begins here, as `encode` wrote it.
    pub fn at(octets: &'a [u8]) -> Entry<'a> {
        Entry(octets)
    }

    pub fn name(self) -> &'a [u8] {
        &self.0[HEAD_BYTES..HEAD_BYTES + usize::from(self.0[0])]
    }

    /// Whether it has a row of its own.
    pub fn is_row(self) -> bool {
        self.0[1] & ROW != 0
    }

    /// Whether a child label that is an address written with dashes answers that address.
    pub fn dashed(self) -> bool {
        self.0[1] & DASHED != 0
    }

    pub fn below(self) -> u32 {
        u32::from_le_bytes([self.0[2], self.0[3], self.0[4], self.0[5]])
    }

    /// Where the row comes from, for people.
    pub fn object(self) -> Option<&'a str> {
        let start = HEAD_BYTES + usize::from(self.0[0]);
        let text = &self.0[start..start + usize::from(self.0[7])];
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    pub fn set(self, kind: u16) -> Option<RecordSet<'a>> {
        self.sets().find(|set| set.kind == kind)
    }

    pub fn sets(self) -> impl Iterator<Item = RecordSet<'a>> {
        let mut rest = &self.0[HEAD_BYTES + usize::from(self.0[0]) + usize::from(self.0[7])..];
        (0..self.0[6]).map(move |_| {
            let (set, behind) = split(rest);
            rest = behind;
            set
        })
    }

    /// All of its octets.
    pub fn octets(self) -> &'a [u8] {
        let mut end = HEAD_BYTES + usize::from(self.0[0]) + usize::from(self.0[7]);
        for _ in 0..self.0[6] {
            end += SET_BYTES + split(&self.0[end..]).0.octets.len();
        }
        &self.0[..end]
    }
}

/// Records of one type; their count is not 0.
#[derive(Clone, Copy)]
pub struct RecordSet<'a> {
    pub kind: u16,
    pub count: u16,
    pub octets: &'a [u8],
}

impl<'a> RecordSet<'a> {
    /// Each record's octets.
    pub fn records(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.octets;
        std::iter::from_fn(move || {
            let length = record_bytes(rest)?;
            let (record, behind) = rest.split_at(length);
            rest = behind;
            Some(record)
        })
    }

    /// Each record's data.
    pub fn data(self) -> impl Iterator<Item = &'a [u8]> {
        self.records().map(|record| &record[FIXED_BYTES..])
    }

    /// Where record `number` begins.
    pub fn offset(self, number: usize) -> usize {
        let first = record_bytes(self.octets).unwrap_or(0);
        if first * usize::from(self.count) == self.octets.len() && matches!(self.kind, 1 | 28) {
            return first * number;
        }
        self.records().take(number).map(<[u8]>::len).sum()
    }
}

/// Octets of the record that begins here.
pub fn record_bytes(octets: &[u8]) -> Option<usize> {
    let fixed = octets.first_chunk::<FIXED_BYTES>()?;
    Some(FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[10], fixed[11]])))
}

fn split(octets: &[u8]) -> (RecordSet<'_>, &[u8]) {
    let (head, rest) = octets.split_at(SET_BYTES);
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let (octets, behind) = rest.split_at(length);
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    (RecordSet { kind: number(0), count: number(2), octets }, behind)
}

/// An entry of a row; `object` is cut at 255 octets.
pub fn encode(name: &[u8], dashed: bool, object: &str, records: &Records, out: &mut Vec<u8>) -> Result<(), String> {
    let sets = u8::try_from(records.0.len()).map_err(|_| "a name has records of 255 types at most")?;
    let mut object_bytes = object.len().min(255);
    while !object.is_char_boundary(object_bytes) {
        object_bytes -= 1;
    }
    out.push(name.len() as u8);
    out.push(ROW | if dashed { DASHED } else { 0 });
    out.extend([0; 4]);
    out.extend([sets, object_bytes as u8]);
    out.extend(name);
    out.extend(&object.as_bytes()[..object_bytes]);
    for (kind, set) in &records.0 {
        out.extend(kind.to_le_bytes());
        out.extend(set.count.to_le_bytes());
        out.extend((set.octets.len() as u32).to_le_bytes());
        out.extend(&set.octets);
    }
    Ok(())
}

/// An entry of a name that has no row.
pub fn encode_empty(name: &[u8], out: &mut Vec<u8>) {
    out.push(name.len() as u8);
    out.extend([0; HEAD_BYTES - 1]);
    out.extend(name);
}

/// Of the entry that begins here.
pub fn set_below(entry: &mut [u8], below: u32) {
    entry[2..6].copy_from_slice(&below.to_le_bytes());
}

const HEAD_BYTES: usize = 8;
const SET_BYTES: usize = 8;
const ROW: u8 = 1;
const DASHED: u8 = 2;
