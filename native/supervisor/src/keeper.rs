//! Keeps a worker going: starts it, gives it the tables and the sockets, and starts the next one when it dies.

use crate::Readers;
use crate::kind::{Committed, Kind, Place};
use crate::message::{FromWorker, Opened, ToWorker};
use crate::pages::{Status, lock};
use crate::ports::Ports;
use crate::process::Process;
use crate::shelf::Shelf;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wire::protocol::Question;

pub struct Keeper {
    kind: &'static dyn Kind,
    threads: usize,
    /// Where others read what is answered.
    readers: Option<Arc<Readers>>,
    status: Arc<Mutex<Status>>,
    worker: Option<Process>,
    /// When the worker began, or the next one may.
    began: Instant,
    retry_at: Instant,
    /// Deaths one soon after the other.
    deaths: u32,
    /// The same, of workers that had not got so far as to serve; and the table they died of.
    stillborn: u32,
    loading: Option<String>,
    pub starts: u64,
    /// Those that ended before they were told to.
    pub died: u64,
    /// Of each table, as the worker counts them.
    pub rows: BTreeMap<String, usize>,
    /// None: a worker takes no other one's place.
    pub expected: Option<Expected>,
}

/// What a worker must be able to that takes the place of one that serves.
pub struct Expected {
    /// Of tables of which it must take so many rows, or must not serve.
    pub rows: BTreeMap<String, usize>,
    /// What the other one is not ready with, either.
    pub unready: Vec<String>,
    /// It is waited for so long to be as ready; the other one serves meanwhile.
    pub until: Instant,
}

/// A delta that the worker is to take into force: a part of a log.
pub struct Load<'a> {
    pub table: &'a str,
    pub whole: bool,
    /// Of the revision that comes into force.
    pub epoch: &'a str,
    pub file: File,
    pub range: (u64, u64),
}

impl Keeper {
    pub fn new(
        kind: &'static dyn Kind,
        threads: usize,
        readers: Option<Arc<Readers>>,
        status: Arc<Mutex<Status>>,
    ) -> Keeper {
        let now = Instant::now();
        Keeper {
            kind,
            threads,
            readers,
            status,
            worker: None,
            began: now,
            retry_at: now,
            deaths: 0,
            stillborn: 0,
            loading: None,
            starts: 0,
            died: 0,
            rows: BTreeMap::new(),
            expected: None,
        }
    }

    pub fn id(&self) -> Option<u32> {
        self.worker.as_ref().map(Process::id)
    }

    /// Ends when the worker died (why), or when it is time to start one (None).
    pub async fn due(&mut self) -> Option<String> {
        match &mut self.worker {
            Some(worker) => Some(worker.gone().await),
            None => {
                tokio::time::sleep_until(self.retry_at.into()).await;
                None
            }
        }
    }

