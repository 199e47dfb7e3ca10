//! What a carrier on a node and the node's agent say to each other over a Unix socket of its own (`--node-local`): lines,
//! each one JSON object. The agent sends packets there, or elsewhere, and says when it does.

use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;

/// From the carrier: at once, then whenever it changes. What is not in it any more is served until the agent has answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Serving {
    /// Counts from 1.
    pub number: u64,
    /// Where queries are answered, over UDP and TCP: `169.254.20.10:53`, `[::]:53`. Empty: nowhere.
    pub serving: Vec<String>,
}

/// From the agent: packets go where number `switched` wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Switched {
    pub switched: u64,
}
