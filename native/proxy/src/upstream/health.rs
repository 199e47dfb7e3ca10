//! What is known of clusters and endpoints, in all threads, whatever becomes of their rows.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wire::proxy::Ejection;

#[derive(Default)]
pub struct ClusterHealth {
    /// Requests and upgraded connections under way.
    pub requests: AtomicU32,
    pub retries: AtomicU32,
    pub connections: AtomicU32,
    pub turn: AtomicU64,
    ejected: AtomicU32,
}

pub struct EndpointHealth {
    /// Of this process.
    pub number: u64,
    pub requests: AtomicU32,
    /// Until a response begins: a moving average, in microseconds.
    pub latency_us: AtomicU32,
    failures: AtomicU32,
    /// How often it was passed over, one time soon after the other.
    ejections: AtomicU32,
    /// Milliseconds of `clock_ms`; 0: it is not.
    ejected_until_ms: AtomicU64,
}

impl EndpointHealth {
    pub fn new() -> EndpointHealth {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        EndpointHealth {
            number: NUMBERS.fetch_add(1, Relaxed),
            requests: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
        }
    }

    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until_ms.load(Relaxed);
        until > 0 && until > clock_ms()
    }

    pub fn succeeded(&self, cluster: &ClusterHealth, took: Duration) {
        let took = took.as_micros().min(u128::from(u32::MAX / 8)) as u32;
        let held = self.latency_us.load(Relaxed);
        // A share of an eighth: some ten requests tell.
        self.latency_us.store(if held == 0 { took } else { held - held / 8 + took / 8 }, Relaxed);
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
        }
        self.readmit(cluster);
        if self.ejections.load(Relaxed) > 0 && self.ejected_until_ms.load(Relaxed) == 0 {
            self.ejections.fetch_sub(1, Relaxed);
        }
    }

    /// Counts a failure, and passes the endpoint over from now on if they were too many in a row.
    pub fn failed(&self, cluster: &ClusterHealth, rule: Option<Ejection>, endpoints: usize) {
        let Some(rule) = rule else { return };
        if self.failures.fetch_add(1, Relaxed) + 1 < rule.failures.max(1) || self.is_ejected() {
            return;
        }
        self.readmit(cluster);
        let most = endpoints as u64 * u64::from(rule.max_percent.min(100)) / 100;
        if u64::from(cluster.ejected.load(Relaxed)) >= most {
            return;
        }
        let times = self.ejections.fetch_add(1, Relaxed).min(16);
        let wait = (u64::from(rule.base_ms) << times).min(u64::from(rule.max_ms.max(rule.base_ms)));
        self.failures.store(0, Relaxed);
        if self.ejected_until_ms.swap(clock_ms() + wait, Relaxed) == 0 {
            cluster.ejected.fetch_add(1, Relaxed);
        }
    }

    /// Its time is over.
    fn readmit(&self, cluster: &ClusterHealth) {
        let until = self.ejected_until_ms.load(Relaxed);
        let over = until > 0 && until <= clock_ms();
        if over && self.ejected_until_ms.compare_exchange(until, 0, Relaxed, Relaxed).is_ok() {
            cluster.ejected.fetch_sub(1, Relaxed);
        }
    }
}

/// Something that is under way, counted until it is dropped.
pub struct Counted<T: AsRef<AtomicU32>>(T);

impl<T: AsRef<AtomicU32>> Counted<T> {
    pub fn new(counter: T) -> Counted<T> {
        counter.as_ref().fetch_add(1, Relaxed);
        Counted(counter)
    }
}

impl<T: AsRef<AtomicU32>> Drop for Counted<T> {
    fn drop(&mut self) {
        self.0.as_ref().fetch_sub(1, Relaxed);
    }
}

pub struct Requests(pub Arc<EndpointHealth>);
pub struct ClusterRequests(pub Arc<ClusterHealth>);
pub struct Retries(pub Arc<ClusterHealth>);
pub struct Connections(pub Arc<ClusterHealth>);

impl AsRef<AtomicU32> for Requests {
    fn as_ref(&self) -> &AtomicU32 {
        &self.0.requests
    }
}

impl AsRef<AtomicU32> for ClusterRequests {
    fn as_ref(&self) -> &AtomicU32 {
        &self.0.requests
    }
}

impl AsRef<AtomicU32> for Retries {
    fn as_ref(&self) -> &AtomicU32 {
        &self.0.retries
    }
}

impl AsRef<AtomicU32> for Connections {
    fn as_ref(&self) -> &AtomicU32 {
        &self.0.connections
    }
}

/// Since this process began, and never 0.
fn clock_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Ejection = Ejection { failures: 2, base_ms: 60_000, max_ms: 600_000, max_percent: 50 };

    #[test]
    fn an_endpoint_that_fails_in_a_row_is_passed_over_but_never_more_than_the_share() {
        let cluster = ClusterHealth::default();
        let endpoints: Vec<_> = (0..4).map(|_| EndpointHealth::new()).collect();
        endpoints[0].failed(&cluster, Some(RULE), 4);
        endpoints[0].succeeded(&cluster, Duration::ZERO);
        endpoints[0].failed(&cluster, Some(RULE), 4);
        assert!(!endpoints[0].is_ejected(), "not in a row");
        for _ in 0..2 {
            endpoints.iter().for_each(|endpoint| endpoint.failed(&cluster, Some(RULE), 4));
        }
        assert_eq!(endpoints.iter().filter(|endpoint| endpoint.is_ejected()).count(), 2);
        let lone = EndpointHealth::new();
        (0..9).for_each(|_| lone.failed(&ClusterHealth::default(), Some(RULE), 1));
        assert!(!lone.is_ejected());
    }

    #[test]
    fn its_time_over_it_is_back() {
        let cluster = ClusterHealth::default();
        let rule = Ejection { failures: 1, base_ms: 0, max_ms: 0, max_percent: 100 };
        let endpoint = EndpointHealth::new();
        for _ in 0..3 {
            endpoint.failed(&cluster, Some(rule), 1);
            assert!(!endpoint.is_ejected());
        }
        endpoint.succeeded(&cluster, Duration::from_millis(1));
        assert_eq!(cluster.ejected.load(Relaxed), 0);
    }
}
