//! Who asks most, for what, and with which outcome: counted only while somebody wants to know. Of many different ones only
//! the frequent are kept (Misra and Gries, 1982): what is said of one is too low by `missed` at most.

use crate::metrics::CODES;
use crate::name::Shown;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Top {
    on: AtomicBool,
    tallies: ArcSwap<Vec<Arc<Tally>>>,
    last: AtomicU32,
}

struct Tally {
    id: u32,
    began: Instant,
    /// Nobody has come for it by then.
    ends: Instant,
    lanes: [Mutex<Lane>; LANES],
}

#[derive(Default)]
struct Lane {
    queries: u64,
    clients: Frequent<IpAddr>,
    names: Frequent<Box<[u8]>>,
    codes: [u64; CODES.len()],
}

impl Top {
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub fn count(&self, lane: usize, client: IpAddr, name: &[u8], code: u16) {
        for tally in self.tallies.load().iter() {
            let mut lane = tally.lanes[lane % LANES].lock().unwrap_or_else(PoisonError::into_inner);
            lane.queries += 1;
            lane.clients.add(&client, || client);
            lane.names.add(name, || name.into());
            lane.codes[usize::from(code).min(CODES.len() - 1)] += 1;
        }
    }

    /// Begins to count, for so long and a little longer. Returns the number to ask for it by.
    pub fn begin(&self, seconds: u32, now: Instant) -> Result<u32, String> {
        self.prune(now);
        let mut tallies = Vec::clone(&self.tallies.load());
        if tallies.len() >= TALLIES_MAX {
            return Err(format!("{TALLIES_MAX} are counting already; try again when they have ended"));
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let ends = now + Duration::from_secs(seconds.min(SECONDS_MAX).into()) + GRACE;
        tallies.push(Arc::new(Tally { id, began: now, ends, lanes: std::array::from_fn(|_| Mutex::default()) }));
        self.put(tallies);
        Ok(id)
    }

    /// Ends counting, and says what was counted: `{ seconds, queries, clients, names, codes, missed }`.
    pub fn end(&self, id: u32, now: Instant) -> Result<Value, String> {
        let mut tallies = Vec::clone(&self.tallies.load());
        let at = tallies.iter().position(|tally| tally.id == id);
        let tally = tallies.remove(at.ok_or("nothing is being counted under this number")?);
        self.put(tallies);
        Ok(tally.shown(now))
    }

    /// Ends what nobody has come for.
    pub fn prune(&self, now: Instant) {
        let tallies = self.tallies.load();
        if tallies.iter().any(|tally| tally.ends <= now) {
            self.put(tallies.iter().filter(|tally| tally.ends > now).cloned().collect());
        }
    }

    fn put(&self, tallies: Vec<Arc<Tally>>) {
        let on = !tallies.is_empty();
        self.tallies.store(tallies.into());
        self.on.store(on, Ordering::Relaxed);
    }
}

impl Tally {
    fn shown(&self, now: Instant) -> Value {
        let mut all = Lane::default();
        for lane in &self.lanes {
            let lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            all.queries += lane.queries;
            all.clients.join(&lane.clients);
            all.names.join(&lane.names);
            all.codes.iter_mut().zip(lane.codes).for_each(|(sum, count)| *sum += count);
        }
        let codes = CODES.iter().zip(all.codes).filter(|(_, count)| *count > 0);
        let mut codes: Vec<(&str, u64)> = codes.map(|(name, count)| (*name, count)).collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        json!({
            "seconds": now.duration_since(self.began).as_secs_f64(),
            "queries": all.queries,
            "clients": all.clients.most(|client| client.to_string()),
            "names": all.names.most(|name| Shown(name).to_string()),
            "codes": codes,
            "missed": { "clients": all.clients.missed, "names": all.names.missed },
        })
    }
}

struct Frequent<K> {
    counts: HashMap<K, u64>,
    missed: u64,
}

impl<K> Default for Frequent<K> {
    fn default() -> Frequent<K> {
        Frequent { counts: HashMap::new(), missed: 0 }
    }
}

impl<K: Hash + Eq> Frequent<K> {
    fn add<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, own: impl FnOnce() -> K)
    where
        K: Borrow<Q>,
    {
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
        } else if self.counts.len() < KEPT_MAX {
            self.counts.insert(own(), 1);
        } else {
            self.missed += 1;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    fn join(&mut self, other: &Frequent<K>)
    where
        K: Clone,
    {
        self.missed += other.missed;
        other.counts.iter().for_each(|(key, count)| *self.counts.entry(key.clone()).or_default() += count);
    }

    /// The most frequent ones first.
    fn most(&self, shown: impl Fn(&K) -> String) -> Vec<(String, u64)> {
        let mut all: Vec<(&K, u64)> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all.truncate(SHOWN_MAX);
        let mut all: Vec<(String, u64)> = all.into_iter().map(|(key, count)| (shown(key), count)).collect();
        all.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        all
    }
}

const LANES: usize = 16;
const TALLIES_MAX: usize = 4;
const SECONDS_MAX: u32 = 3600;
const GRACE: Duration = Duration::from_secs(30);
/// Different clients, or names, of a lane.
const KEPT_MAX: usize = 1024;
const SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequent_are_kept_whatever_else_comes() {
        let (top, now) = (Top::default(), Instant::now());
        assert!(!top.is_on());
        let id = top.begin(10, now).unwrap();
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..60_000_u32 {
            // One asks each third time, everybody else once.
            let asks = if number % 3 == 0 { client(1) } else { client(number + 2) };
            top.count(number as usize, asks, b"\x01a\0", if number % 4 == 0 { 3 } else { 0 });
        }
        let counted = top.end(id, now + Duration::from_secs(10)).unwrap();
        assert!(!top.is_on());
        assert_eq!(counted["clients"][0][0], "0.0.0.1");
        let (count, missed) =
            (counted["clients"][0][1].as_u64().unwrap(), counted["missed"]["clients"].as_u64().unwrap());
        assert!(count <= 20_000 && count + missed >= 20_000, "{count} {missed}");
        assert_eq!(counted["names"], json!([["a.", 60_000]]));
        assert_eq!(counted["codes"], json!([["NOERROR", 45_000], ["NXDOMAIN", 15_000]]));
        assert_eq!((&counted["queries"], &counted["seconds"]), (&json!(60_000), &json!(10.0)));
        assert!(top.end(id, now).is_err());
    }

    #[test]
    fn what_nobody_comes_for_ends() {
        let (top, now) = (Top::default(), Instant::now());
        let ids: Vec<u32> = (0..TALLIES_MAX).map(|_| top.begin(1, now).unwrap()).collect();
        assert!(top.begin(1, now).is_err(), "that is too many");
        top.prune(now + Duration::from_secs(1) + GRACE);
        assert!(!top.is_on() && ids.iter().all(|id| top.end(*id, now).is_err()));
    }
}
