//! The protocol. A delta is `begin`, then any number of `put` and `drop`, then `commit`; nothing of it is visible before,
//! and each is answered by one of `acknowledged`, `refused` and `failed`. One delta at a time.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
#[cfg(test)]
use ts_rs::TS;

/// What hello says is spoken. To be raised with whatever a build from before would misread or refuse: a message, or a field of
/// a row of any table. Two that do not speak the same exchange nothing: the carrier answers on with what it holds, until the
/// older one is updated. `version` and `protocol` of hello are in every protocol.
pub const PROTOCOL: u32 = 2;

/// From the controller. Rows stay text until their table reads them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub enum ToCarrier<'a> {
    Begin(Begin),
    #[serde(borrow)]
    Put(#[cfg_attr(test, ts(type = "ReadonlyArray<readonly [string, unknown]>"))] Vec<(Cow<'a, str>, &'a RawValue)>),
    Drop(#[cfg_attr(test, ts(type = "ReadonlyArray<string>"))] Vec<Cow<'a, str>>),
    Commit(Commit),
    Ask(Ask),
    Figures(Figures),
}

/// What the controller counts, to be served with the carrier's own /metrics: Prometheus text. Holds until the next one, or the
/// end of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Figures {
    pub text: String,
}

/// `from` 0 replaces the table; else it is the number that the carrier holds, of the same epoch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Begin {
    pub table: String,
    pub epoch: String,
    pub from: u64,
    pub to: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Commit {}

/// A question, answered by `answer` with the same id, in no particular order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Ask {
    pub id: u32,
    pub what: Question,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub enum Question {
    /// Prometheus text.
    Metrics,
    /// What the carrier is, holds and does.
    Stats,
    /// The answer to a query, and what gave it.
    Explain(Explain),
    /// Count who asks, for so many seconds: the answer is a number.
    Tally(Tally),
    /// What was counted under a number, which ends it.
    Tallied(Tallied),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Tally {
    pub seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Tallied {
    pub id: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Explain {
    pub name: String,
    /// `A`, `SRV`, `TYPE65`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address of who asks; absent: nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub from: Option<String>,
}

/// From the carrier.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub enum FromCarrier {
    /// The first line of a connection.
    Hello(Hello),
    /// The delta is in force.
    Acknowledged(Acknowledged),
    /// The delta is in force but for these rows: nothing is held under their keys.
    Refused(RefusedRows),
    /// Nothing of the delta is in force.
    Failed(Failed),
    Answer(Answer),
    /// What came is not this protocol; the connection is closed.
    Error(ProtocolError),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Hello {
    /// Of the product: for people.
    pub version: String,
    /// PROTOCOL. Absent is 0.
    pub protocol: u32,
    /// What the carrier holds. A table that is missing holds nothing.
    pub tables: BTreeMap<String, Revision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Revision {
    pub epoch: String,
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Acknowledged {
    pub table: String,
    pub epoch: String,
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct RefusedRows {
    pub table: String,
    pub epoch: String,
    pub number: u64,
    pub rows: Vec<RefusedRow>,
    /// Another line of the same delta follows: they did not fit into one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct RefusedRow {
    pub key: String,
    pub reason: String,
    pub remedy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Failed {
    pub table: String,
    pub reason: String,
}

/// Either `value` or `error` is there.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct Answer {
    pub id: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "unknown"))]
    pub value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub struct ProtocolError {
    pub reason: String,
}
