//! Answers that somebody wants to know of before their clients do: which they are, and what was told of them. The threads
//! that serve look here; `readers` tells. As long as nobody reads, an answer costs one look at `is_on`.

use crate::later::Reach;
use crate::metrics::head;
use crate::name::{Name, parent};
use crate::packet::{self, HEADER_BYTES};
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[derive(Default)]
pub struct Watch {
    on: AtomicBool,
    patterns: ArcSwap<Patterns>,
    list: Mutex<List>,
    /// All readers have taken what was told up to this number.
    pub taken: AtomicU64,
    queue: OnceLock<mpsc::Sender<Waiting>>,
    pub counts: Counts,
}

#[derive(Default)]
pub struct Counts {
    pub readers: AtomicU64,
    pub patterns: AtomicU64,
    pub reported: AtomicU64,
    pub held: AtomicU64,
    /// Sent without an acknowledgement: the time was over, or too many waited.
    pub unacknowledged: AtomicU64,
    /// Told, but not kept for readers to come: there is no room.
    pub unlisted: AtomicU64,
}

/// An answer of addresses that readers want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Asked for, then what it is an alias of; wire form, lower case.
    pub names: Vec<Box<[u8]>>,
    /// With their TTL.
    pub addresses: Vec<(IpAddr, u32)>,
}

/// An answer that is held back.
pub struct Waiting {
    pub sighting: Sighting,
    pub answer: Box<[u8]>,
    pub reach: Reach,
}

impl Watch {
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Who is to be told. Once only.
    pub fn queue(&self) -> Option<mpsc::Receiver<Waiting>> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.queue.set(sender).ok().map(|()| receiver)
    }

    /// What is wanted now: None is nothing, and all that was told is forgotten.
    pub fn want(&self, patterns: Option<Patterns>) {
        let on = patterns.is_some();
        let patterns = patterns.unwrap_or_default();
        self.list().rows.retain(|_, row| row.names.iter().any(|name| patterns.matches(name)));
        self.counts.patterns.store((patterns.exact.len() + patterns.below.len()) as u64, Ordering::Relaxed);
        self.patterns.store(patterns.into());
        self.on.store(on, Ordering::Relaxed);
    }

    /// None: the answer may go. Else it says something that not every reader has taken.
    pub fn see(&self, answer: &[u8]) -> Option<Sighting> {
        let sighting = read(answer)?;
        let patterns = self.patterns.load();
        if !sighting.names.iter().any(|name| patterns.matches(name)) {
            return None;
        }
        let taken = self.taken.load(Ordering::Acquire);
        (!self.list().renew(&sighting, taken, Instant::now())).then_some(sighting)
    }

    /// Err: it cannot be held back, and is to go at once.
    pub fn hold(&self, sighting: Sighting, answer: &[u8], reach: Reach) -> Result<(), Reach> {
        let waiting = Waiting { sighting, answer: answer.into(), reach };
        let Some(queue) = self.queue.get() else { return Err(waiting.reach) };
        queue.try_send(waiting).map_err(|error| {
            self.counts.unacknowledged.fetch_add(1, Ordering::Relaxed);
            error.into_inner().reach
        })
    }

    /// Nobody can be told any more: who serves next tells them.
    pub fn is_over(&self) -> bool {
        self.queue.get().is_some_and(mpsc::Sender::is_closed)
    }

    /// How many are connected; none: nobody may.
    pub fn readers(&self) -> Option<u64> {
        self.queue.get().map(|_| self.counts.readers.load(Ordering::Relaxed))
    }

    /// Prometheus text, once somebody may read.
    pub fn render(&self, text: &mut String) {
        if self.queue.get().is_none() {
            return;
        }
        let counts = &self.counts;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (names, addresses) = {
            let list = self.list();
            (list.rows.len() as u64, list.addresses as u64)
        };
        for (name, kind, help, value) in [
            ("connected", "gauge", "Connections of those who read answers.", load(&counts.readers)),
            ("patterns", "gauge", "Names and patterns that readers want.", load(&counts.patterns)),
            ("names", "gauge", "Names that readers were told of.", names),
            ("addresses", "gauge", "Addresses of these names.", addresses),
            ("reported_total", "counter", "Answers that said something new, and were told.", load(&counts.reported)),
            ("held_total", "counter", "Answers that were held back until readers took them.", load(&counts.held)),
            (
                "unacknowledged_total",
                "counter",
                "Answers that were sent before all readers had taken them: 50 ms were over, or too many waited.",
                load(&counts.unacknowledged),
            ),
            (
                "unlisted_total",
                "counter",
                "Answers that were told, but not kept for readers to come: there was no room.",
                load(&counts.unlisted),
            ),
        ] {
            let name = format!("fairlead_dns_readers_{name}");
            head(text, &name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
    }

    pub fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names that are wanted.
#[derive(Clone, Default)]
pub struct Patterns {
    exact: HashSet<Box<[u8]>>,
    /// All names below these.
    below: HashSet<Box<[u8]>>,
}

impl Patterns {
    /// `example.com.`, `*.example.com.`.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        let (names, text) = match pattern.strip_prefix("*.") {
            Some("") => (&mut self.below, "."),
            Some(rest) => (&mut self.below, rest),
            None => (&mut self.exact, pattern),
        };
        names.insert(Name::parse(text)?.wire().to_ascii_lowercase().into());
        Ok(())
    }

    fn matches(&self, name: &[u8]) -> bool {
        let mut above = name;
        while !self.below.is_empty()
            && let Some(next) = parent(above)
        {
            if self.below.contains(next) {
                return true;
            }
            above = next;
        }
        self.exact.contains(name)
    }
}

