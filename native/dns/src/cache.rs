//! Answers of upstreams, for as long as they may be kept: shared by all threads, in shards so that they seldom meet.

use crate::forward::stored::Stored;
use crate::name::{NAME_MAX, Name, names, within};
use crate::packet;
use crate::table::hash;
use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use supervisor::Problem;
use wire::corefile;

/// Name in lower case, type, DO, CD: who has asked for less must not get what was fetched for more.
#[derive(Clone)]
pub struct Key {
    octets: [u8; NAME_MAX + TAIL_BYTES + TOLD_BYTES],
    length: usize,
    name_bytes: usize,
}

impl Key {
    pub fn new(name: &[u8], kind: u16, dnssec_ok: bool, checking_disabled: bool) -> Key {
        let [high, low] = kind.to_be_bytes();
        let tail = [high, low, u8::from(dnssec_ok) | u8::from(checking_disabled) << 1];
        let octets = [0; NAME_MAX + TAIL_BYTES + TOLD_BYTES];
        let mut key = Key { octets, length: name.len() + TAIL_BYTES, name_bytes: name.len() };
        key.octets[..name.len()].copy_from_slice(name);
        key.octets[name.len()..key.length].copy_from_slice(&tail);
        key
    }

    /// What else the server is told, in options of EDNS: with others it may say something else.
    pub fn tell(&mut self, options: &[u8]) {
        if !options.is_empty() {
            self.octets[self.length..self.length + TOLD_BYTES].copy_from_slice(&hash(options).to_be_bytes());
            self.length += TOLD_BYTES;
        }
    }

    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    pub fn dnssec_ok(&self) -> bool {
        self.octets[self.name_bytes + TAIL_BYTES - 1] & 1 != 0
    }

    fn name(&self) -> &[u8] {
        &self.octets[..self.name_bytes]
    }
}

type Shard = HashMap<Box<[u8]>, Arc<Kept>, RandomState>;

pub struct Cache {
    zones: Vec<Name>,
    shares: [Share; 2],
    servfail: Duration,
    keep_ttl: bool,
    stale: Option<corefile::ServeStale>,
    prefetch: Option<corefile::Prefetch>,
    pub counts: Counts,
}

/// Of success (0) and denial (1).
struct Share {
    shards: Box<[Mutex<Shard>]>,
    shard_capacity: usize,
    max_ttl: u32,
    min_ttl: u32,
    except: Vec<Name>,
}

pub struct Kept {
    pub stored: Stored,
    since: Instant,
    lifetime: Duration,
    /// Hits with gaps below the prefetch duration.
    hits: AtomicU32,
    /// In ms after `since`.
    last_hit_ms: AtomicU64,
    /// When a refresh was last asked for, in ms after `since`; 0 is never.
    refreshed_ms: AtomicU64,
}

/// What the cache has to say.
pub enum Hit {
    /// The answer and its TTL; `refresh`: it is to be fetched anew meanwhile.
    Fresh { kept: Arc<Kept>, ttl: u32, refresh: bool },
    /// Only if asking fails, or takes too long.
    Stale { kept: Arc<Kept>, ttl: u32, patience: Option<Duration> },
}

#[derive(Default)]
pub struct Counts {
    pub hits: [AtomicU64; 2],
    pub misses: AtomicU64,
    pub evictions: [AtomicU64; 2],
    pub prefetched: AtomicU64,
    pub stale: AtomicU64,
}

impl Counts {
    pub fn requests(&self) -> u64 {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.hits.iter().map(load).sum::<u64>() + load(&self.misses) + load(&self.stale)
    }
}

impl Cache {
    pub fn new(step: &corefile::Cache) -> Result<Cache, Problem> {
        let share = |share: &corefile::CacheShare| -> Result<Share, Problem> {
            Ok(Share {
                shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
                shard_capacity: (share.capacity as usize).div_ceil(SHARDS),
                max_ttl: share.max_ttl,
                min_ttl: share.min_ttl,
                except: names(&share.except)?,
            })
        };
        Ok(Cache {
            zones: names(&step.zones)?,
            shares: [share(&step.success)?, share(&step.denial)?],
            servfail: Duration::from_millis(step.servfail_ms.into()),
            keep_ttl: step.keep_ttl,
            stale: step.serve_stale.clone(),
            prefetch: step.prefetch.clone(),
            counts: Counts::default(),
        })
    }

    /// Whether answers for a name are kept here at all.
    pub fn holds(&self, name: &[u8]) -> bool {
        self.zones.iter().any(|zone| within(name, zone.wire()))
    }

