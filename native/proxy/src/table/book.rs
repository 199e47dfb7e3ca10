//! The rows that are held, and the state that comes of them. A change costs what it touches: a route its host, an endpoint
//! its cluster.

use super::listener::Listener;
use super::route::Route;
use super::{Host, Problem, State};
use crate::resolve::Wanted;
use crate::tls::client::BackendEnd;
use crate::tls::secret::Secret;
use crate::tls::sni::{self, Sni};
use crate::upstream::cluster::{Cluster, ClusterRow};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::protocol::RefusedRow;
use wire::proxy::{self, ProxyRow};

#[derive(Default)]
pub struct Book {
    places: HashMap<String, Place>,
    listeners: BTreeMap<String, Arc<Listener>>,
    hosts: HashMap<String, BTreeMap<String, Arc<Route>>>,
    snis: HashMap<String, BTreeMap<String, proxy::Sni>>,
    clusters: HashMap<String, (String, Arc<ClusterRow>)>,
    endpoints: HashMap<String, BTreeMap<String, proxy::Endpoint>>,
    /// What names of clusters were found to be. No row, and kept while a row has the name.
    resolved: HashMap<String, Vec<IpAddr>>,
    thumbprints: BTreeMap<String, proxy::Thumbprint>,
}

/// Where the row of a key is held.
#[derive(Clone)]
enum Place {
    Listener,
    Host(String),
    Sni(String),
    Cluster(String),
    Endpoint(String),
    Thumbprint,
}

/// What is to be made anew.
#[derive(Default)]
struct Touched {
    listeners: bool,
    thumbprints: bool,
    hosts: HashSet<String>,
    snis: HashSet<String>,
    clusters: HashSet<String>,
}

pub type Secrets = HashMap<String, Secret>;

impl Book {
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Takes changes up, and makes the next state of `old`. None: the row is dropped. `whole`: there are no others.
    pub fn apply(
        &mut self,
        whole: bool,
        changes: Vec<(String, Option<ProxyRow>)>,
        secrets: &Secrets,
        old: &State,
    ) -> (State, Vec<RefusedRow>) {
        let mut touched = Touched::default();
        if whole {
            let before = std::mem::take(self);
            touched.hosts.extend(before.hosts.into_keys());
            touched.snis.extend(before.snis.into_keys());
            touched.clusters.extend(before.clusters.into_keys().chain(before.endpoints.into_keys()));
            (touched.listeners, touched.thumbprints) = (true, true);
            self.resolved = before.resolved;
        }
        // A name that one row gives up may be another's in the same delta.
        changes.iter().for_each(|(key, _)| self.drop_row(key, &mut touched));
        let mut refused = Vec::new();
        for (key, row) in changes {
            let Some(row) = row else { continue };
            self.drop_row(&key, &mut touched); // of two with one key the later counts
            refused.retain(|row: &RefusedRow| row.key != key);
            if let Err(Problem { reason, remedy }) = self.put(&key, row, &mut touched) {
                refused.push(RefusedRow { key, reason, remedy });
            }
        }
        (self.state(touched, secrets, old), refused)
    }

    /// Secrets have changed.
    pub fn renew(&self, secrets: &Secrets, old: &State) -> State {
        let mut touched = Touched { snis: self.snis.keys().cloned().collect(), ..Touched::default() };
        let tls = |row: &Arc<ClusterRow>| row.row.tls.is_some();
        touched.clusters =
            self.clusters.iter().filter(|(_, (_, row))| tls(row)).map(|(name, _)| name.clone()).collect();
        let mut state = self.state(touched, secrets, old);
        state.challenges = Arc::new(sni::challenges(secrets));
        let users = |(key, secret): (&String, &Secret)| match secret {
            Secret::Users(users) => Some((key.clone(), users.clone())),
            _ => None,
        };
        state.users = Arc::new(secrets.iter().filter_map(users).collect());
        state
    }

