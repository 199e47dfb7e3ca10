//! Connections to backends that are open and idle, of one thread.

use super::connect::Sender;
use crate::timer::Timer;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};
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
    pub requests: u32,
    pub timer: Timer,
    /// How long it took to connect.
    pub connected: Option<Duration>,
}

impl Pool {
    /// The one used last: the others may end.
    pub fn take(&self, key: Key) -> Option<Pooled> {
        let mut idle = self.idle.borrow_mut();
        let held = idle.get_mut(&key)?;
        while let Some(Idle { connection, .. }) = held.pop() {
            if connection.sender.is_open() {
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
        held.retain(|idle| idle.connection.sender.is_open());
        held.retain(|idle| idle.connection.requests < rule.requests_max);
        let idle = held.last_mut()?;
        idle.connection.requests += 1;
        idle.until = Instant::now() + Duration::from_millis(rule.idle_ms.into());
        Some(Pooled {
            sender: idle.connection.sender.share()?,
            requests: idle.connection.requests,
            timer: Timer::default(),
            connected: None,
        })
    }

    /// Closes what was idle for too long.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, held| {
            held.retain(|idle| idle.until > now && idle.connection.sender.is_open());
            !held.is_empty()
        });
    }
}
