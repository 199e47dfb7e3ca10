//! How much one client may have, counted in the whole process: routes that give the same name share it, whatever thread
//! serves them.

use crate::client::pace::Pace;
use crate::client::response::ResponseBody;
use crate::table::Problem;
use crate::table::listener::{holds, networks};
use hyper::StatusCode;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Instant;
use wire::network::Network;
use wire::proxy;

pub struct Limits {
    rates: Vec<Rate>,
    connections: u32,
    exempt: Vec<Network>,
    pub status: StatusCode,
    /// Octets a second of a response, and after how many; None: no limit.
    pace: Option<(u64, u64)>,
    clients: Arc<Clients>,
}

/// A bucket as the time at which it is empty again (the virtual scheduling of ITU-T I.371's GCRA).
struct Rate {
    each_ns: u64,
    burst_ns: u64,
}

pub struct Clients {
    shards: Vec<Mutex<HashMap<IpAddr, Held, RandomState>>>,
    hasher: RandomState,
}

#[derive(Default, Clone, Copy)]
struct Held {
    empty_ns: [u64; RATES_MAX],
    connections: u32,
}

/// A request under way, of a client who may have so many.
pub struct Slot {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Limits {
    pub fn new(row: &proxy::Limits) -> Result<Limits, Problem> {
        if row.rates.len() > RATES_MAX {
            return Err(Problem::new("limits: there are more than four rates", "leave some out"));
        }
        let status = StatusCode::from_u16(row.status).ok().filter(|status| (400..600).contains(&status.as_u16()));
        Ok(Limits {
            rates: row.rates.iter().map(Rate::new).collect::<Result<_, _>>()?,
            connections: row.connections,
            exempt: networks(&row.exempt)?,
            status: status.ok_or_else(|| {
                Problem::new(format!("limits: {} is no status of an error", row.status), "use 429 or 503")
            })?,
            pace: (row.rate_bytes > 0).then_some((row.rate_bytes, row.rate_after_bytes)),
            clients: Clients::named(&row.name),
        })
    }

    /// Err: he has had enough.
    pub fn take(&self, client: IpAddr) -> Result<Option<Slot>, ()> {
        if (self.rates.is_empty() && self.connections == 0) || holds(&self.exempt, client) {
            return Ok(None);
        }
        match self.clients.take(self, client, clock_ns()) {
            false => Err(()),
            true => Ok((self.connections > 0).then(|| Slot { clients: self.clients.clone(), client })),
        }
    }

    pub fn slow(&self, client: IpAddr, body: &mut ResponseBody) {
        if let Some((rate, free)) = self.pace.filter(|_| !holds(&self.exempt, client)) {
            body.pace = Some(Box::new(Pace::new(rate, free)));
        }
    }
}

impl Rate {
    fn new(row: &proxy::Rate) -> Result<Rate, Problem> {
        if row.requests == 0 || row.per_ms == 0 {
            return Err(Problem::new("limits: a rate lets nothing pass", "leave it out, or use a filter by source"));
        }
        let each_ns = (u64::from(row.per_ms) * 1_000_000 / u64::from(row.requests)).max(1);
        Ok(Rate { each_ns, burst_ns: each_ns.saturating_mul(u64::from(row.burst.max(1) - 1)) })
    }
}

impl Clients {
    /// Those of a name, as long as a route has it.
    fn named(name: &str) -> Arc<Clients> {
        static NAMED: LazyLock<Mutex<HashMap<String, Weak<Clients>>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clients) = named.get(name).and_then(Weak::upgrade) {
            return clients;
        }
        if named.len() >= 2 * named.capacity().max(64) / 3 {
            named.retain(|_, clients| clients.strong_count() > 0);
        }
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let clients = Arc::new(Clients { shards, hasher: RandomState::new() });
        named.insert(name.to_string(), Arc::downgrade(&clients));
        clients
    }

    /// All limits or none are charged.
    fn take(&self, limits: &Limits, client: IpAddr, now_ns: u64) -> bool {
        let mut shard = self.shard(client).lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= CLIENTS_MAX / SHARDS && !shard.contains_key(&client) {
            make_room(&mut shard, now_ns);
        }
        let held = shard.entry(client).or_default();
        let full =
            limits.rates.iter().zip(&held.empty_ns).any(|(rate, empty)| empty.saturating_sub(now_ns) > rate.burst_ns);
        if full || (limits.connections > 0 && held.connections >= limits.connections) {
            return false;
        }
        for (rate, empty) in limits.rates.iter().zip(&mut held.empty_ns) {
            *empty = (*empty).max(now_ns) + rate.each_ns;
        }
        held.connections += u32::from(limits.connections > 0);
        true
    }

