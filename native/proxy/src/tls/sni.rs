//! What a client that asks for a name is shown.

use super::secret::Secret;
use super::server::{ALPN_CHALLENGE, Ends};
use crate::table::Problem;
use crate::table::listener::{Kind, Listener};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::sync::Arc;
use wire::proxy;

pub struct Sni {
    pub listeners: Vec<String>,
    pub shows: Shows,
}

pub enum Shows {
    /// By listener; one is missing when its certificate is.
    Certificate(HashMap<String, Arc<ServerConfig>>),
}

/// Refuses what is not done.
pub fn check(row: &proxy::Sni) -> Result<(), Problem> {
    match &row.shows {
        proxy::Shows::Passthrough(_) => Err(Problem::unbuilt("TLS passthrough (shows.passthrough)")),
        proxy::Shows::Certificate(shown) if shown.clients.is_some() => {
            Err(Problem::unbuilt("certificates of clients (shows.certificate.clients)"))
        }
        proxy::Shows::Certificate(_) => Ok(()),
    }
}

impl Sni {
    pub fn new<'a>(
        row: &proxy::Sni,
        listeners: impl Iterator<Item = &'a Arc<Listener>>,
        secrets: &HashMap<String, Secret>,
    ) -> Sni {
        let mut configs = HashMap::new();
        if let proxy::Shows::Certificate(shown) = &row.shows
            && let Some(Secret::Pair(key, None)) = secrets.get(&shown.certificate)
        {
            for listener in listeners.filter(|listener| row.listeners.iter().any(|name| **name == *listener.name)) {
                if let Kind::Https(_, ends) = &listener.serves {
                    configs.insert(listener.name.to_string(), ends.config(key.clone()));
                }
            }
        }
        Sni { listeners: row.listeners.clone(), shows: Shows::Certificate(configs) }
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
