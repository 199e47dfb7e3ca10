//! A cluster with its endpoints, as of one moment.

use super::balance::Ring;
use super::health::{ClusterHealth, EndpointHealth};
use crate::table::Problem;
use crate::tls::client::BackendEnd;
use crate::variable::Template;
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::proxy::{self, BackendProtocol, Balance};

pub struct Cluster {
    pub row: Arc<ClusterRow>,
    pub endpoints: Vec<Endpoint>,
    /// Those that get new requests, by index: the draining ones when there is no other.
    pub active: Vec<u32>,
    /// Sums of the weights of `active`, unless they are all alike.
    pub sums: Option<Vec<u64>>,
    pub ring: Option<Ring>,
    by_id: HashMap<u64, u32, FixedState>,
    pub health: Arc<ClusterHealth>,
    pub tls: Option<Arc<BackendEnd>>,
    /// Connections of another flavour are not used again: protocol or TLS have changed.
    pub flavour: u64,
}

pub struct ClusterRow {
    pub row: proxy::Cluster,
    pub hash: Option<Template>,
    /// What its name is, when that is an address.
    pub address: Option<IpAddr>,
}

pub struct Endpoint {
    pub address: SocketAddr,
    pub weight: u32,
    pub draining: bool,
    /// Of a name: an address of the other family, for when this one does not answer soon (RFC 8305).
    pub other: Option<SocketAddr>,
    /// What a cookie calls it.
    pub id: u64,
    pub health: Arc<EndpointHealth>,
}

impl ClusterRow {
    pub fn new(row: &proxy::Cluster) -> Result<ClusterRow, Problem> {
        if row.proxy_protocol.is_some() && row.protocol != BackendProtocol::Raw {
            return Err(Problem::unbuilt("PROXY protocol before requests (proxyProtocol)"));
        }
        let hash = match &row.balance {
            Balance::Hash(text) => Some(Template::new(text)?),
            Balance::RoundRobin | Balance::LeastRequest => None,
        };
        let plain = |resolve: &proxy::Resolve| resolve.name.trim_matches(['[', ']']).parse().ok();
        Ok(ClusterRow { row: row.clone(), hash, address: row.resolve.as_ref().and_then(plain) })
    }

    /// The endpoints of one that is a name; None: they are rows.
    pub fn named<'a>(&self, look_up: impl Fn(&str) -> &'a [IpAddr]) -> Option<BTreeMap<String, proxy::Endpoint>> {
        let resolve = self.row.resolve.as_ref()?;
        let found = match &self.address {
            Some(address) => std::slice::from_ref(address),
            None => look_up(&resolve.name),
        };
        let endpoint = |address: &IpAddr| proxy::Endpoint {
            cluster: self.row.name.clone(),
            address: *address,
            port: resolve.port,
            weight: 1,
            zones: Vec::new(),
            draining: false,
            label: resolve.name.clone(),
        };
        Some(found.iter().map(|address| (address.to_string(), endpoint(address))).collect())
    }
}

impl Cluster {
    /// `old`: what the name meant before; what is known of its endpoints stays.
    pub fn new(
        row: Arc<ClusterRow>,
        endpoints: &BTreeMap<String, proxy::Endpoint>,
        tls: Option<Arc<BackendEnd>>,
        old: Option<&Cluster>,
    ) -> Cluster {
        let zones: Vec<&[String]> = endpoints.values().map(|row| &row.zones[..]).collect();
        let mut endpoints: Vec<Endpoint> = endpoints.values().map(|row| Endpoint::new(row, old)).collect();
        if row.row.resolve.is_some() {
            let of = |four: bool| endpoints.iter().map(|endpoint| endpoint.address).find(|a| a.is_ipv4() == four);
            let (four, six) = (of(true), of(false));
            endpoints.iter_mut().for_each(|one| one.other = if one.address.is_ipv4() { six } else { four });
        }
        let able = |draining: bool| -> Vec<u32> {
            let fits = |endpoint: &Endpoint| endpoint.weight > 0 && endpoint.draining == draining;
            let able = (0..endpoints.len() as u32).filter(|at| fits(&endpoints[*at as usize])).collect();
            near(able, row.row.zone.as_deref(), &zones)
        };
        let active = Some(able(false)).filter(|active| !active.is_empty()).unwrap_or_else(|| able(true));
        let weights: Vec<u64> = active.iter().map(|at| endpoints[*at as usize].weight.into()).collect();
        let sums = (weights.windows(2).any(|pair| pair[0] != pair[1])).then(|| {
            let add = |sum: &mut u64, weight: &u64| {
                *sum += weight;
                Some(*sum)
            };
            weights.iter().scan(0, add).collect()
        });
        let same = old.filter(|old| {
            old.row.row.protocol == row.row.protocol
                && old.row.row.tls == row.row.tls
                && match (&old.tls, &tls) {
                    (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                    (None, None) => true,
                    _ => false,
                }
        });
        Cluster {
            ring: row.hash.is_some().then(|| Ring::new(&endpoints, &active)),
            by_id: endpoints.iter().zip(0..).map(|(endpoint, at)| (endpoint.id, at)).collect(),
            active,
            sums,
            endpoints,
            health: old.map(|old| old.health.clone()).unwrap_or_default(),
            tls,
            flavour: same.map_or_else(flavour, |old| old.flavour),
            row,
        }
    }

    /// By what a cookie calls it.
    pub fn named(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).map(|at| *at as usize)
    }
}

impl Endpoint {
    fn new(row: &proxy::Endpoint, old: Option<&Cluster>) -> Endpoint {
        let address = SocketAddr::new(row.address, row.port);
        let id = FixedState::with_seed(0xc00c1e).hash_one((address, &row.label));
        let held = old.and_then(|old| Some(&old.endpoints[old.named(id)?])).filter(|held| held.address == address);
        Endpoint {
            address,
            weight: row.weight,
            draining: row.draining,
            other: None,
            id,
            health: held.map_or_else(|| Arc::new(EndpointHealth::new()), |held| held.health.clone()),
        }
    }
}

/// Those that are meant for this zone, if each is meant for some and one for this.
fn near(able: Vec<u32>, zone: Option<&str>, zones: &[&[String]]) -> Vec<u32> {
    let Some(zone) = zone else { return able };
    let meant = |at: &u32| zones[*at as usize].iter().any(|held| held == zone);
    match able.iter().all(|at| !zones[*at as usize].is_empty()) && able.iter().any(meant) {
        true => able.into_iter().filter(meant).collect(),
        false => able,
    }
}

fn flavour() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_meant_for_the_zone_if_each_is_meant_for_some() {
        let text = |zones: &[&str]| zones.iter().map(|zone| zone.to_string()).collect::<Vec<_>>();
        let (a, b, both, none) = (text(&["a"]), text(&["b"]), text(&["a", "b"]), text(&[]));
        let zones = [&a[..], &b, &both, &none];
        assert_eq!(near(vec![0, 1, 2], Some("a"), &zones), [0, 2]);
        assert_eq!(near(vec![1], Some("a"), &zones), [1], "none is meant for it");
        assert_eq!(near(vec![0, 1, 3], Some("a"), &zones), [0, 1, 3], "one is meant for all");
        assert_eq!(near(vec![0, 1], None, &zones), [0, 1], "nobody knows where we are");
    }
}
