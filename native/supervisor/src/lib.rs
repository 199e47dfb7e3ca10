//! A carrier is two processes. The supervisor holds listening sockets and the last committed tables, talks with the
//! controller, and keeps a worker going; the worker serves. When a worker dies, what comes meanwhile waits in the sockets,
//! and the next one takes sockets and tables over, with or without a controller. A carrier that is started with the same
//! --socket takes everything over from the one that runs, which ends when the new one serves (`takeover`, `handover`).

mod changes;
mod channel;
mod commit;
mod controller;
mod delta;
mod figures;
mod handover;
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
mod takeover;
mod worker;

pub use changes::{Change, Changes};
pub use controller::Connection;
pub use kind::{Committed, Kind, KnownAs, Page, PageAt, Place, Problem, Sockets, Wants, Worker};

use cli::{Failure, Outcome, failed, parse, usage};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_thp_disable;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
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
    /// How long what is under way may take once told to end, or replaced; None: as tables say.
    drain: Option<Duration>,
}

/// What this process holds, and the next one of the same --socket is handed, beside what tables ask for.
struct Held {
    shelf: shelf::Shelf,
    controller: UnixListener,
    successor: handover::Door,
    readers: Option<Arc<Readers>>,
    /// Open already.
    sockets: Vec<Sockets>,
    pages: BTreeMap<pages::Door, TcpListener>,
}

/// What those who read what is answered connect to, and a file in which a worker notes for the next one what they want.
struct Readers {
    listener: std::os::unix::net::UnixListener,
    notes: File,
}

impl Readers {
    fn open(path: &Path) -> Result<Readers, Failure> {
        let failure = || failed::<std::io::Error>(format!("{}", path.display()));
        let listener = controller::listen(path)?.into_std().map_err(failure())?;
        let notes = memfd_create("readers", MFdFlags::MFD_CLOEXEC).map_err(|error| failure()(error.into()))?;
        Ok(Readers { listener, notes: notes.into() })
    }

    fn files(&self) -> [BorrowedFd<'_>; 2] {
        [self.listener.as_fd(), self.notes.as_fd()]
    }
}

impl Held {
    fn open(kind: &'static dyn Kind, options: &Options) -> Result<Held, Failure> {
        let shelf = shelf::Shelf::open(options.state.as_deref(), kept(kind), &|text| say(kind, text))?;
        // Whoever finds us by the socket of controllers finds this one, too.
        let successor = handover::Door::open(&options.socket)?;
        let controller = controller::listen(&options.socket)?;
        let unread = |why: &Failure| say(kind, &format!("nobody can read what is answered: {why:?}"));
        // To answer matters more than to be read.
        let open = |path: &PathBuf| Readers::open(path).inspect_err(unread).ok().map(Arc::new);
        let readers = options.readers.as_ref().and_then(open);
        Ok(Held { shelf, controller, successor, readers, sockets: vec![], pages: BTreeMap::new() })
    }
}

/// Tables that go to the disk.
fn kept(kind: &dyn Kind) -> Vec<&'static str> {
    kind.tables().iter().copied().filter(|table| kind.keeps(table)).collect()
}

fn say(kind: &dyn Kind, text: &str) {
    eprintln!("fairlead-carrier {}: {text}", kind.name());
}

/// Runs a command that is a carrier: `--socket PATH [--state DIR] [--http ADDRESS]... [--threads N]
/// [--readers PATH] [--node-local PATH] [--drain SECONDS]`.
pub fn run(kind: &'static dyn Kind, arguments: &[String]) -> Outcome {
    let flags =
        parse(arguments, &["socket", "state", "http", "threads", "readers", "node-local", "drain"], &["worker"])?;
    if !flags.rest.is_empty() {
        return Err(usage(format!("unexpected {:?}", flags.rest[0])));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = flags.parsed("threads")?.unwrap_or(cores.min(THREADS_MAX));
    if threads == 0 || threads > THREADS_MAX {
        return Err(usage(format!("--threads is 1 to {THREADS_MAX}")));
    }
    sys::limits::raise_open_files().map_err(failed("RLIMIT_NOFILE"))?;
    // The allocator asks for pages of 2 MiB, of which a few thousand small objects would keep most empty: twice the memory.
    // Workers inherit it.
    set_thp_disable(true).map_err(failed("PR_SET_THP_DISABLE"))?;
    if flags.has("worker") {
        return worker::serve(kind, threads);
    }
    let socket = flags.one("socket").ok_or_else(|| usage("--socket PATH is missing: where the controller connects"))?;
    let http =
        flags.all("http").map(|text| text.parse().map_err(|_| usage(format!("--http {text}: not ADDRESS:PORT"))));
    let http = http.collect::<Result<Vec<SocketAddr>, _>>()?;
    let path = |flag| flags.one(flag).map(PathBuf::from);
    let (state, readers, node_local) = (path("state"), path("readers"), path("node-local"));
    let drain = flags.parsed::<u64>("drain")?.map(|seconds| Duration::from_secs(seconds.min(DRAIN_MAX_S)));
    let options = Options { socket: socket.into(), state, http, threads, readers, node_local, drain };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed("cannot start"))?;
    runtime.block_on(supervisor::run(kind, options))
}

/// Sockets of a place go to the worker in one message: at most sys::channel::FILES_MAX.
const THREADS_MAX: usize = 64;
const DRAIN_MAX_S: u64 = 86_400;
