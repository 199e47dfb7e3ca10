//! The worker: takes tables into force, and gives the threads that serve their orders.

use crate::record::figures;
use crate::record::writer::Writer;
use crate::resolve::Resolver;
use crate::table::{Book, Problem, State};
use crate::thread::{Handle, Order, Transport};
use crate::tls::secret::Secret;
use crate::trace;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use supervisor::{Change, Changes, Committed, Place, Sockets, Worker};
use wire::protocol::{Question, RefusedRow};
use wire::proxy::{ProxyRow, SECRETS};

pub struct ProxyWorker {
    tables: Arc<Tables>,
    resolver: Resolver,
    threads: Vec<Handle>,
    synced: Synced,
}

/// Changed by the supervisor, and by who looks names up.
struct Tables {
    state: Arc<ArcSwap<State>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    book: Book,
    secrets: HashMap<String, Secret>,
}

/// What was there once since this process began.
#[derive(Default)]
struct Synced {
    routes: bool,
    secrets: bool,
}

impl Tables {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name was looked up.
    fn resolved(&self, name: &str, addresses: Vec<IpAddr>) {
        let mut held = self.lock();
        let Held { book, secrets } = &mut *held;
        if let Some(state) = book.resolve(name, addresses, secrets, &self.state.load()) {
            self.state.store(Arc::new(state));
        }
    }
}

impl ProxyWorker {
    pub fn start(threads: usize) -> Result<ProxyWorker, String> {
        let state = Arc::new(ArcSwap::default());
        let log = Writer::start()?;
        let threads =
            (0..threads).map(|number| Handle::start(number, state.clone(), log.clone())).collect::<Result<_, _>>()?;
        let tables = Arc::new(Tables { state, held: Mutex::default() });
        let resolver = Resolver::new({
            let tables = tables.clone();
            move |name, addresses| tables.resolved(name, addresses)
        });
        Ok(ProxyWorker { tables, resolver, threads, synced: Synced::default() })
    }

    fn commit_proxy(&mut self, mut changes: Changes) -> Result<Committed, String> {
        let (mut read, mut refused) = (Vec::new(), Vec::new());
        while let Some(change) = changes.next().map_err(unread)? {
            match change {
                Change::Drop(key) => read.push((key.to_string(), None)),
                Change::Put(key, row) => match serde_json::from_slice::<ProxyRow>(row) {
                    Ok(row) => read.push((key.to_string(), Some(row))),
                    Err(error) => {
                        read.push((key.to_string(), None));
                        refused.push(refusal(key, Problem::new(error.to_string(), "send the row again")));
                    }
                },
            }
        }
        let mut held = self.tables.lock();
        let Held { book, secrets } = &mut *held;
        let (state, more) = book.apply(changes.whole(), read, secrets, &self.tables.state.load());
        refused.extend(more);
        self.tables.state.store(Arc::new(state));
        let (rows, wanted) = (book.rows(), book.names());
        drop(held);
        self.resolver.want(wanted);
        self.synced.routes = true;
        Ok(Committed { refused, rows })
    }

    fn commit_secrets(&mut self, mut changes: Changes) -> Result<Committed, String> {
        let mut read = Vec::new();
        while let Some(change) = changes.next().map_err(unread)? {
            match change {
                Change::Drop(key) => read.push((key.to_string(), None)),
                Change::Put(key, row) => read.push((key.to_string(), Some(Secret::parse(row)))),
            }
        }
        let mut held = self.tables.lock();
        let Held { book, secrets } = &mut *held;
        if changes.whole() {
            secrets.clear();
        }
        let mut refused: HashMap<String, RefusedRow> = HashMap::new();
        for (key, secret) in read {
            secrets.remove(&key);
            refused.remove(&key);
            match secret {
                None => {}
                Some(Ok(secret)) => drop(secrets.insert(key, secret)),
                Some(Err(problem)) => drop(refused.insert(key.clone(), refusal(&key, problem))),
            }
        }
        self.tables.state.store(Arc::new(book.renew(secrets, &self.tables.state.load())));
        self.synced.secrets = true;
        Ok(Committed { refused: refused.into_values().collect(), rows: secrets.len() })
    }
}

impl Worker for ProxyWorker {
    fn commit(&mut self, changes: Changes) -> Result<Committed, String> {
        if changes.table() == SECRETS { self.commit_secrets(changes) } else { self.commit_proxy(changes) }
    }

    fn listen(&mut self, opened: Vec<Sockets>, closed: &[Place]) {
        for place in closed {
            // The listener has gone from the table already; what it said of time is with its connections.
            let transport = if place.udp { Transport::Udp } else { Transport::Tcp };
            self.threads.iter().for_each(|thread| thread.order(Order::Close(place.address, transport)));
        }
        for Sockets { place, tcp, udp } in opened {
            for (thread, socket) in self.threads.iter().zip(udp) {
                thread.order(Order::Receive(place.address, socket));
            }
            let Some(listener) = tcp else { continue };
            for thread in &self.threads {
                match listener.try_clone() {
                    Ok(listener) => thread.order(Order::Accept(place.address, listener)),
                    Err(error) => eprintln!("proxy: cannot serve {}: {error}", place.address),
                }
            }
        }
    }

    fn unready(&self) -> Vec<String> {
        let Synced { routes, secrets } = self.synced;
        let secrets = secrets || !self.tables.lock().book.needs_secrets();
        let names = !routes || self.resolver.has_tried();
        let all = [("routes", routes), ("certificates", secrets), ("names", names)];
        all.into_iter().filter(|(_, done)| !done).map(|(name, _)| name.to_string()).collect()
    }

    fn ask(&mut self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Metrics => {
                let threads: Vec<_> = self.threads.iter().map(|thread| thread.metrics.clone()).collect();
                Ok(Value::String(figures::render(&threads) + &self.resolver.metrics() + &trace::metrics()))
            }
            Question::Stats => {
                let state = self.tables.state.load();
                let names = self.resolver.failing();
                let failing: HashMap<_, _> =
                    names.iter().take(NAMES_MAX).map(|(name, failure)| (name, failure.word())).collect();
                Ok(json!({
                    "hosts": state.hosts.len(),
                    "clusters": state.clusters.len(),
                    "endpoints": state.clusters.values().map(|cluster| cluster.endpoints.len()).sum::<usize>(),
                    "secrets": self.tables.lock().secrets.len(),
                    "synced": self.synced.routes,
                    "failingNames": failing,
                }))
            }
            other => Err(format!("a proxy cannot answer {other:?}")),
        }
    }

    fn drain(&mut self, within: Duration) {
        self.threads.iter().for_each(|thread| thread.order(Order::End(within)));
        self.threads.iter_mut().for_each(Handle::wait);
    }
}

fn unread(error: std::io::Error) -> String {
    format!("cannot read changes: {error}")
}

fn refusal(key: &str, problem: Problem) -> RefusedRow {
    RefusedRow { key: key.to_string(), reason: problem.reason, remedy: problem.remedy }
}

/// That are told.
const NAMES_MAX: usize = 1000;
