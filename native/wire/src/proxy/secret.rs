//! Table `secrets`. Its rows are in memory only, and never in a log.

use serde::{Deserialize, Serialize};
use std::fmt;
#[cfg(test)]
use ts_rs::TS;

pub const SECRETS: &str = "secrets";

/// Key: its name, by which rows of table `proxy` mean it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[cfg_attr(test, derive(TS))]
pub enum SecretRow {
    Pair(Pair),
    Trust(Trust),
    Users(Users),
}

/// Nothing of it but what it is.
impl fmt::Debug for SecretRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            SecretRow::Pair(_) => "pair",
            SecretRow::Trust(_) => "trust",
            SecretRow::Users(_) => "users",
        })
    }
}

/// PEM. The key is the leaf's, which comes first.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Pair {
    pub chain: String,
    pub key: String,
    /// Shown only to clients that offer the protocol `acme-tls/1` for this name (RFC 8737).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub challenge: Option<String>,
}

/// PEM, certificates of authorities and lists of those they revoked.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Trust {
    pub certificates: String,
    pub revoked: String,
}

/// Lines `NAME:HASH` of htpasswd(1): bcrypt, `$apr1$`, `{SHA}`, crypt(3)'s SHA-256 and SHA-512.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Users {
    pub lines: Vec<String>,
}
