//! What a kind of carrier (DNS, later the proxy) brings along. The supervisor knows tables, keys, octets and sockets only.

use crate::changes::Changes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::Duration;
use wire::protocol::{Question, RefusedRow};

/// A kind of carrier. The same value exists in both processes: the supervisor calls `pack` and `wants`, the worker `worker`.
pub trait Kind: Sync {
    /// As on the command line: `dns`.
    fn name(&self) -> &'static str;

    /// Its tables, in the order in which a new worker gets them.
    fn tables(&self) -> &'static [&'static str];

    /// Reads one row (JSON text), strictly, and appends to `packed` what the worker is to get of it: the compact form that
    /// is held in the log of the table, on disk too. `packed` is left as it was when the row is refused.
    fn pack(&self, table: &str, key: &str, row: &str, packed: &mut Vec<u8>) -> Result<(), Problem>;

    /// What a packed row needs of the supervisor. Called for every row of the tables named by `asks`.
    fn wants(&self, table: &str, key: &str, packed: &[u8]) -> Wants;

    /// True for tables whose rows ask for sockets or pages (few rows: the supervisor remembers what each wants).
    fn asks(&self, table: &str) -> bool;

    /// False for tables that never reach a disk, whatever `--state` says: what is secret.
    fn keeps(&self, _table: &str) -> bool {
        true
    }

    /// What its users call what the supervisor counts.
    fn known_as(&self) -> KnownAs;

    /// Called once in the worker process, before anything else.
    fn worker(&self, threads: usize) -> Result<Box<dyn Worker>, String>;
}

/// Names of metrics.
#[derive(Debug, Clone, Copy)]
pub struct KnownAs {
    /// Workers that died.
    pub panics: &'static str,
    /// Requests for /health that the supervisor makes itself: `..._duration_seconds` and `..._failures_total` are added.
    pub health: &'static str,
}

/// Serves. All calls come from one thread, one after the other; what serves are threads that the worker starts itself.
/// A new worker gets all tables first (`commit`, whole), then the sockets (`listen`), so that its first answer is right.
pub trait Worker {
    /// Takes the changes into force as a whole before it returns, but for rows that it refuses: nothing may be held under
    /// their keys. `Err`: nothing was changed; the controller sends the whole table again.
    fn commit(&mut self, changes: Changes) -> Result<Committed, String>;

    /// Begins to serve what is `opened`, ends serving `closed` (its own copies of the sockets are to be closed).
    fn listen(&mut self, opened: Vec<Sockets>, closed: &[Place]);

    /// What is not ready yet, by name (of plugins, for DNS); empty: ready.
    fn unready(&self) -> Vec<String>;

    /// `Question::Metrics` is answered by a string: Prometheus text.
    fn ask(&mut self, question: &Question) -> Result<Value, String>;

    /// Others may connect to the (non-blocking) socket, and read what is answered: `--readers`. The file is for what the next
    /// worker must know of them; empty at first. Err: they cannot.
    fn welcome_readers(&mut self, _listener: UnixListener, _notes: File) -> Result<(), String> {
        Err("this kind of carrier has nothing to read".to_string())
    }

    /// Takes nothing new any more, finishes what is under way, at most until `within` is over; then the process ends.
    fn drain(&mut self, within: Duration);
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub refused: Vec<RefusedRow>,
    /// Rows of the table held now.
    pub rows: usize,
}

/// Why a row is refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub reason: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { reason: reason.into(), remedy: remedy.into() }
    }

    /// For what the row type has and this version of the carrier does not do.
    pub fn unbuilt(what: &str) -> Problem {
        Problem::new(format!("{what} is not built yet"), "remove it, or wait for a version that has it")
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wants {
    pub places: Vec<Place>,
    pub pages: Vec<PageAt>,
    /// How long to go on serving, unready, once told to end; the longest of all rows counts.
    pub lameduck: Duration,
    /// How long what is under way may take after that; the longest of all rows counts.
    pub drain: Duration,
}

/// Where to listen, and as what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// What is spoken there, in the words of the kind: `dns`, `tls`.
    pub transport: String,
    /// `[::]` is IPv6 only, and left out where the kernel has no IPv6.
    pub address: SocketAddr,
    pub udp: bool,
    pub tcp: bool,
}

/// Where a page is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageAt {
    pub page: Page,
    /// None: every address of both families.
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// What the supervisor serves by itself, over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Page {
    Health,
    Ready,
    Metrics,
}

/// Bound, non-blocking sockets of a place. The supervisor has them too, so that nothing is lost when the worker ends.
#[derive(Debug)]
pub struct Sockets {
    pub place: Place,
    /// One a thread (SO_REUSEPORT); each is told the local address of a datagram. Empty unless the place wants UDP.
    pub udp: Vec<UdpSocket>,
    pub tcp: Option<TcpListener>,
}
