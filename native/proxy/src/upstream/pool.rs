//! Connections to backends that are open and idle, of one thread.

use super::connect::Sender;
use super::drive::Drive;
use crate::timer::Timer;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::spawn_local;
use wire::proxy::KeepAlive;

/// Endpoint (of `EndpointHealth`) and flavour (of `Cluster`).
pub type Key = (u64, u64);

#[derive(Default)]
pub struct Pool {
    idle: RefCell<HashMap<Key, Vec<Idle>>>,
}

struct Idle {
    connection: Pooled,
    until: Instant,
}

/// A connection, and what it served.
pub struct Pooled {
    pub sender: Sender,
    /// None: it has a task of its own.
    pub drive: Option<Drive>,
    pub requests: u32,
    pub timer: Timer,
    /// How long it took to connect.
    pub connected: Option<Duration>,
}

impl Pooled {
    /// False: it is closed. One without a task of its own is looked at.
    pub fn is_open(&mut self) -> bool {
        match &mut self.drive {
            None => self.sender.is_open(),
            Some(drive) => {
                drive.look();
                matches!(&self.sender, Sender::One(sender) if sender.is_ready())
            }
        }
    }

    /// For the next request. False: it is closed.
    pub async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::One(sender) if sender.is_ready() => true,
            Sender::One(_) if self.drive.is_some() => self.is_open(),
            Sender::One(sender) => sender.ready().await.is_ok(),
            Sender::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// It goes on by itself from here: the request is not over when the response begins.
    pub fn part(&mut self) {
        if let Some(drive) = self.drive.take() {
            spawn_local(drive.run());
        }
    }
}

impl Pool {
    /// The one used last: the others may end.
    pub fn take(&self, key: Key) -> Option<Pooled> {
        let mut idle = self.idle.borrow_mut();
        let held = idle.get_mut(&key)?;
        while let Some(Idle { mut connection, .. }) = held.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    pub fn put(&self, key: Key, connection: Pooled, rule: &KeepAlive) {
        if connection.requests >= rule.requests_max || rule.connections == 0 || !connection.sender.is_open() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let held = idle.entry(key).or_default();
        if held.len() >= rule.connections as usize {
            held.remove(0);
        }
        held.push(Idle { connection, until: Instant::now() + Duration::from_millis(rule.idle_ms.into()) });
    }

    /// One that others use, too (HTTP/2).
    pub fn share(&self, key: Key, rule: &KeepAlive) -> Option<Pooled> {
        let mut idle = self.idle.borrow_mut();
        let held = idle.get_mut(&key)?;
        held.retain_mut(|idle| idle.connection.is_open());
        held.retain(|idle| idle.connection.requests < rule.requests_max);
        let idle = held.last_mut()?;
        idle.connection.requests += 1;
        idle.until = Instant::now() + Duration::from_millis(rule.idle_ms.into());
        Some(Pooled {
            sender: idle.connection.sender.share()?,
            drive: None,
            requests: idle.connection.requests,
            timer: Timer::default(),
            connected: None,
        })
    }

    /// Closes what was idle for too long.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, held| {
            held.retain_mut(|idle| idle.until > now && idle.connection.is_open());
            !held.is_empty()
        });
    }
}
