//! The records of a table's log, and a range of them as a worker reads it.
//!
//! A record: kind (1 octet), length of the key (2), length of the row (4), little-endian; then key and row. The record of
//! a commit has the revision as its row, and in front of it a CRC-32 of all records since the one before.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

pub const PUT: u8 = 1;
pub const DROP: u8 = 2;
pub const COMMIT: u8 = 3;
pub const HEAD_BYTES: usize = 7;
/// A line's worth (wire::LINE_MAX_BYTES), and what a kind may add to it.
pub const ROW_MAX_BYTES: usize = 2 << 20;

/// Changes of one table, to be taken in their order: of two with the same key the later one counts.
pub struct Changes {
    table: String,
    whole: bool,
    epoch: String,
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    start: usize,
}

/// One record; the row is as `Kind::pack` made it.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Put(&'a str, &'a [u8]),
    Drop(&'a str),
}

impl Changes {
    /// The records of a log between two offsets.
    pub fn of_log(table: &str, whole: bool, file: File, from: u64, to: u64) -> Changes {
        Changes::of(table, whole, Box::new(Range { file, at: from, end: to }))
    }

    /// For tests of a worker: rows by key, packed; None drops.
    pub fn of_rows(table: &str, whole: bool, rows: &[(&str, Option<&[u8]>)]) -> Changes {
        let mut records = Vec::new();
        for (key, row) in rows {
            write(&mut records, if row.is_some() { PUT } else { DROP }, key.as_bytes(), row.unwrap_or_default());
        }
        Changes::of(table, whole, Box::new(io::Cursor::new(records)))
    }

    fn of(table: &str, whole: bool, source: Box<dyn Read>) -> Changes {
        Changes { table: table.to_string(), whole, epoch: String::new(), source, buffer: Vec::new(), start: 0 }
    }

    /// Of the revision that they lead to: each controller has one of its own.
    pub fn in_epoch(self, epoch: impl Into<String>) -> Changes {
        Changes { epoch: epoch.into(), ..self }
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// These are all rows of the table; what else is held goes.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// The next change, or None at the end. It borrows from here, which no Iterator's item may.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Change<'_>>> {
        loop {
            let Some((kind, key, row)) = self.record()? else { return Ok(None) };
            let (key, row) = (self.start - row - key, self.start - row);
            if kind == COMMIT {
                continue;
            }
            let name = std::str::from_utf8(&self.buffer[key..row]).map_err(|_| torn("a key is not UTF-8"))?;
            return Ok(Some(match kind {
                PUT => Change::Put(name, &self.buffer[row..self.start]),
                _ => Change::Drop(name),
            }));
        }
    }

    /// Moves `start` behind the next record. Returns its kind and the lengths of key and row.
    fn record(&mut self) -> io::Result<Option<(u8, usize, usize)>> {
        if !self.fill(HEAD_BYTES)? {
            return Ok(None);
        }
        let (kind, key, row) = head(&self.buffer[self.start..])?;
        if !self.fill(HEAD_BYTES + key + row)? {
            return Err(torn("the last record is not whole"));
        }
        self.start += HEAD_BYTES + key + row;
        Ok(Some((kind, key, row)))
    }

    /// True once so many octets are there; false at the end.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.buffer.len() - self.start >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < wanted {
            let held = self.buffer.len();
            self.buffer.resize(held + READ_BYTES.max(wanted - held), 0);
            let count = self.source.read(&mut self.buffer[held..])?;
            self.buffer.truncate(held + count);
            if count == 0 {
                return if held == 0 { Ok(false) } else { Err(torn("the last record is not whole")) };
            }
        }
        Ok(true)
    }
}

pub fn write(records: &mut Vec<u8>, kind: u8, key: &[u8], row: &[u8]) {
    records.push(kind);
    records.extend_from_slice(&(key.len() as u16).to_le_bytes());
    records.extend_from_slice(&(row.len() as u32).to_le_bytes());
    records.extend_from_slice(key);
    records.extend_from_slice(row);
}

/// Kind and lengths, of at least HEAD_BYTES octets.
pub fn head(octets: &[u8]) -> io::Result<(u8, usize, usize)> {
    let key = u16::from_le_bytes([octets[1], octets[2]]) as usize;
    let row = u32::from_le_bytes([octets[3], octets[4], octets[5], octets[6]]) as usize;
    if !(PUT..=COMMIT).contains(&octets[0]) || key > wire::KEY_MAX_BYTES || row > ROW_MAX_BYTES {
        return Err(torn("what is there is no record"));
    }
    Ok((octets[0], key, row))
}

fn torn(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A part of a file, whatever its cursor is: other processes share it.
struct Range {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min((self.end - self.at) as usize);
        let count = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

const READ_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_their_order() {
        let big = vec![7; 300_000];
        let mut changes =
            Changes::of_rows("names", true, &[("a", Some(b"1")), ("b", Some(&big)), ("a", None), ("c", Some(b""))]);
        assert_eq!(changes.next().unwrap(), Some(Change::Put("a", b"1")));
        assert_eq!(changes.next().unwrap(), Some(Change::Put("b", &big)));
        assert_eq!(changes.next().unwrap(), Some(Change::Drop("a")));
        assert_eq!(changes.next().unwrap(), Some(Change::Put("c", b"")));
        assert_eq!(changes.next().unwrap(), None);
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let mut records = Vec::new();
        write(&mut records, PUT, b"key", b"row");
        for length in 1..records.len() {
            let mut changes = Changes::of("t", true, Box::new(io::Cursor::new(records[..length].to_vec())));
            assert!(changes.next().is_err(), "{length}");
        }
    }
}
