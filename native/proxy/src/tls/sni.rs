//! What a client that asks for a name is shown.

use super::clients::Clients;
use super::secret::Secret;
use super::server::{ALPN_CHALLENGE, Ends};
use crate::table::Problem;
use crate::table::listener::{Kind, Listener};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use wire::proxy;

pub struct Sni {
    pub host: String,
    pub listeners: Vec<String>,
    pub shows: Shows,
}

pub enum Shows {
    Certificate {
        /// By listener; one is missing when its certificate is.
        configs: HashMap<String, Arc<ServerConfig>>,
        key: Option<Arc<CertifiedKey>>,
        /// Certificates are asked for.
        clients: Option<Arc<Clients>>,
    },
    /// To this cluster.
    Passthrough(String),
}

pub fn check(row: &proxy::Sni) -> Result<(), Problem> {
    match &row.shows {
        proxy::Shows::Certificate(shown) => shown.clients.as_ref().map_or(Ok(()), Clients::check),
        proxy::Shows::Passthrough(_) => Ok(()),
    }
}

impl Sni {
    pub fn new<'a>(
        row: &proxy::Sni,
        listeners: impl Iterator<Item = &'a Arc<Listener>>,
        secrets: &HashMap<String, Secret>,
    ) -> Sni {
        let shows = match &row.shows {
            proxy::Shows::Passthrough(cluster) => Shows::Passthrough(cluster.clone()),
            proxy::Shows::Certificate(shown) => {
                let clients = shown.clients.as_ref().map(|row| Clients::new(row, secrets).expect("it was checked"));
                let mut configs = HashMap::new();
                let key = match secrets.get(&shown.certificate) {
                    Some(Secret::Pair(key, None)) => Some(key.clone()),
                    _ => None,
                };
                if let Some(key) = &key {
                    for listener in
                        listeners.filter(|listener| row.listeners.iter().any(|name| **name == *listener.name))
                    {
                        if let Kind::Https(_, ends) = &listener.serves {
                            configs.insert(listener.name.to_string(), ends.config(key.clone(), clients.as_ref()));
                        }
                    }
                }
                Shows::Certificate { configs, key, clients: clients.map(Arc::new) }
            }
        };
        Sni { host: row.host.clone(), listeners: row.listeners.clone(), shows }
    }

    /// What a connection was shown that was made by this does for a host that has the other, too: it is the same, or names it.
    pub fn covers(&self, other: &Sni, host: &str) -> bool {
        let (Shows::Certificate { key: Some(own), .. }, Shows::Certificate { key, .. }) = (&self.shows, &other.shows)
        else {
            return false;
        };
        if key.as_ref().is_some_and(|key| Arc::ptr_eq(own, key)) {
            return true;
        }
        let Ok(name) = ServerName::try_from(host) else { return false };
        let leaf = own.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        leaf.is_some_and(|leaf| verify_server_name(&leaf, &name).is_ok())
    }

    pub fn clients(&self) -> Option<&Arc<Clients>> {
        match &self.shows {
            Shows::Certificate { clients, .. } => clients.as_ref(),
            Shows::Passthrough(_) => None,
        }
    }
}

/// Certificates for `acme-tls/1`, by the name they are for.
pub fn challenges(secrets: &HashMap<String, Secret>) -> HashMap<String, Arc<ServerConfig>> {
    let challenge = |secret: &Secret| match secret {
        Secret::Pair(key, Some(name)) => Some((name.clone(), Ends::challenge(key.clone(), ALPN_CHALLENGE))),
        _ => None,
    };
    secrets.values().filter_map(challenge).collect()
}