    /// A name is these addresses now. None: nobody has it, or they are known.
    pub fn resolve(&mut self, name: &str, found: Vec<IpAddr>, secrets: &Secrets, old: &State) -> Option<State> {
        let has = |row: &ClusterRow| row.row.resolve.as_ref().is_some_and(|resolve| resolve.name == name);
        let clusters = self.clusters.iter().filter(|(_, (_, row))| has(row)).map(|(cluster, _)| cluster.clone());
        let touched = Touched { clusters: clusters.collect(), ..Touched::default() };
        if touched.clusters.is_empty() || self.resolved.get(name) == Some(&found) {
            return None;
        }
        self.resolved.insert(name.to_string(), found);
        Some(self.state(touched, secrets, old))
    }

    /// Names to look up. What was known of others is forgotten.
    pub fn names(&mut self) -> Wanted {
        let mut names = Wanted::new();
        for (_, row) in self.clusters.values() {
            let Some(resolve) = &row.row.resolve else { continue };
            if row.address.is_none() {
                let every = Duration::from_millis(resolve.every_ms.into());
                names.entry(resolve.name.clone()).and_modify(|held| *held = every.min(*held)).or_insert(every);
            }
        }
        self.resolved.retain(|name, _| names.contains_key(name));
        names
    }

    /// Something is shown, or somebody known, by what table `secrets` has.
    pub fn needs_secrets(&self) -> bool {
        !self.snis.is_empty()
    }

    fn drop_row(&mut self, key: &str, touched: &mut Touched) {
        let Some(place) = self.places.remove(key) else { return };
        match place {
            Place::Listener => {
                self.listeners.remove(key);
                touched.listeners = true;
            }
            Place::Host(host) => {
                remove(&mut self.hosts, &host, key);
                touched.hosts.insert(host);
            }
            Place::Sni(host) => {
                remove(&mut self.snis, &host, key);
                touched.snis.insert(host);
            }
            Place::Cluster(name) => {
                self.clusters.remove(&name);
                touched.clusters.insert(name);
            }
            Place::Endpoint(cluster) => {
                remove(&mut self.endpoints, &cluster, key);
                touched.clusters.insert(cluster);
            }
            Place::Thumbprint => {
                self.thumbprints.remove(key);
                touched.thumbprints = true;
            }
        }
    }

    fn put(&mut self, key: &str, row: ProxyRow, touched: &mut Touched) -> Result<(), Problem> {
        let place = match row {
            ProxyRow::Listener(row) => {
                let listener = Listener::new(&row)?;
                self.alone(&listener)?;
                self.listeners.insert(key.to_string(), Arc::new(listener));
                touched.listeners = true;
                Place::Listener
            }
            ProxyRow::Route(row) => {
                let route = Route::new(key, &row)?;
                let host = route.host.clone();
                self.hosts.entry(host.clone()).or_default().insert(key.to_string(), Arc::new(route));
                touched.hosts.insert(host.clone());
                Place::Host(host)
            }
            ProxyRow::Sni(row) => {
                sni::check(&row)?;
                let host = row.host.clone();
                self.snis.entry(host.clone()).or_default().insert(key.to_string(), row);
                touched.snis.insert(host.clone());
                Place::Sni(host)
            }
            ProxyRow::Cluster(row) => {
                if let Some((other, _)) = self.clusters.get(&row.name) {
                    return Err(taken("cluster", &row.name, other));
                }
                let name = row.name.clone();
                self.clusters.insert(name.clone(), (key.to_string(), Arc::new(ClusterRow::new(&row)?)));
                touched.clusters.insert(name.clone());
                Place::Cluster(name)
            }
            ProxyRow::Endpoint(row) => {
                let cluster = row.cluster.clone();
                self.endpoints.entry(cluster.clone()).or_default().insert(key.to_string(), row);
                touched.clusters.insert(cluster.clone());
                Place::Endpoint(cluster)
            }
            ProxyRow::Thumbprint(row) => {
                self.thumbprints.insert(key.to_string(), row);
                touched.thumbprints = true;
                Place::Thumbprint
            }
        };
        self.places.insert(key.to_string(), place);
        Ok(())
    }

