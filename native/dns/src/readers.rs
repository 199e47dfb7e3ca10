//! Those who read what is answered: they say which names they want, are told, and acknowledge. An answer that says
//! something new waits for them, at most `PATIENCE`. Runs on the event loop.

use crate::later::Reach;
use crate::name::Shown;
use crate::notes::{Notes, Wanted, patterns};
use crate::watch::{List, Patterns, Row, Sighting, Waiting, Watch};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use supervisor::Connection;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use wire::answers::{FromReader, PATTERNS_MAX, Seen, SeenAddress, SeenRow, ToReader, Welcome};
use wire::protocol::ProtocolError;

/// Until `release`: then readers are to go to who serves next, and nobody is waited for.
pub async fn serve(
    watch: Arc<Watch>,
    listener: std::os::unix::net::UnixListener,
    notes: Notes,
    mut queue: mpsc::Receiver<Waiting>,
    release: Arc<Notify>,
) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let (sender, mut heard) = mpsc::channel(HEARD_MAX);
    let mut desk = Desk::new(watch, notes);
    let (mut next, mut tick) = (0, interval(TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let deadline = desk.deadline();
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if desk.readers.len() < READERS_MAX => {
                    next += 1;
                    desk.welcome(next, Connection::new(stream), sender.clone());
                }
                Ok(_) => eprintln!("dns: more than {READERS_MAX} want to read answers; the last one is sent away"),
                Err(_) => tokio::time::sleep(RETRY).await, // out of descriptors
            },
            Some((reader, line)) = heard.recv() => desk.hear(reader, line),
            Some(waiting) = queue.recv() => desk.tell(waiting),
            () = until(deadline) => desk.give_up(Instant::now()),
            _ = tick.tick() => desk.tend(Instant::now()),
            () = release.notified() => return desk.release(|_| true),
        }
    }
}

struct Desk {
    watch: Arc<Watch>,
    readers: BTreeMap<u64, Reader>,
    /// In the order in which they came.
    waiting: VecDeque<Held>,
    /// When the last reader went.
    left: Option<Instant>,
    /// That somebody is late.
    said: bool,
    notes: Notes,
    /// The last worker's readers, until they are here.
    away: Option<Away>,
}

struct Away {
    wanted: Wanted,
    /// How many have come.
    back: usize,
    until: Instant,
}

struct Reader {
    /// Lines to be written, without their end.
    outbox: mpsc::Sender<Arc<ToReader>>,
    /// None: it has not said yet.
    patterns: Option<Vec<String>>,
    taken: u64,
}

struct Held {
    number: u64,
    deadline: Instant,
    answer: Box<[u8]>,
    reach: Reach,
}

type Heard = (u64, Option<Vec<u8>>);

impl Desk {
    fn new(watch: Arc<Watch>, notes: Notes) -> Desk {
        let (wanted, now) = (notes.read(), Instant::now());
        let away = (!wanted.is_empty()).then(|| Away { wanted, back: 0, until: now + RETURN });
        let left = away.as_ref().map(|_| now);
        let (readers, waiting) = (BTreeMap::new(), VecDeque::new());
        let mut desk = Desk { watch, readers, waiting, left, said: false, notes, away };
        desk.settle();
        desk
    }

    /// When there is something to be given up.
    fn deadline(&self) -> Option<Instant> {
        let held = self.waiting.front().map(|held| held.deadline);
        held.into_iter().chain(self.away.as_ref().map(|away| away.until)).min()
    }

    fn welcome(&mut self, id: u64, mut connection: Connection, heard: mpsc::Sender<Heard>) {
        let (outbox, mut lines) = mpsc::channel::<Arc<ToReader>>(OUTBOX_MAX);
        let welcome = ToReader::Welcome(Welcome { version: env!("CARGO_PKG_VERSION").to_string() });
        connection.say(&welcome);
        self.readers.insert(id, Reader { outbox, patterns: None, taken: 0 });
        spawn_local(async move {
            loop {
                tokio::select! {
                    line = connection.line() => match line {
                        Some(Ok(line)) => {
                            if heard.send((id, Some(line))).await.is_err() { return }
                        }
                        _ => break,
                    },
                    // The desk dropped it, or it does not read what it is told.
                    message = lines.recv() => match message {
                        Some(message) if timeout(DEAF, connection.tell(&*message)).await == Ok(true) => {}
                        _ => break,
                    },
                }
            }
            let _ = heard.send((id, None)).await;
        });
        self.count();
    }

