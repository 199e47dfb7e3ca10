//! The supervisor process: one thread, one event after the other.

use crate::controller::Connection;
use crate::delta::Delta;
use crate::handover::Door;
use crate::keeper::Keeper;
use crate::kind::{Kind, Page, PageAt};
use crate::log::Log;
use crate::pages::{Pages, Status, Wish, lock};
use crate::ports::{Asked, Ports};
use crate::shelf::Shelf;
use crate::switch::Switch;
use crate::takeover;
use crate::{Held, Options, say};
use cli::{Failure, Outcome, failed};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use wire::protocol::{FromCarrier, Hello, PROTOCOL, ProtocolError};

pub struct Supervisor {
    pub kind: &'static dyn Kind,
    pub options: Options,
    pub shelf: Shelf,
    pub ports: Ports,
    pub pages: Pages,
    pub keeper: Keeper,
    pub status: Arc<Mutex<Status>>,
    pub connection: Option<Connection>,
    /// With the log of a delta from 0.
    pub delta: Option<(Delta, Option<Log>)>,
    pub began: Instant,
    pub counts: Counts,
    /// What the controller that is connected counts: Prometheus text.
    pub figures: Option<String>,
    /// None: nobody here sends packets to us, or elsewhere, as we say.
    pub switch: Option<Switch>,
}

#[derive(Default)]
pub struct Counts {
    pub connections: u64,
    pub commits: u64,
    pub failures: u64,
    pub refused: u64,
}

pub async fn run(kind: &'static dyn Kind, options: Options) -> Outcome {
    let mut stop = Stop::wanted()?;
    let (mut held, claim) = match takeover::claim(kind, &options).await? {
        Some((held, claim)) => (held, Some(claim)),
        None => (Held::open(kind, &options)?, None),
    };
    let (wishes, mut wanted) = mpsc::channel(WISHES_MAX);
    let status = Arc::new(Mutex::new(Status { down_since: Some(Instant::now()), ..Status::default() }));
    let mut supervisor = Supervisor {
        kind,
        shelf: std::mem::replace(&mut held.shelf, Shelf::inherit(BTreeMap::new(), vec![], 0)),
        ports: Ports::new(options.threads, options.node_local.is_some()),
        pages: Pages::new(status.clone(), wishes, std::mem::take(&mut held.pages)),
        keeper: Keeper::new(kind, options.threads, held.readers.clone(), status.clone()),
        status,
        connection: None,
        delta: None,
        began: Instant::now(),
        counts: Counts::default(),
        figures: None,
        switch: None,
        options,
    };
    supervisor.ports.inherit(std::mem::take(&mut held.sockets));
    supervisor.restore();
    let agents = match claim {
        Some(claim) => claim.complete(&mut supervisor).await?,
        None => None,
    };
    supervisor.open_pages();
    if let Some(path) = &supervisor.options.node_local {
        supervisor.switch = Some(Switch::open(path, agents)?);
    }
    let is_replaced = supervisor.serve(&held, &mut wanted, &mut stop).await;
    drop(held);
    let within = supervisor.options.drain.unwrap_or_else(|| supervisor.ports.drain());
    tokio::select! {
        () = supervisor.keeper.drain(within) => {}
        () = stop.said() => {}
    }
    if !is_replaced {
        supervisor.end();
    }
    Ok(ExitCode::SUCCESS)
}

impl Supervisor {
    pub fn say(&self, text: &str) {
        say(self.kind, text);
    }

    /// What tables from the disk ask for.
    fn restore(&mut self) {
        for table in self.kind.tables().iter().filter(|table| self.kind.asks(table)) {
            let Some(log) = self.shelf.log(table) else { continue };
            match asked(self.kind, table, log) {
                Ok(asked) => self.ports.restore(table, asked),
                Err(error) => {
                    self.say(&format!("table {table} from the disk: {error}; it is set aside, and begun anew"));
                    self.shelf.set_aside(table);
                }
            }
        }
        for (place, reason) in self.ports.missing() {
            self.say(&format!("cannot listen on {} ({}): {reason}; tried again", place.address, place.transport));
        }
    }

    /// Until it is told to end, or another process has taken its place: true.
    async fn serve(&mut self, held: &Held, wishes: &mut mpsc::Receiver<Wish>, stop: &mut Stop) -> bool {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut chore: Option<JoinHandle<std::io::Result<()>>> = None;
        let mut ending: Option<Instant> = None;
        let mut is_switched = false;
        loop {
            self.tell_agent();
            tokio::select! {
                accepted = held.controller.accept() => match accepted {
                    Ok((stream, _)) => self.connect(Connection::new(stream)),
                    Err(error) => {
                        self.say(&format!("cannot take a connection: {error}"));
                        tokio::time::sleep(TICK / 10).await; // out of descriptors
                    }
                },
                accepted = held.successor.accept(), if ending.is_none() => match accepted {
                    Ok(successor) => {
                        self.settle(chore.take()).await;
                        if self.give_way(successor, held).await {
                            return true;
                        }
                    }
                    Err(_) => tokio::time::sleep(TICK / 10).await, // out of descriptors
                },
                line = line(&mut self.connection) => self.hear(line).await,
                due = self.keeper.due() => self.tend(due).await,
                Some(wish) = wishes.recv() => drop(wish.send(self.metrics().await)),
                _ = tick.tick() => {
                    self.tick().await;
                    if chore.as_ref().is_none_or(JoinHandle::is_finished) {
                        chore = self.shelf.chore().map(|chore| tokio::task::spawn_blocking(|| chore.run()));
                    }
                }
                () = stop.said() => {
                    if ending.is_some() {
                        return false;
                    }
                    lock(&self.status).draining = true;
                    ending = Some(Instant::now() + self.patience());
                }
                () = switched(&self.switch), if ending.is_some() && !is_switched => {
                    is_switched = true;
                    ending = Some(Instant::now() + IN_FLIGHT);
                }
                () = until(ending) => return false,
            }
        }
    }