/// What was told, and has not ended by its TTL: by the name that was asked for.
#[derive(Default)]
pub struct List {
    pub rows: HashMap<Box<[u8]>, Row>,
    /// Of the last row that was told.
    pub number: u64,
    /// Of all rows, those that have ended since the last look included.
    addresses: usize,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Readers must have taken this number.
    pub number: u64,
    /// They have not been told yet.
    pub is_new: bool,
    /// There was no room to keep it.
    pub unlisted: bool,
}

#[derive(Default)]
pub struct Row {
    pub names: Vec<Box<[u8]>>,
    pub addresses: HashMap<IpAddr, Held>,
    /// An address lives longer than was told.
    renewed: bool,
}

#[derive(Clone, Copy)]
pub struct Held {
    pub until: Instant,
    /// When it was first told.
    number: u64,
}

impl List {
    /// The addresses live on. False: one of them is new, or not every reader has taken it.
    fn renew(&mut self, sighting: &Sighting, taken: u64, now: Instant) -> bool {
        let Some(row) = self.rows.get_mut(&sighting.names[0]) else { return false };
        if row.names != sighting.names {
            return false;
        }
        let held = |ip: &IpAddr| row.addresses.get(ip).is_some_and(|held| held.until > now && held.number <= taken);
        if !sighting.addresses.iter().all(|(ip, _)| held(ip)) {
            return false;
        }
        for (ip, ttl) in &sighting.addresses {
            let Some(held) = row.addresses.get_mut(ip) else { continue };
            let until = now + Duration::from_secs((*ttl).into());
            row.renewed |= until.saturating_duration_since(held.until) > RENEWAL;
            held.until = held.until.max(until);
        }
        true
    }

    /// With the next number, unless it was told and is only not taken yet.
    pub fn put(&mut self, sighting: &Sighting, now: Instant) -> Told {
        if let Some(row) = self.rows.get(&sighting.names[0]).filter(|row| row.names == sighting.names) {
            let held = |(ip, _): &(IpAddr, u32)| row.addresses.get(ip).filter(|held| held.until > now);
            let numbers: Option<Vec<u64>> = sighting.addresses.iter().map(|each| Some(held(each)?.number)).collect();
            if let Some(number) = numbers.and_then(|numbers| numbers.into_iter().max()) {
                return Told { number, is_new: false, unlisted: false };
            }
        }
        self.number += 1;
        let number = self.number;
        let has_room = match self.rows.get(&sighting.names[0]) {
            Some(row) => row.addresses.len() + sighting.addresses.len() <= NAME_ADDRESSES_MAX,
            None => self.rows.len() < ROWS_MAX,
        };
        if !has_room || self.addresses + sighting.addresses.len() > ADDRESSES_MAX {
            return Told { number, is_new: true, unlisted: true };
        }
        let row = self.rows.entry(sighting.names[0].clone()).or_default();
        let (other, before) = (row.names != sighting.names, row.addresses.len());
        row.names.clone_from(&sighting.names);
        for (ip, ttl) in &sighting.addresses {
            let until = now + Duration::from_secs((*ttl).into());
            let held = row.addresses.entry(*ip).or_insert(Held { until, number });
            if held.until <= now || other {
                held.number = number;
            }
            held.until = held.until.max(until);
        }
        self.addresses += row.addresses.len() - before;
        Told { number, is_new: true, unlisted: false }
    }

    /// Forgets what has ended, and returns the rows that live longer than was told.
    pub fn tend(&mut self, now: Instant) -> Vec<Box<[u8]>> {
        for row in self.rows.values_mut() {
            row.addresses.retain(|_, held| held.until > now);
        }
        self.rows.retain(|_, row| !row.addresses.is_empty());
        self.addresses = self.rows.values().map(|row| row.addresses.len()).sum();
        let renewed = self.rows.iter_mut().filter_map(|(name, row)| std::mem::take(&mut row.renewed).then_some(name));
        renewed.cloned().collect()
    }
}

