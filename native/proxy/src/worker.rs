//! The worker: takes tables into force, and gives the threads that serve their orders.

use crate::record::figures;
use crate::record::writer::Writer;
use crate::table::{Book, Problem, State};
use crate::thread::{Handle, Order};
use crate::tls::secret::Secret;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use supervisor::{Change, Changes, Committed, Place, Sockets, Worker};
use wire::protocol::{Question, RefusedRow};
use wire::proxy::{ProxyRow, SECRETS};

pub struct ProxyWorker {
    state: Arc<ArcSwap<State>>,
    book: Book,
    secrets: HashMap<String, Secret>,
    threads: Vec<Handle>,
    synced: bool,
}

impl ProxyWorker {
    pub fn start(threads: usize) -> Result<ProxyWorker, String> {
        let state = Arc::new(ArcSwap::default());
        let log = Writer::start()?;
        let threads =
            (0..threads).map(|number| Handle::start(number, state.clone(), log.clone())).collect::<Result<_, _>>()?;
        Ok(ProxyWorker { state, book: Book::default(), secrets: HashMap::new(), threads, synced: false })
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
        let (state, more) = self.book.apply(changes.whole(), read, &self.secrets, &self.state.load());
        refused.extend(more);
        self.state.store(Arc::new(state));
        self.synced = true;
        Ok(Committed { refused, rows: self.book.rows() })
    }

    fn commit_secrets(&mut self, mut changes: Changes) -> Result<Committed, String> {
        let mut read = Vec::new();
        while let Some(change) = changes.next().map_err(unread)? {
            match change {
                Change::Drop(key) => read.push((key.to_string(), None)),
                Change::Put(key, row) => read.push((key.to_string(), Some(Secret::parse(row)))),
            }
        }
        if changes.whole() {
            self.secrets.clear();
        }
        let mut refused: HashMap<String, RefusedRow> = HashMap::new();
        for (key, secret) in read {
            self.secrets.remove(&key);
            refused.remove(&key);
            match secret {
                None => {}
                Some(Ok(secret)) => drop(self.secrets.insert(key, secret)),
                Some(Err(problem)) => drop(refused.insert(key.clone(), refusal(&key, problem))),
            }
        }
        self.state.store(Arc::new(self.book.renew(&self.secrets, &self.state.load())));
        Ok(Committed { refused: refused.into_values().collect(), rows: self.secrets.len() })
    }
}

impl Worker for ProxyWorker {
    fn commit(&mut self, changes: Changes) -> Result<Committed, String> {
        if changes.table() == SECRETS { self.commit_secrets(changes) } else { self.commit_proxy(changes) }
    }

    fn listen(&mut self, opened: Vec<Sockets>, closed: &[Place]) {
        for place in closed {
            // The listener has gone from the table already; what it said of time is with its connections.
            self.threads.iter().for_each(|thread| thread.order(Order::Close(place.address)));
        }
        for Sockets { place, tcp, .. } in opened {
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
        if self.synced { Vec::new() } else { vec!["routes".to_string()] }
    }

    fn ask(&mut self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Metrics => {
                let threads: Vec<_> = self.threads.iter().map(|thread| thread.metrics.clone()).collect();
                Ok(Value::String(figures::render(&threads)))
            }
            Question::Stats => {
                let state = self.state.load();
                Ok(json!({
                    "hosts": state.hosts.len(),
                    "clusters": state.clusters.len(),
                    "endpoints": state.clusters.values().map(|cluster| cluster.endpoints.len()).sum::<usize>(),
                    "secrets": self.secrets.len(),
                    "synced": self.synced,
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
