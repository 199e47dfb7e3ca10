//! A carrier that is started where this one runs is handed all that is held here, with the sockets themselves: what waits in
//! them waits for either. Once it serves, this one finishes what it has begun, and ends; if it fails, nothing has changed.

use crate::channel::Channel;
use crate::kind::Kind;
use crate::message::Opened;
use crate::pages::lock;
use crate::supervisor::Supervisor;
use crate::{Held, Options, controller};
use cli::{Failure, failed};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;
use sys::channel::{accept, connect, listen};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};

/// To be raised when these messages change, or what `Kind::pack` makes of a row.
pub const PROTOCOL: u32 = 1;

#[derive(Serialize, Deserialize)]
pub enum FromSuccessor {
    Hello(Hello),
    /// It serves what it was handed.
    Serves,
}

/// Two that are not started alike would not serve alike.
#[derive(Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub version: String,
    pub kind: String,
    pub threads: usize,
    pub state: Option<PathBuf>,
    pub node_local: Option<PathBuf>,
    pub readers: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
pub enum FromPredecessor {
    /// Nothing is handed over, or no longer.
    Refused {
        reason: String,
    },
    Welcome {
        version: String,
        /// What the worker here is not ready with: a new one need not be, either.
        #[serde(default)]
        unready: Vec<String>,
    },
    /// Each of the following with its files. Sockets that controllers, successors, agents and readers connect
    /// to; with the last one what was noted of readers.
    Controller,
    Successor,
    NodeLocal,
    Readers,
    /// Of the state directory.
    Lock,
    Table {
        table: String,
        path: Option<PathBuf>,
        /// As the worker counts them; None: there is none at the moment.
        rows: Option<usize>,
    },
    Place(Opened),
    Page {
        address: Option<IpAddr>,
        port: u16,
    },
    All {
        generation: u64,
    },
    /// From now on.
    Yours,
}

impl Hello {
    pub fn of(kind: &dyn Kind, options: &Options) -> io::Result<Hello> {
        let whole = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
        Ok(Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_string(),
            kind: kind.name().to_string(),
            threads: options.threads,
            state: whole(&options.state)?,
            node_local: whole(&options.node_local)?,
            readers: whole(&options.readers)?,
        })
    }

    /// Why this one gets nothing.
    fn differs(&self, ours: &Hello) -> Option<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map_or("none".to_string(), |path| path.display().to_string());
        let pairs = [
            ("protocol of takeovers", self.protocol.to_string(), ours.protocol.to_string()),
            ("kind", self.kind.clone(), ours.kind.clone()),
            ("--threads", self.threads.to_string(), ours.threads.to_string()),
            ("--state", path(&self.state), path(&ours.state)),
            ("--node-local", path(&self.node_local), path(&ours.node_local)),
            ("--readers", path(&self.readers), path(&ours.readers)),
        ];
        let (what, theirs, ours) = pairs.into_iter().find(|(_, theirs, ours)| theirs != ours)?;
        Some(format!("its {what} is {ours}, not {theirs}"))
    }
}

/// Where a successor connects: `.takeover` beside the controller's socket.
pub struct Door(UnixDatagram);

impl Door {
    pub fn path(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_os_string();
        path.push(".takeover");
        path.into()
    }

    pub fn open(socket: &Path) -> Result<Door, Failure> {
        let path = Door::path(socket);
        let open = || {
            if controller::is_socket(&path) && connect(&path).is_err() {
                fs::remove_file(&path)?;
            }
            Door::inherit(controller::privately(|| listen(&path))?)
        };
        open().map_err(failed(format!("cannot listen on {}", path.display())))
    }

    pub fn inherit(listener: OwnedFd) -> io::Result<Door> {
        let listener = std::os::unix::net::UnixDatagram::from(listener);
        listener.set_nonblocking(true)?;
        Ok(Door(UnixDatagram::from_std(listener)?)) // of sequenced packets, to tell the truth; it is only waited for
    }

    pub async fn accept(&self) -> io::Result<OwnedFd> {
        self.0.async_io(Interest::READABLE, || accept(&self.0)).await
    }
}