/// None: it has no address for what was asked. Of records whose owner is not in the chain nothing is believed.
fn read(answer: &[u8]) -> Option<Sighting> {
    let word = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    if word(2)? & 0xf != packet::NO_ERROR || word(6)? == 0 {
        return None;
    }
    let (asked, mut at) = name_at(answer, HEADER_BYTES)?;
    if !matches!(word(at)?, packet::A | packet::AAAA | packet::ANY) {
        return None;
    }
    at += 4;
    let (mut names, mut addresses) = (vec![asked], Vec::new());
    for _ in 0..word(6)? {
        let (owner, fixed) = name_at(answer, at)?;
        let data = fixed + 10;
        at = data + usize::from(word(fixed + 8)?);
        let ttl = u32::from(word(fixed + 4)?) << 16 | u32::from(word(fixed + 6)?);
        if !names.contains(&owner) {
            continue;
        }
        match (word(fixed)?, answer.get(data..at)?) {
            (packet::CNAME, _) if names.len() < NAMES_MAX => names.push(name_at(answer, data)?.0),
            (packet::A, octets) => addresses.push((IpAddr::from(<[u8; 4]>::try_from(octets).ok()?), ttl)),
            (packet::AAAA, octets) => addresses.push((IpAddr::from(<[u8; 16]>::try_from(octets).ok()?), ttl)),
            _ => {}
        }
    }
    addresses.truncate(NAME_ADDRESSES_MAX);
    (!addresses.is_empty()).then_some(Sighting { names, addresses })
}

/// In lower case, and where what follows it begins.
fn name_at(message: &[u8], at: usize) -> Option<(Box<[u8]>, usize)> {
    let (mut name, behind) = packet::name_at(message, at)?;
    name.make_ascii_lowercase();
    Some((name.into(), behind))
}

/// Answers that wait at a time.
const WAITING_MAX: usize = 4096;
/// Kept for readers to come: names, and addresses of all of them.
const ROWS_MAX: usize = 10_000;
const ADDRESSES_MAX: usize = 100_000;
/// Of one name.
const NAME_ADDRESSES_MAX: usize = 1000;
const NAMES_MAX: usize = 17;
/// Not worth a word: readers keep rows for longer than that.
const RENEWAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(name: &str) -> Box<[u8]> {
        Name::parse(name).unwrap().wire().into()
    }

    #[test]
    fn patterns() {
        let mut patterns = Patterns::default();
        ["example.com.", "*.Example.org."].iter().for_each(|pattern| patterns.add(pattern).unwrap());
        for (name, wanted) in [
            ("example.com.", true),
            ("www.example.com.", false),
            ("example.org.", false),
            ("www.example.org.", true),
            ("a.b.example.org.", true),
            ("xexample.org.", false),
            (".", false),
        ] {
            assert_eq!(patterns.matches(&wire(name)), wanted, "{name}");
        }
        patterns.add("*.").unwrap();
        assert!(patterns.matches(&wire("anything.at.all.")));
        assert!(Patterns::default().add("no dot").is_err());
    }

    #[test]
    fn only_the_chain_is_believed() {
        let mut answer = b"\0\x01\x85\x80\0\x01\0\x04\0\0\0\0\x03WwW\x01a\0\0\x01\0\x01".to_vec();
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x04\x01b\xc0\x10"); // b.a. at 35
        answer.extend(b"\x01b\x01A\0\0\x01\0\x01\0\0\0\x07\0\x04\x0a\0\0\x01");
        answer.extend(b"\x01c\x01a\0\0\x01\0\x01\0\0\0\x07\0\x04\x0a\0\0\x02");
        answer.extend(b"\xc0\x0c\0\x63\0\x01\0\0\0\x07\0\0");
        let sighting = read(&answer).unwrap();
        assert_eq!(sighting.names, [wire("www.a."), wire("b.a.")]);
        assert_eq!(sighting.addresses, [("10.0.0.1".parse().unwrap(), 7)]);
        for length in 0..answer.len() {
            assert!(read(&answer[..length]).is_none(), "{length}");
        }
        answer[3] |= 3;
        assert!(read(&answer).is_none(), "what does not exist has no address");
    }

    #[test]
    fn what_was_taken_may_go_until_its_time_is_over() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let sighting = |ip: &str| Sighting { names: vec![wire("a.")], addresses: vec![(ip.parse().unwrap(), 10)] };
        let mut list = List::default();
        assert!(!list.renew(&sighting("10.0.0.1"), 0, now));
        let told = |number, is_new| Told { number, is_new, unlisted: false };
        assert_eq!(list.put(&sighting("10.0.0.1"), now), told(1, true));
        assert_eq!(list.put(&sighting("10.0.0.1"), now), told(1, false), "once is enough");
        assert!(!list.renew(&sighting("10.0.0.1"), 0, now), "nobody has taken it");
        assert!(list.renew(&sighting("10.0.0.1"), 1, now));
        assert_eq!(list.tend(now), [] as [Box<[u8]>; 0]);
        assert!(!list.renew(&sighting("10.0.0.2"), 1, now), "another address");
        assert!(list.renew(&sighting("10.0.0.1"), 1, later(5)));
        assert_eq!(list.tend(later(5)), [wire("a.")], "it lives longer");
        assert!(list.renew(&sighting("10.0.0.1"), 1, later(14)));
        assert!(!list.renew(&sighting("10.0.0.1"), 1, later(30)), "it has ended");
        assert_eq!(list.put(&sighting("10.0.0.1"), later(30)), told(2, true));
        assert!(!list.renew(&sighting("10.0.0.1"), 1, later(30)));
        list.tend(later(60));
        assert_eq!(list.rows.len(), 0);
    }
}
