//! A table as a log of its changes: a file in the state directory, or in memory where there is none. It is all that the
//! supervisor holds of a table. What follows the last commit that is whole does not count.

use crate::changes::{self, COMMIT, Changes, DROP, HEAD_BYTES, PUT};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wire::protocol::Revision;

pub struct Log {
    table: String,
    file: File,
    /// None: in memory.
    path: Option<PathBuf>,
    revision: Option<Revision>,
    /// Length up to the last commit, its record included.
    committed: u64,
    /// Length with what was written since.
    written: u64,
    /// What follows that.
    unwritten: Vec<u8>,
    /// Of the records since the last commit.
    sum: crc32fast::Hasher,
    /// `committed` when all of it were rows, and none of them twice.
    dense: u64,
    /// Commits that may not be on the disk yet.
    unsynced: bool,
}

impl Log {
    /// A new one, empty. `dir` None: in memory.
    pub fn create(dir: Option<&Path>, table: &str, generation: u64) -> io::Result<Log> {
        let path = dir.map(|dir| dir.join(format!("{table}.{generation}")));
        let file = match &path {
            Some(path) => OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?,
            None => File::from(memfd_create("table", MFdFlags::MFD_CLOEXEC)?),
        };
        let mut log = Log::of(table, file, path);
        log.unwritten.extend_from_slice(MAGIC);
        log.flush()?;
        log.committed = log.written;
        Ok(log)
    }

