//! A carrier is two processes. The supervisor holds listening sockets and the last committed tables, talks with the
//! controller, and keeps a worker going; the worker serves. When a worker dies, what comes meanwhile waits in the sockets,
//! and the next one takes sockets and tables over, with or without a controller.
//!
//! Not here yet: a new binary that takes the sockets over from an old one of the same pod. `ports` is what it would be
//! handed, in the message that a worker gets (`ToWorker::Listen`).

mod changes;
mod commit;
mod controller;
mod delta;
mod figures;
mod keeper;
mod kind;
mod log;
mod message;
mod pages;
mod ports;
mod process;
mod pulse;
mod shelf;
mod supervisor;
mod switch;
mod worker;

pub use changes::{Change, Changes};
pub use controller::Connection;
pub use kind::{Committed, Kind, KnownAs, Page, PageAt, Place, Refusal, Sockets, Wants, Worker};

use cli::{Outcome, failed, parse, usage};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::runtime::Builder;

pub struct Options {
    socket: PathBuf,
    state: Option<PathBuf>,
    http: Vec<SocketAddr>,
    threads: usize,
    /// Where others read what is answered.
    readers: Option<PathBuf>,
    /// Where an agent of this node is told what is served. Then addresses are its to give: they need not be there yet.
    node_local: Option<PathBuf>,
}

/// Runs a command that is a carrier: `--socket PATH [--state DIR] [--http ADDRESS]... [--threads N]
/// [--readers PATH] [--node-local PATH]`.
pub fn run(kind: &'static dyn Kind, arguments: &[String]) -> Outcome {
    let flags = parse(arguments, &["socket", "state", "http", "threads", "readers", "node-local"], &["worker"])?;
    if !flags.rest.is_empty() {
        return Err(usage(format!("unexpected {:?}", flags.rest[0])));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = flags.parsed("threads")?.unwrap_or(cores.min(THREADS_MAX));
    if threads == 0 || threads > THREADS_MAX {
        return Err(usage(format!("--threads is 1 to {THREADS_MAX}")));
    }
    sys::limits::raise_open_files().map_err(failed("RLIMIT_NOFILE"))?;
    if flags.has("worker") {
        return worker::serve(kind, threads, flags.one("readers").map(Path::new));
    }
    let socket = flags.one("socket").ok_or_else(|| usage("--socket PATH is missing: where the controller connects"))?;
    let http =
        flags.all("http").map(|text| text.parse().map_err(|_| usage(format!("--http {text}: not ADDRESS:PORT"))));
    let http = http.collect::<Result<Vec<SocketAddr>, _>>()?;
    let path = |flag| flags.one(flag).map(PathBuf::from);
    let (state, readers, node_local) = (path("state"), path("readers"), path("node-local"));
    let options = Options { socket: socket.into(), state, http, threads, readers, node_local };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed("cannot start"))?;
    runtime.block_on(supervisor::run(kind, options))
}

/// Sockets of a place go to the worker in one message: at most sys::channel::FILES_MAX.
const THREADS_MAX: usize = 64;
