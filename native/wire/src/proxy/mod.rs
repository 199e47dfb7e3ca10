//! Tables of the layer-7 proxy. Table `proxy` says where to listen and where each request goes; one delta of it is in force
//! as a whole, so a route never comes before its cluster. Table `secrets` holds what must not be written to a disk.
//!
//! Times are milliseconds, sizes octets, addresses and networks text (`10.0.0.0/8`). Hosts are lower case without port;
//! `*.example.org` is exactly one label below it, the empty host is every other one. A pattern is a regular expression as
//! RE2 and the regex crate read it (linear time), at most 10,000 octets long. What is absent is not done, or has the value
//! that the field names.

mod cluster;
mod filter;
mod listener;
mod route;
mod secret;

pub use cluster::*;
pub use filter::*;
pub use listener::*;
pub use route::*;
pub use secret::*;

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;

pub const TABLE: &str = "proxy";

/// A row of table `proxy`. Keys are the controller's own; rows refer to each other by `name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum ProxyRow {
    Listener(Box<Listener>),
    Sni(Sni),
    Route(Box<Route>),
    Cluster(Box<Cluster>),
    Endpoint(Endpoint),
    Thumbprint(Thumbprint),
}

/// Of an ACME account (RFC 8555 8.1): every listener of `http` answers `/.well-known/acme-challenge/TOKEN`, for any well-formed
/// token, with `TOKEN.THUMBPRINT`, where no route with that path stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Thumbprint {
    pub thumbprint: String,
    /// Of the hosts that this account answers for; empty: all.
    pub hosts: Vec<String>,
}