    /// One that is there. None: nothing was ever committed in it. `InvalidData`: it is none, or is damaged.
    pub fn open(path: &Path, table: &str) -> io::Result<Option<Log>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut log = Log::of(table, file, Some(path.to_path_buf()));
        log.recover()?;
        if log.revision.is_none() {
            return Ok(None);
        }
        log.rollback()?;
        Ok(Some(log))
    }

    /// Of another process, which writes to it no more. `InvalidData`: it is none of this version, or nothing is committed.
    pub fn inherit(table: &str, file: File, path: Option<PathBuf>) -> io::Result<Log> {
        let mut log = Log::of(table, file, path);
        log.recover()?;
        log.unsynced = true;
        if log.revision.is_some() { Ok(log) } else { Err(damaged("nothing is committed")) }
    }

    fn of(table: &str, file: File, path: Option<PathBuf>) -> Log {
        Log {
            table: table.to_string(),
            file,
            path,
            revision: None,
            committed: 0,
            written: 0,
            unwritten: Vec::new(),
            sum: crc32fast::Hasher::new(),
            dense: 0,
            unsynced: false,
        }
    }

    pub fn revision(&self) -> Option<&Revision> {
        self.revision.as_ref()
    }

    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub fn octets(&self) -> u64 {
        self.committed
    }

    pub fn put(&mut self, key: &str, row: &[u8]) -> io::Result<()> {
        self.append(PUT, key, row)
    }

    pub fn drop_key(&mut self, key: &str) -> io::Result<()> {
        self.append(DROP, key, &[])
    }

    fn append(&mut self, kind: u8, key: &str, row: &[u8]) -> io::Result<()> {
        if self.written + (self.unwritten.len() + HEAD_BYTES + key.len() + row.len()) as u64 > OCTETS_MAX {
            return Err(io::Error::other(format!("the table takes more than {} MiB", OCTETS_MAX >> 20)));
        }
        let start = self.unwritten.len();
        changes::write(&mut self.unwritten, kind, key.as_bytes(), row);
        self.sum.update(&self.unwritten[start..]);
        if self.unwritten.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// What came since the last commit, readable from now on: offsets of the file that `share` gives.
    pub fn pending(&mut self) -> io::Result<(u64, u64)> {
        self.flush()?;
        Ok((self.committed, self.written))
    }

    /// All that is committed.
    pub fn whole(&self) -> (u64, u64) {
        (MAGIC.len() as u64, self.committed)
    }

    pub fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub fn changes(&self) -> io::Result<Changes> {
        let (from, to) = self.whole();
        Ok(Changes::of_log(&self.table, true, self.share()?, from, to))
    }

    /// What came since the last commit counts from now on.
    pub fn commit(&mut self, revision: Revision) -> io::Result<()> {
        let mut row = vec![0; 4];
        row.extend_from_slice(&revision.number.to_le_bytes());
        row.extend_from_slice(revision.epoch.as_bytes());
        self.sum.update(&row[4..]);
        row[..4].copy_from_slice(&std::mem::take(&mut self.sum).finalize().to_le_bytes());
        changes::write(&mut self.unwritten, COMMIT, b"", &row);
        self.flush()?;
        if self.revision.is_none() {
            self.dense = self.written;
        }
        self.committed = self.written;
        self.revision = Some(revision);
        self.unsynced = true;
        Ok(())
    }

    /// What came since the last commit is forgotten.
    pub fn rollback(&mut self) -> io::Result<()> {
        self.unwritten.clear();
        self.sum.reset();
        self.written = self.committed;
        self.file.set_len(self.committed)
    }

    /// For one that is not to be.
    pub fn remove(self) -> io::Result<()> {
        self.path.map_or(Ok(()), std::fs::remove_file)
    }

    /// More than half of it is of no use any more.
    pub fn sparse(&self) -> bool {
        self.committed > 2 * self.dense + SPARSE_BYTES
    }

    /// The same table in a log of its own, without what is of no use; and how many rows it has.
    pub fn compact(&self, dir: Option<&Path>, generation: u64) -> io::Result<(Log, usize)> {
        let Some(revision) = self.revision.clone() else { return Err(damaged("nothing is committed")) };
        // By a hash of the key: a key takes much more. Two keys of one hash would be one; 64 random bits are enough of them.
        let hashes = RandomState::new();
        let mut last: HashMap<u64, u64> = HashMap::new();
        let mut position = 0;
        let mut changes = self.changes()?;
        while let Some(change) = changes.next()? {
            match change {
                changes::Change::Put(key, _) => last.insert(hashes.hash_one(key), position),
                changes::Change::Drop(key) => last.remove(&hashes.hash_one(key)),
            };
            position += 1;
        }
        let mut log = Log::create(dir, &self.table, generation)?;
        position = 0;
        let mut changes = self.changes()?;
        while let Some(change) = changes.next()? {
            if let changes::Change::Put(key, row) = change
                && last.get(&hashes.hash_one(key)) == Some(&position)
            {
                log.put(key, row)?;
            }
            position += 1;
        }
        log.commit(revision)?;
        Ok((log, last.len()))
    }

    /// The file, when commits may not be on the disk yet. Sync it, and the folder.
    pub fn unsynced(&mut self) -> Option<File> {
        if self.path.is_none() || !std::mem::take(&mut self.unsynced) {
            return None;
        }
        self.share().ok()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.unwritten, self.written)?;
        self.written += self.unwritten.len() as u64;
        self.unwritten.clear();
        self.unwritten.shrink_to(2 * WRITE_BYTES);
        Ok(())
    }

    /// Finds the last commit that is whole.
    fn recover(&mut self) -> io::Result<()> {
        let mut input = io::BufReader::with_capacity(WRITE_BYTES, &self.file);
        input.rewind()?;
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(|_| damaged("it is too short"))?;
        if magic != *MAGIC {
            return Err(damaged("it is no table of this version"));
        }
        self.written = MAGIC.len() as u64;
        let (mut head, mut body) = ([0; HEAD_BYTES], Vec::new());
        // The first thing that is no record ends it: what was being written when the machine went down.
        while input.read_exact(&mut head).is_ok() {
            let Ok((kind, key, row)) = changes::head(&head) else { break };
            body.resize(key + row, 0);
            if input.read_exact(&mut body).is_err() {
                break;
            }
            self.written += (HEAD_BYTES + body.len()) as u64;
            if kind != COMMIT {
                self.sum.update(&head);
                self.sum.update(&body);
                continue;
            }
            let Some(revision) = sealed(&body, std::mem::take(&mut self.sum)) else { break };
            self.revision = Some(revision);
            self.committed = self.written;
            self.dense = self.written;
        }
        Ok(())
    }
}

