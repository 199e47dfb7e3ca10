//! Which endpoint takes a request.

use super::cluster::{Cluster, Endpoint};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering::Relaxed;
use wire::proxy::Balance;

/// What a request brings along.
pub struct Choice<'a> {
    /// The hash of what its cluster's template makes of it.
    pub hash: Option<u64>,
    /// The endpoint that its cookie names.
    pub stuck: Option<usize>,
    /// Endpoints that were tried before.
    pub tried: &'a [usize],
    /// Any number.
    pub chance: u64,
}

impl Cluster {
    /// The index of an endpoint; None: there is none. Endpoints that are passed over are taken when there is no other.
    pub fn choose(&self, choice: &Choice<'_>) -> Option<usize> {
        let usable = |at: usize| !choice.tried.contains(&at) && !self.endpoints[at].health.is_ejected();
        if let Some(stuck) = choice.stuck.filter(|stuck| usable(*stuck)) {
            return Some(stuck);
        }
        if self.active.is_empty() {
            return None;
        }
        if let (Some(ring), Some(hash)) = (&self.ring, choice.hash) {
            return ring.find(hash, usable).or_else(|| ring.find(hash, |at| !choice.tried.contains(&at)));
        }
        let first = match self.row.row.balance {
            Balance::LeastRequest => self.less_busy(choice.chance),
            Balance::RoundRobin | Balance::Hash(_) => self.next(),
        };
        // Those that follow it, until one can be had.
        let around = || (first..self.active.len()).chain(0..first).map(|position| self.active[position] as usize);
        around().find(|at| usable(*at)).or_else(|| around().find(|at| !choice.tried.contains(at)))
    }

    /// A position in `active`: each in its turn, those of more weight more often.
    fn next(&self) -> usize {
        let turn = self.health.turn.fetch_add(1, Relaxed);
        match &self.sums {
            None => (turn % self.active.len() as u64) as usize,
            // Multiples of the golden ratio: any few of them in a row are spread evenly.
            Some(sums) => self.weighed(sums, turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    fn weighed(&self, sums: &[u64], chance: u64) -> usize {
        let total = sums.last().copied().unwrap_or_default();
        let at = ((u128::from(chance) * u128::from(total)) >> 64) as u64;
        sums.partition_point(|sum| *sum <= at)
    }

    /// The better of two.
    fn less_busy(&self, chance: u64) -> usize {
        let chances = [chance, chance.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15)];
        let [one, mut other] = match &self.sums {
            Some(sums) => chances.map(|chance| self.weighed(sums, chance)),
            None => chances.map(|chance| ((u128::from(chance) * self.active.len() as u128) >> 64) as usize),
        };
        if one == other {
            other = (one + 1) % self.active.len();
        }
        let cost = |position: usize| {
            let health = &self.endpoints[self.active[position] as usize].health;
            (u64::from(health.requests.load(Relaxed)) + 1) * u64::from(health.latency_us.load(Relaxed).max(1))
        };
        if cost(other) < cost(one) { other } else { one }
    }
}

/// A hash ring: each endpoint has points on it by its weight, and takes what lies before them.
pub struct Ring(Vec<(u64, u32)>);

impl Ring {
    pub fn new(endpoints: &[Endpoint], active: &[u32]) -> Ring {
        let total: u64 = active.iter().map(|at| u64::from(endpoints[*at as usize].weight)).sum();
        let per = (POINTS_MAX / active.len().max(1)).clamp(POINTS_MIN, POINTS);
        let mut points = Vec::new();
        for at in active {
            let endpoint = &endpoints[*at as usize];
            let share = u128::from(endpoint.weight) * (per * active.len()) as u128 / u128::from(total.max(1));
            let state = FixedState::with_seed(endpoint.id);
            points.extend((0..share.max(1) as u64).map(|point| (state.hash_one(point), *at)));
        }
        points.sort_unstable();
        Ring(points)
    }

    fn find(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let first = self.0.partition_point(|(point, _)| *point < hash);
        let around = self.0[first..].iter().chain(&self.0[..first]);
        around.map(|(_, at)| *at as usize).find(|at| usable(*at))
    }
}

const POINTS: usize = 160;
const POINTS_MIN: usize = 8;
const POINTS_MAX: usize = 1 << 16;
