//! The agent of this node is told what is served here, and says when it sends packets there, or no longer: who ends does
//! so after that, and no query is lost.

use crate::controller;
use cli::{Failure, failed};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wire::serving::{Serving, Switched};

/// Ended when dropped.
pub struct Switch {
    /// None: it is not ours any more.
    path: Option<PathBuf>,
    listener: OwnedFd,
    said: watch::Sender<Serving>,
    heard: watch::Receiver<Heard>,
    accepting: JoinHandle<()>,
}

/// What each agent that is connected has in force.
type Heard = BTreeMap<u64, u64>;

impl Switch {
    /// An agent that connects is told what was said by then: say it before others run.
    pub fn open(path: &Path, inherited: Option<OwnedFd>) -> Result<Switch, Failure> {
        let listener = match inherited {
            Some(listener) => controller::inherit(listener).map_err(failed(format!("{}", path.display())))?,
            None => controller::listen(path)?,
        };
        let kept = listener.as_fd().try_clone_to_owned().map_err(failed(format!("{}", path.display())))?;
        let (said, saying) = watch::channel(Serving { number: 1, serving: vec![] });
        let (hearing, heard) = watch::channel(Heard::new());
        let accepting = tokio::spawn(accept(listener, saying, Arc::new(hearing)));
        Ok(Switch { path: Some(path.to_path_buf()), listener: kept, said, heard, accepting })
    }

    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Another process listens there.
    pub fn disown(&mut self) {
        self.path = None;
    }

    pub fn say(&self, places: impl Iterator<Item = SocketAddr>) {
        let serving: Vec<String> = places.map(|address| address.to_string()).collect();
        self.said.send_if_modified(|said| {
            let changes = said.serving != serving;
            if changes {
                *said = Serving { number: said.number + 1, serving };
            }
            changes
        });
    }

    /// Whether anybody switches.
    pub fn is_heard(&self) -> bool {
        !self.heard.borrow().is_empty()
    }

    /// Ends when all agents have in force what was said last. One that has gone switches as it pleases.
    pub async fn switched(&self) {
        let number = self.said.borrow().number;
        let mut heard = self.heard.clone();
        _ = heard.wait_for(|heard| heard.values().all(|each| *each >= number)).await;
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.accepting.abort();
        self.path.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

async fn accept(listener: UnixListener, saying: watch::Receiver<Serving>, hearing: Arc<watch::Sender<Heard>>) {
    let places = Arc::new(Semaphore::new(AGENTS_MAX));
    for id in 0.. {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(RETRY).await; // out of descriptors
            continue;
        };
        let (saying, hearing) = (saying.clone(), hearing.clone());
        tokio::spawn(async move {
            hearing.send_modify(|heard| _ = heard.insert(id, 0));
            let _ended = converse(stream, id, saying, &hearing).await;
            hearing.send_modify(|heard| _ = heard.remove(&id));
            drop(place);
        });
    }
}

/// Until either ends it, or the agent says what is no line of it.
async fn converse(
    stream: UnixStream,
    id: u64,
    mut saying: watch::Receiver<Serving>,
    hearing: &watch::Sender<Heard>,
) -> Option<()> {
    let (input, mut output) = stream.into_split();
    let hears = async {
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            (&mut input).take(LINE_MAX_BYTES).read_until(b'\n', &mut line).await.ok()?;
            let Switched { switched } = serde_json::from_slice(&line).ok()?;
            hearing.send_modify(|heard| _ = heard.insert(id, switched));
        }
    };
    let says = async {
        loop {
            let mut line = serde_json::to_vec(&*saying.borrow_and_update()).ok()?;
            line.push(b'\n');
            timeout(WRITE_LIMIT, output.write_all(&line)).await.ok()?.ok()?;
            saying.changed().await.ok()?;
        }
    };
    tokio::select! {
        ended = hears => ended,
        ended = says => ended,
    }
}

const AGENTS_MAX: usize = 4;
const LINE_MAX_BYTES: u64 = 256;
const WRITE_LIMIT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);
