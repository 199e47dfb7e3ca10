//! What the supervisor asks its worker: one question at a time, each with one answer. Files go with them.

use crate::kind::{Committed, Place, Sockets};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::protocol::Question;

#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// With the file of the log.
    Load {
        table: String,
        whole: bool,
        epoch: String,
        from: u64,
        to: u64,
    },
    /// With the sockets: UDP, then TCP.
    Listen {
        opened: Option<Opened>,
        closed: Vec<Place>,
    },
    /// With the socket that those who read what is answered connect to, and what the last worker noted of them.
    Read,
    Unready,
    Ask(Question),
    Drain {
        within_ms: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Opened {
    pub place: Place,
    pub udp: usize,
    pub tcp: bool,
}

impl Opened {
    pub fn of(sockets: &Sockets) -> Opened {
        Opened { place: sockets.place.clone(), udp: sockets.udp.len(), tcp: sockets.tcp.is_some() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    Committed(Committed),
    /// Nothing was changed.
    Failed(String),
    Listening,
    Reading,
    Unready(Vec<String>),
    Answer(Result<Value, String>),
    Drained,
}