    /// `counted`: it is for a client. Else nobody notices.
    pub fn get(&self, key: &Key, now: Instant, counted: bool) -> Option<Hit> {
        let count = |counter: &AtomicU64| {
            if counted {
                count(counter);
            }
        };
        let found: [Option<Arc<Kept>>; 2] =
            std::array::from_fn(|share| self.shares[share].shard(key).get(key.octets()).cloned());
        let fresh = |kept: &Arc<Kept>| kept.age(now) < kept.lifetime;
        // What denies is looked at first, as CoreDNS does, unless told otherwise.
        let positive_first = self.stale.as_ref().is_some_and(|stale| stale.prefer_positive);
        let order = if positive_first { [0, 1] } else { [1, 0] };
        for share in order {
            if let Some(kept) = found[share].as_ref().filter(|kept| fresh(kept)) {
                let failed = kept.stored.code == packet::SERVER_FAILURE;
                if let Some(hit) =
                    found[0].as_ref().filter(|_| failed).and_then(|kept| self.stale_hit(kept, now, counted))
                {
                    count(&self.counts.stale);
                    return Some(hit);
                }
                count(&self.counts.hits[share]);
                let refresh = counted && self.prefetches(kept, now);
                let left = if self.keep_ttl { kept.lifetime } else { kept.lifetime - kept.age(now) };
                return Some(Hit::Fresh { kept: kept.clone(), ttl: left.as_secs() as u32, refresh });
            }
        }
        let hit = order.into_iter().find_map(|share| self.stale_hit(found[share].as_ref()?, now, counted));
        if hit.is_some() {
            count(&self.counts.stale);
        }
        hit
    }

    fn stale_hit(&self, kept: &Arc<Kept>, now: Instant, counted: bool) -> Option<Hit> {
        let stale = self.stale.as_ref()?;
        let over = kept.age(now).checked_sub(kept.lifetime)?;
        if over > Duration::from_millis(stale.up_to_ms.into()) || kept.stored.code == packet::SERVER_FAILURE {
            return None;
        }
        let kept = kept.clone();
        if stale.verify {
            let patience = (stale.verify_timeout_ms > 0).then(|| Duration::from_millis(stale.verify_timeout_ms.into()));
            return Some(Hit::Stale { kept, ttl: stale.ttl, patience });
        }
        let refresh = counted && kept.claim_refresh(now, stale.recheck_ms.into());
        Some(Hit::Fresh { kept, ttl: stale.ttl, refresh })
    }

    fn prefetches(&self, kept: &Kept, now: Instant) -> bool {
        let Some(prefetch) = &self.prefetch else { return false };
        let age_ms = kept.age(now).as_millis() as u64;
        let gap = age_ms.saturating_sub(kept.last_hit_ms.swap(age_ms, Ordering::Relaxed));
        if gap > prefetch.duration_ms.into() {
            kept.hits.store(1, Ordering::Relaxed);
            return false;
        }
        let hits = kept.hits.fetch_add(1, Ordering::Relaxed) + 1;
        let left = kept.lifetime.saturating_sub(kept.age(now));
        let low = left * 100 < kept.lifetime * u32::from(prefetch.percentage);
        let refresh = hits >= prefetch.amount && low && kept.claim_refresh(now, u64::MAX);
        if refresh {
            count(&self.counts.prefetched);
        }
        refresh
    }

    /// Keeps an answer. Returns the TTL that its records are shown with, if it is kept.
    pub fn keep(&self, key: &Key, stored: &Stored, now: Instant) -> Option<u32> {
        let (share, lifetime) = match stored.code {
            packet::NO_ERROR | packet::NAME_ERROR if stored.denies() => (1, self.lifetime(1, key, stored.denial_ttl?)?),
            packet::NO_ERROR => (0, self.lifetime(0, key, stored.least_ttl)?),
            packet::SERVER_FAILURE | packet::NOT_IMPLEMENTED if !self.servfail.is_zero() => (1, self.servfail),
            _ => return None,
        };
        let kept = Kept {
            stored: stored.clone(),
            since: now,
            lifetime,
            hits: AtomicU32::new(0),
            last_hit_ms: AtomicU64::new(0),
            refreshed_ms: AtomicU64::new(0),
        };
        // A failure does not take away what may still be served stale.
        if stored.code != packet::SERVER_FAILURE {
            self.shares[1 - share].shard(key).remove(key.octets());
        }
        let mut shard = self.shares[share].shard(key);
        if shard.len() >= self.shares[share].shard_capacity && !shard.contains_key(key.octets()) {
            // Whichever: what is asked for often comes back soon.
            if let Some(other) = shard.keys().next().cloned() {
                shard.remove(&other);
                count(&self.counts.evictions[share]);
            }
        }
        shard.insert(key.octets().into(), Arc::new(kept));
        Some(lifetime.as_secs() as u32)
    }

    fn lifetime(&self, share: usize, key: &Key, ttl: u32) -> Option<Duration> {
        let share = &self.shares[share];
        if share.except.iter().any(|zone| within(key.name(), zone.wire())) {
            return None;
        }
        let ttl = ttl.max(share.min_ttl).min(share.max_ttl);
        (ttl > 0).then(|| Duration::from_secs(ttl.into()))
    }

    /// Success, denial.
    pub fn entries(&self) -> [usize; 2] {
        self.shares.each_ref().map(|share| share.shards.iter().map(|shard| lock(shard).len()).sum())
    }
}

impl Share {
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[hash(key.octets()) as usize % SHARDS])
    }
}

impl Kept {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// True for one caller in each period.
    fn claim_refresh(&self, now: Instant, period_ms: u64) -> bool {
        let now_ms = (self.age(now).as_millis() as u64).max(1);
        let last = self.refreshed_ms.load(Ordering::Relaxed);
        let due = last == 0 || now_ms - last.min(now_ms) >= period_ms.max(1000);
        due && self.refreshed_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const SHARDS: usize = 64;
/// Type and flags.
const TAIL_BYTES: usize = 3;
/// A hash of options.
const TOLD_BYTES: usize = 8;
