//! What a query needs to know of others, and what they said.

use crate::forward::stored::Stored;
use std::net::SocketAddr;
use std::sync::Arc;

/// What has to be asked of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The forward step, by its index into the chain.
    pub step: usize,
    /// In wire form, lower case.
    pub name: Vec<u8>,
    pub kind: u16,
    /// Of EDNS, in wire form: what the steps before want said to the others.
    pub options: Vec<u8>,
}

/// What came of fetching: shared by all who waited.
#[derive(Clone)]
pub enum Fetched {
    Answer {
        stored: Arc<Stored>,
        /// If it is kept; else each record has its own.
        ttl: Option<u32>,
        /// Who gave it; absent: it was kept.
        upstream: Option<SocketAddr>,
    },
    Refused,
    Nothing,
}

/// What was learnt from others.
#[derive(Default)]
pub struct Known(pub Vec<(Wanted, Fetched)>);

impl Known {
    pub fn of(&self, wanted: &Wanted) -> Option<&Fetched> {
        self.0.iter().find(|(asked, _)| asked == wanted).map(|(_, fetched)| fetched)
    }

    /// Who gave the last answer.
    pub fn upstream(&self) -> Option<SocketAddr> {
        self.0.iter().rev().find_map(|(_, fetched)| match fetched {
            Fetched::Answer { upstream, .. } => *upstream,
            _ => None,
        })
    }
}