    /// How long to serve on once told to end. Who asks an agent to switch waits for its answer, and no longer than need be.
    fn patience(&self) -> Duration {
        match &self.switch {
            Some(switch) if switch.is_heard() => self.ports.lameduck().max(SWITCH_LIMIT),
            _ => self.ports.lameduck(),
        }
    }

    /// All that is committed is on the disk, and nothing else.
    async fn settle(&mut self, chore: Option<JoinHandle<std::io::Result<()>>>) {
        self.abandon();
        if let Some(chore) = chore {
            drop(chore.await);
        }
        if let Some(chore) = self.shelf.chore() {
            drop(tokio::task::spawn_blocking(|| chore.run()).await);
        }
    }

    fn tell_agent(&self) {
        let Some(switch) = &self.switch else { return };
        let serves = lock(&self.status).serves();
        let places = self.ports.places().into_iter().filter(|place| serves && place.udp && place.tcp);
        switch.say(places.map(|place| place.address));
    }

    /// One controller at a time: the newer one has been started for a reason.
    fn connect(&mut self, connection: Connection) {
        self.abandon();
        self.figures = None;
        if let Some(old) = self.connection.take() {
            old.say(&protocol_error("another controller has connected"));
        }
        self.counts.connections += 1;
        let version = env!("CARGO_PKG_VERSION").to_string();
        let hello = Hello { version, protocol: PROTOCOL, tables: self.shelf.revisions() };
        connection.say(&FromCarrier::Hello(hello));
        self.connection = Some(connection);
    }

    async fn hear(&mut self, line: Option<Result<Vec<u8>, &'static str>>) {
        let heard = match line {
            Some(Ok(line)) => self.follow(&line).await,
            Some(Err(reason)) => Err(reason.to_string()),
            None => return self.hang_up(),
        };
        if let Err(reason) = heard {
            self.say(&format!("the controller's connection is closed: {reason}"));
            self.tell(protocol_error(&reason));
            self.hang_up();
        }
    }

    pub fn tell(&mut self, message: FromCarrier) {
        if self.connection.as_ref().is_some_and(|connection| !connection.say(&message)) {
            self.say("the controller does not read what it is told; its connection is closed");
            self.hang_up();
        }
    }

    pub fn hang_up(&mut self) {
        self.abandon();
        self.figures = None;
        self.connection = None;
    }

    pub async fn tend(&mut self, dead: Option<String>) {
        let kind = self.kind;
        match dead {
            Some(why) => self.keeper.bury(&why, &|text| say(kind, text)),
            None => self.keeper.start(&mut self.shelf, &self.ports, &|text| say(kind, text)).await,
        }
    }

    pub async fn tend_dead(&mut self, why: String) {
        self.tend(Some(why)).await;
    }

    async fn tick(&mut self) {
        let opened = self.ports.retry();
        self.open_pages();
        if self.keeper.id().is_none() {
            return;
        }
        let seen = match self.keeper.listen(&self.ports, opened, vec![]).await {
            Ok(()) => self.keeper.probe().await,
            Err(why) => Err(why),
        };
        if let Err(why) = seen {
            self.tend(Some(why)).await;
        }
    }

    pub fn open_pages(&mut self) {
        let mut pages: BTreeSet<PageAt> = self.ports.pages();
        for address in &self.options.http {
            let at = |page| PageAt { page, address: Some(address.ip()), port: address.port() };
            pages.extend([Page::Health, Page::Ready, Page::Metrics].map(at));
        }
        let kind = self.kind;
        self.pages.serve(&pages, &|text| say(kind, text));
    }

    fn end(&mut self) {
        self.abandon();
        drop(fs::remove_file(&self.options.socket));
        drop(fs::remove_file(Door::path(&self.options.socket)));
        if let Some(Err(error)) = self.shelf.chore().map(|chore| chore.run()) {
            self.say(&format!("the state directory: {error}"));
        }
    }
}

/// What the rows of a log ask for.
fn asked(kind: &dyn Kind, table: &str, log: &Log) -> std::io::Result<Asked> {
    let mut asked = Asked::new();
    let mut changes = log.changes()?;
    while let Some(change) = changes.next()? {
        match change {
            crate::Change::Put(key, row) => drop(asked.insert(key.to_string(), kind.wants(table, key, row))),
            crate::Change::Drop(key) => drop(asked.remove(key)),
        }
    }
    Ok(asked)
}

async fn line(connection: &mut Option<Connection>) -> Option<Result<Vec<u8>, &'static str>> {
    match connection {
        Some(connection) => connection.line().await,
        None => std::future::pending().await,
    }
}

/// Pending where there is nobody to switch.
async fn switched(switch: &Option<Switch>) {
    match switch {
        Some(switch) if switch.is_heard() => switch.switched().await,
        _ => std::future::pending().await,
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn wanted() -> Result<Stop, Failure> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate()).map_err(failed("cannot wait for SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed("cannot wait for SIGINT"))?,
        })
    }

    async fn said(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn protocol_error(reason: &str) -> FromCarrier {
    FromCarrier::Error(ProtocolError { reason: reason.to_string() })
}

const TICK: Duration = Duration::from_secs(1);
/// An agent answers within milliseconds.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);
/// What was sent before the switch has come by then.
const IN_FLIGHT: Duration = Duration::from_millis(200);
const WISHES_MAX: usize = 16;
