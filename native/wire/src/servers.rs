//! Table `servers`: one row a server block of the Corefile. Key: its number, counted from 0.

use crate::corefile::Step;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
#[cfg(test)]
use ts_rs::TS;

pub const TABLE: &str = "servers";

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ServerRow {
    pub listen: Vec<ServerListen>,
    /// Absolute, lower case; `.` is everything.
    pub zones: Vec<String>,
    /// In CoreDNS's order of plugins.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ServerListen {
    pub transport: ServerTransport,
    /// `::` is IPv6 only, and left out where the kernel has no IPv6.
    pub address: IpAddr,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(TS))]
pub enum ServerTransport {
    /// UDP and TCP.
    Dns,
    Tls,
}