    /// Starts a worker, and ends when it serves or has failed.
    pub async fn start(&mut self, shelf: &mut Shelf, ports: &Ports, say: &dyn Fn(&str)) {
        self.starts += 1;
        self.began = Instant::now();
        match Process::start(self.kind.name(), self.threads) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => return self.bury(&format!("cannot start a worker: {error}"), say),
        }
        if let Err(why) = self.equip(shelf, ports, say).await {
            self.stillborn += 1;
            let table = self.loading.take().filter(|_| self.stillborn >= STILLBORN_MAX);
            self.bury(&why, say);
            if let Some(table) = table {
                say(&format!("no worker survives table {table}: it is set aside, and begun anew"));
                shelf.set_aside(&table);
                self.rows.remove(&table);
            }
            return;
        }
        self.stillborn = 0;
        let mut status = lock(&self.status);
        status.down_since = None;
    }

    async fn equip(&mut self, shelf: &mut Shelf, ports: &Ports, say: &dyn Fn(&str)) -> Result<(), String> {
        for table in self.kind.tables() {
            let Some((log, revision)) = shelf.log(table).and_then(|log| Some((log, log.revision()?))) else { continue };
            let epoch = &revision.epoch;
            let file = log.share().map_err(|error| error.to_string())?;
            self.loading = Some(table.to_string());
            match self.load(Load { table, whole: true, epoch, file, range: log.whole() }).await? {
                Ok(committed) => {
                    for row in committed.refused.iter().take(SAID_MAX) {
                        say(&format!("table {table}: {} is not served: {}; {}", row.key, row.reason, row.remedy));
                    }
                }
                Err(reason) => {
                    say(&format!("table {table} cannot be served: {reason}; it is set aside, and begun anew"));
                    shelf.set_aside(table);
                }
            }
        }
        self.loading = None;
        if let Some(expected) = self.expected.take() {
            self.match_up(&expected, say).await?;
        }
        if let Some(readers) = self.readers.clone() {
            // To answer matters more than to be read.
            if let FromWorker::Failed(reason) = self.ask(&ToWorker::Read, &readers.files(), ASK_LIMIT).await? {
                say(&format!("nobody can read what is answered: {reason}"));
            }
        }
        self.listen(ports, ports.places(), vec![]).await?;
        self.probe().await
    }

    /// Until it is as good as the one that it replaces.
    async fn match_up(&mut self, expected: &Expected, say: &dyn Fn(&str)) -> Result<(), String> {
        for (table, count) in &expected.rows {
            let taken = self.rows.get(table).copied().unwrap_or(0);
            if taken != *count {
                return Err(format!("of {count} rows of table {table}, {taken} were taken"));
            }
        }
        loop {
            self.probe().await?;
            let mut lacking = lock(&self.status).unready.clone();
            lacking.retain(|each| !expected.unready.contains(each));
            if lacking.is_empty() {
                return Ok(());
            }
            if Instant::now() >= expected.until {
                say(&format!("serves without what it is not ready with after all that time: {}", lacking.join(", ")));
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Ok(Err): the worker refuses it as a whole. Err: it is dead.
    pub async fn load(&mut self, load: Load<'_>) -> Result<Result<Committed, String>, String> {
        let Load { table, whole, epoch, file, range: (from, to) } = load;
        let message = ToWorker::Load { table: table.to_string(), whole, epoch: epoch.to_string(), from, to };
        match self.ask(&message, &[file.as_fd()], COMMIT_LIMIT).await? {
            FromWorker::Committed(committed) => {
                self.rows.insert(table.to_string(), committed.rows);
                Ok(Ok(committed))
            }
            FromWorker::Failed(reason) => Ok(Err(reason)),
            other => Err(format!("the worker answered a commit with {other:?}")),
        }
    }

    pub async fn listen(&mut self, ports: &Ports, opened: Vec<Place>, closed: Vec<Place>) -> Result<(), String> {
        if !closed.is_empty() {
            self.ask(&ToWorker::Listen { opened: None, closed }, &[], ASK_LIMIT).await?;
        }
        for place in opened {
            let Some(sockets) = ports.get(&place) else { continue };
            let opened = Some(Opened::of(sockets));
            self.ask(&ToWorker::Listen { opened, closed: vec![] }, &sockets.files(), ASK_LIMIT).await?;
        }
        Ok(())
    }

    /// Sees that it is alive, and how ready.
    pub async fn probe(&mut self) -> Result<(), String> {
        if let FromWorker::Unready(unready) = self.ask(&ToWorker::Unready, &[], PROBE_LIMIT).await? {
            lock(&self.status).unready = unready;
        }
        Ok(())
    }

    /// Err: the worker is dead.
    pub async fn question(&mut self, question: Question) -> Result<Result<Value, String>, String> {
        match self.ask(&ToWorker::Ask(question), &[], ASK_LIMIT).await? {
            FromWorker::Answer(answer) => Ok(answer),
            other => Err(format!("the worker answered a question with {other:?}")),
        }
    }

    pub async fn drain(&mut self, within: Duration) {
        let message = ToWorker::Drain { within_ms: within.as_millis() as u64 };
        drop(self.ask(&message, &[], within + PROBE_LIMIT).await);
        self.worker = None;
    }

    /// It is dead, or as good as: the next one is started at once, or after a while if they die one after the other.
    pub fn bury(&mut self, why: &str, say: &dyn Fn(&str)) {
        self.worker = None;
        self.died += 1;
        self.deaths = if self.began.elapsed() > LONG_LIFE { 0 } else { self.deaths + 1 };
        let wait = match self.deaths {
            0 | 1 => Duration::ZERO,
            deaths => (FIRST_WAIT * 2_u32.pow(deaths.min(12) - 2)).min(LONGEST_WAIT),
        };
        self.retry_at = Instant::now() + wait;
        say(&format!("{why}; the next one starts in {} ms", wait.as_millis()));
        let mut status = lock(&self.status);
        status.down_since.get_or_insert_with(Instant::now);
        status.why_down = why.to_string();
    }

    async fn ask(
        &mut self,
        message: &ToWorker,
        files: &[BorrowedFd<'_>],
        within: Duration,
    ) -> Result<FromWorker, String> {
        match &mut self.worker {
            Some(worker) => worker.ask(message, files, within).await,
            None => Err("there is no worker at the moment".to_string()),
        }
    }
}

/// One that dies sooner counts as dying one after the other. A start costs some 50 ms: what serves in between is worth it.
const LONG_LIFE: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const STILLBORN_MAX: u32 = 3;
const COMMIT_LIMIT: Duration = Duration::from_secs(60);
const ASK_LIMIT: Duration = Duration::from_secs(5);
const PROBE_LIMIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const SAID_MAX: usize = 20;
