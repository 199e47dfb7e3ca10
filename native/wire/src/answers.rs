//! What a DNS carrier tells those who want to know its answers before its clients do: lines over a Unix socket of their
//! own, each one JSON object. A reader says which names it wants; it is told all that is known of them (`from` 0), then
//! each answer that says something new, which is held back until every reader has taken it, or 50 ms have passed.

use crate::protocol::ProtocolError;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
#[cfg(test)]
use ts_rs::TS;

/// Of one reader.
pub const PATTERNS_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub enum FromReader {
    Watch(Watch),
    Taken(Taken),
}

/// Instead of what was wanted before. All that is known comes again, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Watch {
    /// Absolute, lower case: `example.com.`, or `*.example.com.` for all names below it, however deep. At most 10,000.
    pub patterns: Vec<String>,
}

/// What was told up to this number is in force with the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Taken {
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub enum ToReader {
    /// The first line of a connection.
    Welcome(Welcome),
    Seen(Seen),
    /// The connection is closed.
    Error(ProtocolError),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Welcome {
    pub version: String,
}

/// Rows to be added to those that the reader has; they end by their TTL only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Seen {
    /// 0: all that is known. Else what was told before.
    pub from: u64,
    pub to: u64,
    /// Names that another reader wants may be among them.
    pub rows: Vec<SeenRow>,
    /// Another line of the same numbers follows: they did not fit into one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub more: bool,
}

/// An answer with addresses. Who asked is not said: what a name may reach follows from the name, as Cilium's toFQDNs and
/// Calico's domains have it, whoever of those that a policy selects has asked first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct SeenRow {
    /// The name that was asked for, then what it is an alias of: absolute, lower case. At most 17.
    pub names: Vec<String>,
    pub addresses: Vec<SeenAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct SeenAddress {
    #[cfg_attr(test, ts(type = "string"))]
    pub ip: IpAddr,
    /// Seconds that are left of it.
    pub ttl: u32,
}