/// The revision in a record of a commit, if the sum in it is that of the records before and of the revision.
fn sealed(row: &[u8], mut sum: crc32fast::Hasher) -> Option<Revision> {
    sum.update(row.get(4..)?);
    if row[..4] != sum.finalize().to_le_bytes() {
        return None;
    }
    let number = u64::from_le_bytes(row.get(4..12)?.try_into().ok()?);
    Some(Revision { epoch: String::from_utf8(row[12..].to_vec()).ok()?, number })
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const MAGIC: &[u8; 8] = b"FLTABLE1";
const OCTETS_MAX: u64 = 1 << 30;
const WRITE_BYTES: usize = 64 << 10;
const SPARSE_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Change;

    #[test]
    fn what_is_committed_is_read_again() {
        let dir = Folder::make("again");
        let mut log = Log::create(Some(&dir.0), "names", 1).unwrap();
        log.put("a", b"1").unwrap();
        log.put("b", b"2").unwrap();
        log.commit(revision(3)).unwrap();
        log.drop_key("a").unwrap();
        log.commit(revision(4)).unwrap();
        log.put("lost", b"9").unwrap();
        log.pending().unwrap();
        let again = Log::open(&dir.0.join("names.1"), "names").unwrap().unwrap();
        assert_eq!(again.revision(), Some(&revision(4)));
        assert_eq!(rows(&again), ["+a 1", "+b 2", "-a"]);
    }

    #[test]
    fn every_cut_and_every_flipped_octet_gives_an_earlier_commit_or_none() {
        let dir = Folder::make("cut");
        let mut log = Log::create(Some(&dir.0), "names", 1).unwrap();
        log.put("a", b"1").unwrap();
        log.commit(revision(1)).unwrap();
        let first = log.octets() as usize;
        log.put("b", b"2").unwrap();
        log.commit(revision(2)).unwrap();
        let octets = std::fs::read(dir.0.join("names.1")).unwrap();
        let path = dir.0.join("names.2");
        for at in 0..octets.len() {
            std::fs::write(&path, &octets[..at]).unwrap();
            let cut = Log::open(&path, "names").ok().flatten();
            assert_eq!(cut.and_then(|log| log.revision().cloned()), (at >= first).then(|| revision(1)), "cut at {at}");
            let mut flipped = octets.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            let held = Log::open(&path, "names").ok().flatten();
            let rows = held.as_ref().map_or(vec![], rows);
            assert_eq!(rows, if at < first { vec![] } else { vec!["+a 1"] }, "flipped at {at}");
            assert_eq!(
                held.and_then(|log| log.revision().cloned()),
                (at >= first).then(|| revision(1)),
                "flipped at {at}"
            );
        }
    }

    #[test]
    fn a_log_of_many_changes_of_few_rows_stays_short() {
        let dir = Folder::make("short");
        let mut log = Log::create(Some(&dir.0), "names", 1).unwrap();
        let mut generation = 1;
        for number in 1..=3000 {
            log.put(&format!("key{}", number % 7), &vec![number as u8; 1000]).unwrap();
            if number % 7 == 3 {
                log.drop_key("key5").unwrap();
            }
            log.commit(revision(number)).unwrap();
            if log.sparse() {
                generation += 1;
                (log, _) = log.compact(Some(&dir.0), generation).unwrap();
            }
        }
        assert!(generation > 1 && log.octets() < 2 * SPARSE_BYTES, "{generation} {}", log.octets());
        let (last, count) = log.compact(None, 0).unwrap();
        assert_eq!((count, last.revision()), (6, Some(&revision(3000))));
        assert!(rows(&last).iter().all(|row| row.starts_with("+key")));
    }

    fn rows(log: &Log) -> Vec<String> {
        let mut changes = log.changes().unwrap();
        let mut rows = Vec::new();
        while let Some(change) = changes.next().unwrap() {
            rows.push(match change {
                Change::Put(key, row) => format!("+{key} {}", String::from_utf8_lossy(row)),
                Change::Drop(key) => format!("-{key}"),
            });
        }
        rows
    }

    fn revision(number: u64) -> Revision {
        Revision { epoch: "epoch".to_string(), number }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn make(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("fairlead-log-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}
