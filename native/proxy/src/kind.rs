//! What the supervisor asks of the proxy: whether a row can be served, and which sockets it needs.

use crate::table::listener::Listener;
use crate::table::route::Route;
use crate::tls::secret::Secret;
use crate::tls::sni;
use crate::upstream::cluster::ClusterRow;
use crate::worker::ProxyWorker;
use std::net::SocketAddr;
use std::time::Duration;
use supervisor::{Kind, KnownAs, Place, Problem, Wants, Worker};
use wire::proxy::{self, ProxyRow, SECRETS, Serves, TABLE};

pub struct Proxy;

impl Kind for Proxy {
    fn name(&self) -> &'static str {
        "proxy"
    }

    /// Secrets first: a listener that is there shows its certificates.
    fn tables(&self) -> &'static [&'static str] {
        &[SECRETS, TABLE]
    }

    fn pack(&self, table: &str, _key: &str, row: &str, packed: &mut Vec<u8>) -> Result<(), Problem> {
        let done = if table == SECRETS { Secret::parse(row.as_bytes()).map(drop) } else { check(row) };
        done?;
        packed.extend_from_slice(row.as_bytes());
        Ok(())
    }

    fn wants(&self, _table: &str, _key: &str, packed: &[u8]) -> Wants {
        match serde_json::from_slice(packed) {
            Ok(ProxyRow::Listener(row)) => wants(&row),
            _ => Wants::default(),
        }
    }

    fn asks(&self, table: &str) -> bool {
        table == TABLE
    }

    fn keeps(&self, table: &str) -> bool {
        table != SECRETS
    }

    fn known_as(&self) -> KnownAs {
        KnownAs { panics: "fairlead_proxy_panics_total", health: "fairlead_proxy_health_request" }
    }

    fn worker(&self, threads: usize) -> Result<Box<dyn Worker>, String> {
        Ok(Box::new(ProxyWorker::start(threads)?))
    }
}

/// That it can be served, as far as it can be told of the row alone.
fn check(row: &str) -> Result<(), Problem> {
    let row: ProxyRow = serde_json::from_str(row).map_err(|error| {
        let remedy = "controller and carrier are not of one version: install both from the same release";
        Problem::new(format!("the row cannot be read: {error}"), remedy)
    })?;
    match row {
        ProxyRow::Listener(row) => Listener::new(&row).map(drop),
        ProxyRow::Route(row) => Route::new("", &row).map(drop),
        ProxyRow::Sni(row) => sni::check(&row),
        ProxyRow::Cluster(row) => ClusterRow::new(&row).map(drop),
        ProxyRow::Endpoint(_) | ProxyRow::Thumbprint(_) => Ok(()),
    }
}

/// What is spoken on a connection is the row's affair, not the socket's: it may change while the socket stays.
fn wants(row: &proxy::Listener) -> Wants {
    let udp = matches!(row.serves, Serves::Udp(_));
    let place = |address| Place {
        transport: if udp { "udp" } else { "tcp" }.to_string(),
        address: SocketAddr::new(address, row.port),
        udp,
        tcp: !udp,
    };
    let places = row.addresses.iter().copied().map(place).collect();
    Wants { places, drain: Duration::from_millis(row.drain_ms.into()), ..Wants::default() }
}
