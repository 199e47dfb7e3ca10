//! Started where a carrier runs already (the same --socket), this one takes its place: it is handed all that the other
//! holds, serves beside it, and only then the other one ends. Whatever fails until then ends this one, and changes nothing.

use crate::channel::Channel;
use crate::controller;
use crate::handover::{Door, FromPredecessor, FromSuccessor, Hello};
use crate::keeper::Expected;
use crate::kind::{Kind, Sockets};
use crate::log::Log;
use crate::message::Opened;
use crate::pages::{self, lock};
use crate::shelf::Shelf;
use crate::supervisor::Supervisor;
use crate::{Held, Options, Readers};
use cli::{Failure, failed};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::channel::connect;
use tokio::time::timeout;

/// What is ours once the other one says so.
pub struct Claim {
    channel: Channel,
    version: String,
    lock: Option<File>,
    /// As the other one's worker counts them.
    rows: BTreeMap<String, usize>,
    /// What the other one's worker is not ready with.
    unready: Vec<String>,
    node_local: Option<OwnedFd>,
}

/// None: no carrier runs there.
pub async fn claim(kind: &'static dyn Kind, options: &Options) -> Result<Option<(Held, Claim)>, Failure> {
    let path = Door::path(&options.socket);
    let end = match connect(&path) {
        Ok(end) => end,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(failed(format!("cannot take over at {}", path.display()))(error)),
    };
    let take = async {
        let channel = Channel::new(end)?;
        channel.send(&FromSuccessor::Hello(Hello::of(kind, options)?), &[]).await?;
        receive(kind, channel).await
    };
    match timeout(LIMIT, take).await {
        Ok(Ok(taken)) => Ok(Some(taken)),
        // It has ended.
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Ok(None),
        Ok(Err(error)) => Err(kept(&error.to_string())),
        Err(_) => Err(kept("it says nothing")),
    }
}

async fn receive(kind: &'static dyn Kind, mut channel: Channel) -> io::Result<(Held, Claim)> {
    let (mut version, mut controller, mut successor, mut readers) = (String::new(), None, None, None);
    let (mut lock, mut node_local, mut logs, mut rows) = (None, None, BTreeMap::new(), BTreeMap::new());
    let mut unready = Vec::new();
    let (mut sockets, mut pages) = (Vec::new(), BTreeMap::<pages::Door, TcpListener>::new());
    let generation = loop {
        let (message, files) = channel.receive().await?;
        let mut files = files.into_iter();
        let mut file = || files.next().ok_or_else(|| io::Error::other("a file is missing in what it says"));
        match message {
            FromPredecessor::Refused { reason } => return Err(io::Error::other(reason)),
            FromPredecessor::Welcome { version: theirs, unready: lacking } => (version, unready) = (theirs, lacking),
            FromPredecessor::Controller => controller = Some(file()?),
            FromPredecessor::Successor => successor = Some(file()?),
            FromPredecessor::NodeLocal => node_local = Some(file()?),
            FromPredecessor::Readers => {
                let (listener, notes) = (file()?.into(), file()?.into());
                readers = Some(Arc::new(Readers { listener, notes }));
            }
            FromPredecessor::Lock => lock = Some(File::from(file()?)),
            FromPredecessor::Table { table, path, rows: count } if kind.tables().contains(&table.as_str()) => {
                logs.insert(table.clone(), Log::inherit(&table, File::from(file()?), path)?);
                rows.extend(count.map(|count| (table, count)));
            }
            FromPredecessor::Table { table, .. } => return Err(io::Error::other(format!("it has a table {table}"))),
            FromPredecessor::Place(Opened { place, udp, tcp }) => {
                let udp = (0..udp).map(|_| file().map(UdpSocket::from)).collect::<io::Result<_>>()?;
                let tcp = if tcp { Some(TcpListener::from(file()?)) } else { None };
                sockets.push(Sockets { place, udp, tcp });
            }
            FromPredecessor::Page { address, port } => drop(pages.insert((address, port), file()?.into())),
            FromPredecessor::All { generation } => break generation,
            FromPredecessor::Yours => return Err(io::Error::other("it gives up before it has said all")),
        }
    };
    let (Some(controller), Some(successor)) = (controller, successor) else {
        return Err(io::Error::other("it hands over no socket for controllers"));
    };
    let controller = controller::inherit(controller)?;
    let held = Held {
        shelf: Shelf::inherit(logs, crate::kept(kind), generation),
        controller,
        successor: Door::inherit(successor)?,
        readers,
        sockets,
        pages,
    };
    Ok((held, Claim { channel, version, lock, rows, unready, node_local }))
}

impl Claim {
    /// Starts a worker, which serves when it is as ready as the other one's, and ends when that has ended, or is about to.
    /// Returns the socket of agents, if the other one had it.
    pub async fn complete(mut self, supervisor: &mut Supervisor) -> Result<Option<OwnedFd>, Failure> {
        let kind = supervisor.kind;
        let until = Instant::now() + READY_LIMIT;
        supervisor.keeper.expected = Some(Expected { rows: self.rows, unready: self.unready, until });
        supervisor.keeper.start(&mut supervisor.shelf, &supervisor.ports, &|text| crate::say(kind, text)).await;
        if supervisor.keeper.id().is_none() {
            return Err(kept(&format!("no worker serves here: {}", lock(&supervisor.status).why_down)));
        }
        let said = timeout(LIMIT, async {
            self.channel.send(&FromSuccessor::Serves, &[]).await?;
            self.channel.receive().await
        });
        match said.await {
            Ok(Ok((FromPredecessor::Yours, _))) => {}
            // It has died: nobody else serves.
            Ok(Err(error)) if error.kind() != ErrorKind::InvalidData => {}
            Ok(Ok((FromPredecessor::Refused { reason }, _))) => return Err(kept(&reason)),
            Ok(_) => return Err(kept("it does not say what it was asked")),
            Err(_) => return Err(kept("it does not answer")),
        }
        if let (Some(lock), Some(dir)) = (self.lock, &supervisor.options.state)
            && let Err(error) = supervisor.shelf.own(dir, lock)
        {
            supervisor.say(&format!("{}: {error}; tables are held in memory only", dir.display()));
        }
        supervisor.say(&format!("has taken over from version {}", self.version));
        Ok(self.node_local)
    }
}

fn kept(why: &str) -> Failure {
    let remedy = "end it first, or give this one its own --socket and --state";
    Failure::Failed(format!("the carrier that runs here keeps its place: {why}; {remedy}"))
}

/// The other one gives up a little earlier, or later: it is there to be asked.
const LIMIT: Duration = Duration::from_secs(40);
/// A name is looked up, or has failed, by then. The other one waits a little longer for all of it.
const READY_LIMIT: Duration = Duration::from_secs(20);