    fn alone(&self, listener: &Listener) -> Result<(), Problem> {
        for (key, other) in &self.listeners {
            if other.name == listener.name {
                return Err(taken("listener", &listener.name, key));
            }
            if let Some(address) = listener.addresses.iter().find(|address| other.takes(**address, listener.is_udp())) {
                return Err(taken("address", &address.to_string(), key));
            }
        }
        Ok(())
    }

    fn state(&self, mut touched: Touched, secrets: &Secrets, old: &State) -> State {
        let mut state = old.clone();
        if touched.listeners {
            let places = |listener: &Arc<Listener>| {
                let listener = listener.clone();
                listener.addresses.clone().into_iter().map(move |address| (address, listener.clone()))
            };
            let (udp, tcp) = self.listeners.values().partition::<Vec<_>, _>(|listener| listener.is_udp());
            state.listeners = Arc::new(tcp.into_iter().flat_map(places).collect());
            state.datagrams = Arc::new(udp.into_iter().flat_map(places).collect());
            touched.snis.extend(self.snis.keys().cloned()); // they have a listener's ciphers
        }
        if touched.thumbprints {
            state.thumbprints = Arc::new(self.thumbprints.values().cloned().collect());
        }
        state.hosts = old.hosts.with(touched.hosts.into_iter().map(|host| {
            let made = self.hosts.get(&host).map(|routes| {
                let routes: Vec<_> = routes.values().cloned().collect();
                Arc::new(Host::new(&routes))
            });
            (host, made)
        }));
        if !touched.snis.is_empty() {
            let passes = |row: &proxy::Sni| matches!(row.shows, proxy::Shows::Passthrough(_));
            state.passes = self.snis.values().flat_map(BTreeMap::values).any(passes);
        }
        state.snis = old.snis.with(touched.snis.into_iter().map(|host| {
            let made = self.snis.get(&host).map(|rows| {
                Arc::new(rows.values().map(|row| Sni::new(row, self.listeners.values(), secrets)).collect())
            });
            (host, made)
        }));
        state.clusters = old.clusters.with(touched.clusters.into_iter().map(|name| {
            let made = self.cluster(&name, secrets, old);
            (name, made)
        }));
        state
    }

    fn cluster(&self, name: &str, secrets: &Secrets, old: &State) -> Option<Arc<Cluster>> {
        let (_, row) = self.clusters.get(name)?;
        let old = old.clusters.get(name).map(Arc::as_ref);
        let tls = row.row.tls.as_ref().map(|tls| {
            let fresh = BackendEnd::new(tls, row.row.protocol, secrets);
            // The same as before keeps its sessions, and its connections stay of use.
            let held = old.filter(|old| old.row.row.tls.as_ref() == Some(tls)).and_then(|old| old.tls.clone());
            held.filter(|held| held.same(&fresh)).unwrap_or_else(|| Arc::new(fresh))
        });
        let named = row.named(|name| self.resolved.get(name).map_or(&[], Vec::as_slice));
        let none = BTreeMap::new();
        let endpoints = named.as_ref().or_else(|| self.endpoints.get(name)).unwrap_or(&none);
        Some(Arc::new(Cluster::new(row.clone(), endpoints, tls, old)))
    }
}

fn remove<T>(map: &mut HashMap<String, BTreeMap<String, T>>, name: &str, key: &str) {
    if let Some(rows) = map.get_mut(name) {
        rows.remove(key);
        if rows.is_empty() {
            map.remove(name);
        }
    }
}

fn taken(what: &str, name: &str, other: &str) -> Problem {
    Problem::new(format!("the {what} {name} is that of row {other:?}, too"), "give each its own")
}
