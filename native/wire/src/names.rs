//! Table `names`: what the zone sets answer. Key: `SET NAME`.

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;

pub const TABLE: &str = "names";

/// Names are absolute, lower case, in presentation form with the final dot (`\DDD` for octets that have no other form).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct NameRow {
    /// Which set of zones: `k0`.
    pub set: String,
    pub name: String,
    /// May be empty: the name exists, and has nothing (NODATA).
    pub records: Vec<NameRecord>,
    /// A child label that is a dashed address (`10-240-0-1`, `5678-abcd--1`) answers that address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub dashed: bool,
    /// Where it comes from, for people: `Service ns1/svc1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub object: Option<String>,
}

/// `ttl` in seconds; absent: that of the step which answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[cfg_attr(test, derive(TS), ts(optional_fields))]
pub enum NameRecord {
    A {
        ip: std::net::Ipv4Addr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "AAAA")]
    Aaaa {
        ip: std::net::Ipv6Addr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "SRV")]
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "PTR")]
    Ptr {
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "CNAME")]
    Cname {
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "NS")]
    Ns {
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    /// Each text is at most 255 octets of UTF-8.
    #[serde(rename = "TXT")]
    Txt {
        texts: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    #[serde(rename = "MX")]
    Mx {
        preference: u16,
        target: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    /// Of a zone read from a file; times in seconds.
    #[serde(rename = "SOA")]
    Soa {
        mname: String,
        rname: String,
        serial: u32,
        refresh: u32,
        retry: u32,
        expire: u32,
        minimum: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
    /// Any other type: its data as hexadecimal digits (RFC 3597).
    #[serde(rename = "OTHER")]
    Other {
        code: u16,
        data: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u32>,
    },
}