impl Supervisor {
    /// True: all of it is another process's now. Nothing is under way on the disk.
    pub async fn give_way(&mut self, successor: OwnedFd, held: &Held) -> bool {
        let Ok(mut channel) = Channel::new(successor) else { return false };
        match self.offer(&mut channel, held).await {
            Ok(version) => {
                self.say(&format!("version {version} has taken over; this one ends once what it has begun is done"));
                self.shelf.disown();
                self.switch.iter_mut().for_each(|switch| switch.disown());
                self.switch = None;
                self.pages.close();
                true
            }
            Err(reason) => {
                self.say(&format!("was not taken over: {reason}; goes on"));
                drop(timeout(SAY_LIMIT, channel.send(&FromPredecessor::Refused { reason }, &[])).await);
                false
            }
        }
    }

    /// Returns the version of who serves now.
    async fn offer(&mut self, channel: &mut Channel, held: &Held) -> Result<String, String> {
        let hello = match timeout(SAY_LIMIT, channel.receive()).await {
            Ok(Ok((FromSuccessor::Hello(hello), _))) => hello,
            Ok(Ok(_)) => return Err("who asked did not begin with hello".to_string()),
            Ok(Err(error)) => return Err(format!("who asked says what is no hello: {error}")),
            Err(_) => return Err("who asked says nothing".to_string()),
        };
        let ours = Hello::of(self.kind, &self.options).map_err(|error| error.to_string())?;
        if let Some(differs) = hello.differs(&ours) {
            return Err(differs);
        }
        self.hang_up(); // whoever connects again finds the one that serves then
        match timeout(SAY_LIMIT, self.tell_all(channel, held)).await {
            Ok(told) => told.map_err(|error| format!("version {}: {error}", hello.version))?,
            Err(_) => return Err(format!("version {} does not read what it is handed", hello.version)),
        }
        self.wait_for(channel).await.map_err(|why| format!("version {}: {why}", hello.version))?;
        let yours = channel.send(&FromPredecessor::Yours, &[]).await;
        yours.map(|()| hello.version).map_err(|error| error.to_string())
    }

    async fn tell_all(&self, channel: &Channel, held: &Held) -> io::Result<()> {
        use FromPredecessor::{All, Controller, Lock, NodeLocal, Page, Place, Readers, Successor, Table, Welcome};
        let (version, unready) = (env!("CARGO_PKG_VERSION").to_string(), lock(&self.status).unready.clone());
        channel.send(&Welcome { version, unready }, &[]).await?;
        channel.send(&Controller, &[held.controller.as_fd()]).await?;
        channel.send(&Successor, &[held.successor.0.as_fd()]).await?;
        if let Some(switch) = &self.switch {
            channel.send(&NodeLocal, &[switch.listener()]).await?;
        }
        if let Some(readers) = &held.readers {
            channel.send(&Readers, &readers.files()).await?;
        }
        let (lock, generation) = self.shelf.lock();
        if let Some(lock) = lock {
            channel.send(&Lock, &[lock]).await?;
        }
        for (table, log) in self.shelf.logs().filter(|(_, log)| log.revision().is_some()) {
            let (rows, path) = (self.keeper.rows.get(table).copied(), log.path().map(absolute).transpose()?);
            channel.send(&Table { table: table.clone(), path, rows }, &[log.share()?.as_fd()]).await?;
        }
        for place in self.ports.places() {
            let Some(sockets) = self.ports.get(&place) else { continue };
            channel.send(&Place(Opened::of(sockets)), &sockets.files()).await?;
        }
        for ((address, port), listener) in self.pages.listeners() {
            channel.send(&Page { address, port }, &[listener]).await?;
        }
        channel.send(&All { generation }, &[]).await
    }

    /// Until it serves. This one goes on to serve meanwhile.
    async fn wait_for(&mut self, channel: &mut Channel) -> Result<(), String> {
        let mut limit = std::pin::pin!(sleep(SERVES_LIMIT));
        loop {
            tokio::select! {
                said = channel.receive() => return match said {
                    Ok((FromSuccessor::Serves, _)) => Ok(()),
                    Ok(_) => Err("it said hello twice".to_string()),
                    Err(error) => Err(format!("it ended before it served: {error}")),
                },
                due = self.keeper.due() => self.tend(due).await,
                () = &mut limit => return Err(format!("it did not serve within {} s", SERVES_LIMIT.as_secs())),
            }
        }
    }
}

impl crate::Sockets {
    /// UDP, then TCP.
    pub(crate) fn files(&self) -> Vec<BorrowedFd<'_>> {
        self.udp.iter().map(AsFd::as_fd).chain(self.tcp.iter().map(AsFd::as_fd)).collect()
    }
}

const SAY_LIMIT: Duration = Duration::from_secs(5);
const SERVES_LIMIT: Duration = Duration::from_secs(30);
