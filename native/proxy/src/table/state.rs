//! All that a request is looked up in, as of one moment.

use super::condition::Asked;
use super::host::Host;
use super::listener::Listener;
use super::route::Route;
use super::sharded::Sharded;
use crate::filter::users::Users;
use crate::tls::sni::Sni;
use crate::upstream::cluster::Cluster;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::proxy::Thumbprint;

#[derive(Clone, Default)]
pub struct State {
    /// Of TCP.
    pub listeners: Arc<Vec<(SocketAddr, Arc<Listener>)>>,
    /// Of UDP.
    pub datagrams: Arc<Vec<(SocketAddr, Arc<Listener>)>>,
    pub hosts: Sharded<Host>,
    pub clusters: Sharded<Cluster>,
    /// By host.
    pub snis: Sharded<Vec<Sni>>,
    /// Some of them go on as they came.
    pub passes: bool,
    pub thumbprints: Arc<Vec<Thumbprint>>,
    /// For `acme-tls/1`, by name.
    pub challenges: Arc<HashMap<String, Arc<ServerConfig>>>,
    /// By key of table `secrets`.
    pub users: Arc<HashMap<String, Arc<Users>>>,
}

impl State {
    pub fn listener(&self, address: SocketAddr) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|(held, _)| *held == address).map(|(_, listener)| listener)
    }

    /// Of UDP.
    pub fn datagrams(&self, address: SocketAddr) -> Option<&Arc<Listener>> {
        self.datagrams.iter().find(|(held, _)| *held == address).map(|(_, listener)| listener)
    }

    /// `host` is lower case, without port.
    pub fn route(&self, listener: &str, host: &str, asked: &Asked<'_>) -> Option<&Arc<Route>> {
        best(host, |host| self.hosts.get(host)?.find(listener, asked)).flatten()
    }

    /// What a client that asks for this name is shown.
    pub fn sni(&self, listener: &str, host: &str) -> Option<&Sni> {
        best(host, |host| self.snis.get(host)?.iter().find(|sni| sni.listeners.iter().any(|name| name == listener)))
    }

    /// Of the account that answers for a host (RFC 8555 8.3).
    pub fn thumbprint(&self, host: &str) -> Option<&str> {
        let fits = |row: &&Thumbprint| row.hosts.is_empty() || row.hosts.iter().any(|held| held == host);
        self.thumbprints.iter().find(fits).map(|row| row.thumbprint.as_str())
    }
}

/// Exact, then wildcard of one label, then every other.
fn best<'a, T: 'a>(host: &str, find: impl Fn(&str) -> Option<T> + 'a) -> Option<T> {
    if let Some(found) = find(host) {
        return Some(found);
    }
    if host.is_empty() {
        return None;
    }
    if let Some(dot) = host.find('.').filter(|dot| *dot > 0) {
        let mut wildcard = String::with_capacity(host.len());
        wildcard.push('*');
        wildcard.push_str(&host[dot..]);
        if let Some(found) = find(&wildcard) {
            return Some(found);
        }
    }
    find("")
}
