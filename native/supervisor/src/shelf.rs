//! The tables that are held, each a log; in a state directory, so that they outlive this process, or else in memory.

use crate::log::Log;
use cli::{Failure, failed};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::protocol::Revision;

pub struct Shelf {
    dir: Option<PathBuf>,
    /// Tables that go to the disk; others are in memory even so.
    kept: Vec<&'static str>,
    /// Held for as long as we live: two carriers that share a directory would destroy each other's tables.
    lock: Option<Flock<File>>,
    logs: BTreeMap<String, Log>,
    generation: u64,
    /// Logs that others have replaced, to be removed once those are on the disk.
    stale: Vec<PathBuf>,
    /// The disk took no more at that time.
    refused_at: Option<Instant>,
}

/// What is to be done away from the thread that serves the controller.
pub struct Chore {
    files: Vec<File>,
    dir: PathBuf,
    stale: Vec<PathBuf>,
}

impl Shelf {
    /// `dir` None: in memory. Each table has the last revision of it that was committed; what is damaged is set aside and
    /// said. Fails when another carrier uses the directory.
    pub fn open(dir: Option<&Path>, kept: Vec<&'static str>, say: &dyn Fn(&str)) -> Result<Shelf, Failure> {
        let mut shelf = Shelf::inherit(BTreeMap::new(), kept, 0);
        let Some(dir) = dir else { return Ok(shelf) };
        match lock(dir)? {
            Ok(lock) => shelf.lock = Some(lock),
            Err(error) => {
                say(&format!(
                    "{}: {error}; tables are held in memory only, and lost when this process ends",
                    dir.display()
                ));
                return Ok(shelf);
            }
        }
        shelf.dir = Some(dir.to_path_buf());
        for table in shelf.kept.clone() {
            shelf.find(dir, table, say);
        }
        Ok(shelf)
    }

    /// Of another process: it is written to by `own` only.
    pub fn inherit(logs: BTreeMap<String, Log>, kept: Vec<&'static str>, generation: u64) -> Shelf {
        Shelf { dir: None, kept, lock: None, logs, generation, stale: vec![], refused_at: None }
    }

    /// From now on the directory is ours, by the lock of who had it.
    pub fn own(&mut self, dir: &Path, lock: File) -> io::Result<()> {
        self.lock = Some(Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?);
        self.dir = Some(dir.to_path_buf());
        Ok(())
    }

    /// The lock, and the number of the newest log.
    pub fn lock(&self) -> (Option<BorrowedFd<'_>>, u64) {
        (self.lock.as_ref().map(|lock| lock.as_fd()), self.generation)
    }

    /// Another process has the directory, and its lock.
    pub fn disown(&mut self) {
        self.dir = None;
        std::mem::forget(self.lock.take()); // dropped, it would be unlocked for both
    }

    pub fn log(&self, table: &str) -> Option<&Log> {
        self.logs.get(table)
    }

    pub fn log_mut(&mut self, table: &str) -> Option<&mut Log> {
        self.logs.get_mut(table)
    }

    pub fn logs(&self) -> impl Iterator<Item = (&String, &Log)> {
        self.logs.iter()
    }

    /// What is held of each table.
    pub fn revisions(&self) -> BTreeMap<String, Revision> {
        self.logs().filter_map(|(table, log)| Some((table.clone(), log.revision()?.clone()))).collect()
    }

    /// A new log for a table, which takes the place of the old one by `replace`.
    pub fn create(&mut self, table: &str, say: &dyn Fn(&str)) -> io::Result<Log> {
        self.generation += 1;
        let disk = self.disk_of(table);
        let error = match Log::create(disk.as_deref(), table, self.generation) {
            Err(error) if disk.is_some() => error,
            other => return other,
        };
        self.refuse(&error, say);
        Log::create(None, table, self.generation)
    }

    /// The disk took no more: for a while, new logs are made in memory.
    pub fn refuse(&mut self, error: &io::Error, say: &dyn Fn(&str)) {
        if self.disk().is_some() {
            say(&format!("cannot write to the state directory: {error}; tables are held in memory only for now"));
            self.refused_at = Some(Instant::now());
        }
    }

    pub fn replace(&mut self, table: &str, log: Log) {
        let old = self.logs.insert(table.to_string(), log);
        self.stale.extend(old.as_ref().and_then(Log::path).map(Path::to_path_buf));
    }

    /// Without what is of no use any more, where that is most of it. Returns how many rows there are then.
    pub fn compact(&mut self, table: &str) -> io::Result<Option<usize>> {
        let Some(log) = self.logs.get(table).filter(|log| log.sparse()) else { return Ok(None) };
        self.generation += 1;
        let (compact, rows) = log.compact(self.disk_of(table).as_deref(), self.generation)?;
        self.replace(table, compact);
        Ok(Some(rows))
    }

    /// Takes a table away that no worker survives.
    pub fn set_aside(&mut self, table: &str) {
        let Some(log) = self.logs.remove(table) else { return };
        if let (Some(path), Some(dir)) = (log.path(), &self.dir) {
            drop(fs::rename(path, dir.join(format!("{table}.damaged"))));
        }
    }

    /// What brings all commits to the disk and then removes what they replaced; None: nothing to do.
    pub fn chore(&mut self) -> Option<Chore> {
        let dir = self.dir.clone()?;
        let files: Vec<File> = self.logs.values_mut().filter_map(Log::unsynced).collect();
        let stale = std::mem::take(&mut self.stale);
        (!files.is_empty() || !stale.is_empty()).then_some(Chore { files, dir, stale })
    }

    fn disk_of(&self, table: &str) -> Option<PathBuf> {
        self.disk().filter(|_| self.kept.contains(&table))
    }

    fn disk(&self) -> Option<PathBuf> {
        let refused = self.refused_at.is_some_and(|at| at.elapsed() < REFUSED_FOR);
        self.dir.clone().filter(|_| !refused)
    }

    fn find(&mut self, dir: &Path, table: &str, say: &dyn Fn(&str)) {
        for (generation, path) in generations(dir, table).into_iter().rev() {
            self.generation = self.generation.max(generation);
            if self.logs.contains_key(table) {
                self.stale.push(path);
                continue;
            }
            match Log::open(&path, table) {
                Ok(Some(log)) => drop(self.logs.insert(table.to_string(), log)),
                Ok(None) => self.stale.push(path),
                Err(error) => {
                    say(&format!("{}: {error}; it is ignored", path.display()));
                    drop(fs::rename(&path, dir.join(format!("{table}.damaged"))));
                }
            }
        }
    }
}

impl Chore {
    /// Blocks.
    pub fn run(self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        File::open(&self.dir)?.sync_all()?;
        for path in &self.stale {
            drop(fs::remove_file(path));
        }
        Ok(())
    }
}

/// Ok(Err): it cannot be written.
fn lock(dir: &Path) -> Result<io::Result<Flock<File>>, Failure> {
    let open = || -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        File::options().write(true).create(true).truncate(false).open(dir.join("lock"))
    };
    let file = match open() {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Ok(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            let cause = "another carrier uses it; give each its own --state";
            Err(failed(format!("{}", dir.display()))(cause))
        }
        Err((_, error)) => Ok(Err(error.into())),
    }
}

/// Files `TABLE.GENERATION`, oldest first.
fn generations(dir: &Path, table: &str) -> BTreeMap<u64, PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeMap::new() };
    let number = |name: &str| name.strip_prefix(table)?.strip_prefix('.')?.parse().ok();
    entries.flatten().filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect()
}

const REFUSED_FOR: Duration = Duration::from_secs(30);