    fn shard(&self, client: IpAddr) -> &Mutex<HashMap<IpAddr, Held, RandomState>> {
        &self.shards[self.hasher.hash_one(client) as usize % SHARDS]
    }
}

/// Who has nothing under way, and full buckets, is forgotten; if that is nobody, an eighth of all without anything under way.
fn make_room(shard: &mut HashMap<IpAddr, Held, RandomState>, now_ns: u64) {
    let before = shard.len();
    shard.retain(|_, held| held.connections > 0 || held.empty_ns.iter().any(|empty| *empty > now_ns));
    if shard.len() == before {
        let mut left = before / 8;
        shard.retain(|_, held| {
            let stays = held.connections > 0 || left == 0;
            left -= usize::from(!stays);
            stays
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut shard = self.clients.shard(self.client).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = shard.get_mut(&self.client) {
            held.connections = held.connections.saturating_sub(1);
        }
    }
}

/// Since this process began.
fn clock_ns() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_nanos() as u64
}

const RATES_MAX: usize = 4;
const SHARDS: usize = 16;
/// Of one name.
const CLIENTS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn limits(name: &str, rates: &[(u32, u32, u32)], connections: u32) -> Limits {
        let rate = |(requests, per_ms, burst): &_| proxy::Rate { requests: *requests, per_ms: *per_ms, burst: *burst };
        Limits::new(&proxy::Limits {
            name: name.to_string(),
            rates: rates.iter().map(rate).collect(),
            connections,
            exempt: vec!["10.0.0.0/8".to_string()],
            status: 503,
            rate_bytes: 0,
            rate_after_bytes: 0,
        })
        .unwrap()
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::from((0xc000_0000 + number).to_be_bytes())
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_so_many_in_a_time() {
        let limits = limits("bucket", &[(10, 1000, 3)], 0);
        let take = |client, at| limits.clients.take(&limits, client, at);
        let taken = |at: u64| (0..20).filter(|_| take(client(1), at)).count();
        assert_eq!(taken(SECOND_NS), 3);
        assert_eq!(taken(SECOND_NS + SECOND_NS / 10 - 1), 0);
        assert_eq!(taken(SECOND_NS + SECOND_NS / 10), 1);
        assert_eq!(taken(2 * SECOND_NS), 3, "no more than the burst, however long one waits");
        assert!(take(client(2), 2 * SECOND_NS), "another client has a bucket of his own");
    }

    #[test]
    fn one_rate_that_refuses_costs_the_other_nothing() {
        let both = limits("both", &[(1, 1000, 1), (100, 1000, 2)], 0);
        let lone = limits("both", &[], 0);
        assert!(Arc::ptr_eq(&both.clients, &lone.clients), "what has one name is counted as one");
        let take = |at| both.clients.take(&both, client(1), at);
        assert!(take(SECOND_NS));
        assert!((0..9).all(|_| !take(SECOND_NS)));
        assert!(take(2 * SECOND_NS));
    }

    #[test]
    fn connections_are_given_back() {
        let limits = limits("slots", &[], 2);
        let one = limits.take(client(1)).unwrap();
        let two = limits.take(client(1)).unwrap();
        assert!(limits.take(client(1)).is_err() && limits.take(client(2)).is_ok());
        drop(one);
        let three = limits.take(client(1)).unwrap();
        assert!(limits.take(client(1)).is_err());
        drop((two, three));
        assert!(limits.take("10.1.1.1".parse().unwrap()).unwrap().is_none(), "exempt");
    }

    #[test]
    fn memory_is_bounded_and_who_has_something_under_way_is_kept() {
        let limits = limits("crowd", &[(1, 1000, 1)], 1);
        let held = limits.take(client(0)).unwrap();
        let clients = CLIENTS_MAX as u32 * 2;
        for number in 1..clients {
            drop(limits.take(client(number)));
        }
        let count: usize = limits.clients.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(count <= CLIENTS_MAX, "{count}");
        assert!(limits.take(client(0)).is_err());
        drop(held);
    }
}