    fn hear(&mut self, id: u64, line: Option<Vec<u8>>) {
        if !self.readers.contains_key(&id) {
            return;
        }
        let Some(line) = line else { return self.part(id) };
        let message = serde_json::from_slice(&line).map_err(|error| format!("what came is no message: {error}"));
        let followed = match message {
            Ok(FromReader::Watch(watch)) => self.follow(id, watch.patterns),
            Ok(FromReader::Taken(taken)) => {
                if let Some(reader) = self.readers.get_mut(&id) {
                    reader.taken = reader.taken.max(taken.number);
                }
                self.settle();
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = followed {
            eprintln!("dns: a reader of answers is sent away: {reason}");
            self.send(id, ToReader::Error(ProtocolError { reason }));
            self.part(id);
        }
    }

    /// From now on it is told of these, and first of all that is known.
    fn follow(&mut self, id: u64, patterns: Vec<String>) -> Result<(), String> {
        if patterns.len() > PATTERNS_MAX {
            return Err(format!("{} patterns are too many: at most {PATTERNS_MAX}", patterns.len()));
        }
        let mut tried = Patterns::default();
        patterns.iter().try_for_each(|pattern| tried.add(pattern))?;
        let Some(reader) = self.readers.get_mut(&id) else { return Ok(()) };
        let is_new = reader.patterns.replace(patterns).is_none();
        reader.taken = 0;
        if let Some(away) = self.away.as_mut().filter(|_| is_new) {
            away.back += 1;
            if away.back >= away.wanted.len() {
                self.away = None;
            }
        }
        self.want();
        // Nothing may be added between the list and the number it stands for.
        let messages = whole(&self.watch.list(), Instant::now());
        messages.into_iter().for_each(|message| self.send(id, message));
        self.settle();
        Ok(())
    }

    fn part(&mut self, id: u64) {
        self.readers.remove(&id);
        // It may be there again already, and not have said yet what it wants.
        if self.readers.values().all(|reader| reader.patterns.is_none()) {
            self.left = Some(Instant::now());
        } else {
            self.want();
        }
        self.count();
        self.settle();
    }

    /// What anybody wants. The last one's patterns stay for a while: it may come back, and clients use what they heard meanwhile.
    fn want(&mut self) {
        let here = self.readers.values().filter_map(|reader| reader.patterns.as_deref());
        let away = self.away.iter().flat_map(|away| &away.wanted).map(Vec::as_slice);
        let wanted: Vec<&[String]> = here.chain(away).collect();
        self.notes.write(&wanted);
        self.watch.want(patterns(wanted.iter().copied().flatten()));
        self.left = None;
    }

    fn count(&self) {
        self.watch.counts.readers.store(self.readers.len() as u64, Ordering::Relaxed);
    }

    /// An answer that says something new.
    fn tell(&mut self, Waiting { sighting, answer, reach }: Waiting) {
        let watch = self.watch.clone();
        let counts = &watch.counts;
        let told = self.watch.list().put(&sighting, Instant::now());
        if told.unlisted && counts.unlisted.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("dns: readers of answers that come later are not told of all names: there are too many");
        }
        if told.is_new {
            counts.reported.fetch_add(1, Ordering::Relaxed);
            let seen = Seen { from: told.number - 1, to: told.number, rows: vec![row_of(&sighting)], more: false };
            self.broadcast(&Arc::new(ToReader::Seen(seen)));
        }
        counts.held.fetch_add(1, Ordering::Relaxed);
        self.waiting.push_back(Held { number: told.number, deadline: Instant::now() + PATIENCE, answer, reach });
        self.settle();
    }

    fn broadcast(&mut self, message: &Arc<ToReader>) {
        let deaf: Vec<u64> = self
            .readers
            .iter()
            .filter(|(_, reader)| reader.patterns.is_some() && reader.outbox.try_send(message.clone()).is_err())
            .map(|(id, _)| *id)
            .collect();
        for id in deaf {
            eprintln!("dns: a reader of answers does not read what it is told, and is sent away");
            self.part(id);
        }
    }

    fn send(&mut self, id: u64, message: ToReader) {
        if let Some(reader) = self.readers.get(&id) {
            let _ = reader.outbox.try_send(Arc::new(message));
        }
    }

    /// Answers that every reader has taken go.
    fn settle(&mut self) {
        let taken = self.readers.values().filter(|reader| reader.patterns.is_some()).map(|reader| reader.taken).min();
        let taken = if self.away.is_some() { 0 } else { taken.unwrap_or(u64::MAX) };
        if self.watch.taken.swap(taken, Ordering::AcqRel) < taken {
            self.said = false;
        }
        self.release(|held| held.number <= taken);
    }

    /// A reader that is late harms nobody for longer.
    fn give_up(&mut self, now: Instant) {
        if self.away.as_ref().is_some_and(|away| away.until <= now) {
            self.away = None;
            if self.readers.values().any(|reader| reader.patterns.is_some()) {
                self.want();
            }
            self.settle();
        }
        let before = self.waiting.len();
        self.release(|held| held.deadline <= now);
        let late = (before - self.waiting.len()) as u64;
        self.watch.counts.unacknowledged.fetch_add(late, Ordering::Relaxed);
        if late > 0 && !self.said && !self.readers.is_empty() {
            self.said = true;
            eprintln!(
                "dns: who reads answers did not acknowledge one within {} ms: it was sent all the same, and what it \
                 allows may come late; see whether the reader is overloaded",
                PATIENCE.as_millis(),
            );
        }
    }

    fn release(&mut self, may_go: impl Fn(&Held) -> bool) {
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for held in self.waiting.drain(..) {
            if may_go(&held) {
                spawn_local(async move { held.reach.answer(&held.answer).await });
            } else {
                kept.push_back(held);
            }
        }
        self.waiting = kept;
    }

    /// What lives longer than was told is told again; what nobody has read for a while is forgotten.
    fn tend(&mut self, now: Instant) {
        if !self.watch.is_on() {
            return;
        }
        if self.left.is_some_and(|left| now.duration_since(left) > MEMORY) {
            self.left = None;
            self.notes.clear();
            return self.watch.want(None);
        }
        let (from, rows) = {
            let mut list = self.watch.list();
            let renewed = list.tend(now);
            let rows = renewed.iter().filter_map(|name| Some(shown(list.rows.get(name)?, now))).collect::<Vec<_>>();
            let from = list.number;
            list.number += u64::from(!rows.is_empty());
            (from, rows)
        };
        let count = rows.len().div_ceil(LINE_ROWS);
        for (index, rows) in rows.chunks(LINE_ROWS).enumerate() {
            let seen = Seen { from, to: from + 1, rows: rows.to_vec(), more: index + 1 < count };
            self.broadcast(&Arc::new(ToReader::Seen(seen)));
        }
    }
}

/// All that is known, in lines.
fn whole(list: &List, now: Instant) -> Vec<ToReader> {
    let rows: Vec<SeenRow> = list.rows.values().map(|row| shown(row, now)).collect();
    let to = list.number;
    if rows.is_empty() {
        return vec![ToReader::Seen(Seen { from: 0, to, rows, more: false })];
    }
    let count = rows.len().div_ceil(LINE_ROWS);
    let lines = rows.chunks(LINE_ROWS).enumerate();
    let seen = |(index, rows): (usize, &[SeenRow])| Seen { from: 0, to, rows: rows.to_vec(), more: index + 1 < count };
    lines.map(|line| ToReader::Seen(seen(line))).collect()
}

fn row_of(sighting: &Sighting) -> SeenRow {
    let addresses = sighting.addresses.iter().map(|(ip, ttl)| SeenAddress { ip: *ip, ttl: *ttl });
    SeenRow { names: names_of(&sighting.names), addresses: addresses.collect() }
}

fn shown(row: &Row, now: Instant) -> SeenRow {
    let left = |until: Instant| until.saturating_duration_since(now).as_secs_f64().ceil() as u32;
    let mut addresses: Vec<(IpAddr, u32)> = row.addresses.iter().map(|(ip, held)| (*ip, left(held.until))).collect();
    addresses.sort_unstable();
    let addresses = addresses.into_iter().map(|(ip, ttl)| SeenAddress { ip, ttl }).collect();
    SeenRow { names: names_of(&row.names), addresses }
}

fn names_of(names: &[Box<[u8]>]) -> Vec<String> {
    names.iter().map(|name| Shown(name).to_string()).collect()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long an answer waits for its readers.
const PATIENCE: Duration = Duration::from_millis(50);
/// A reader of a worker that died has seen so by then, and has connected again.
const RETURN: Duration = Duration::from_secs(1);
/// A reader that is started anew is back by then.
const MEMORY: Duration = Duration::from_secs(60);
const READERS_MAX: usize = 8;
const OUTBOX_MAX: usize = 2048;
const HEARD_MAX: usize = 64;
/// Of a line: 8 rows of the largest size fit into its 1 MiB.
const LINE_ROWS: usize = 8;
/// A reader that takes no line for so long is gone.
const DEAF: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(100);
