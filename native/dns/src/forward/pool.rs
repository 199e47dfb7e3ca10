//! Connections to one upstream, kept for the next query.

use super::connection::Connection;
use super::dial::Dial;
use super::figures::{Figures, Proto};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wire::corefile;

pub struct Pool {
    dial: Arc<Dial>,
    expire: Duration,
    max_age: Option<Duration>,
    max_idle: usize,
    open: Mutex<Vec<Arc<Connection>>>,
    figures: Arc<Figures>,
}

impl Pool {
    pub fn new(dial: Arc<Dial>, step: &corefile::Forward, figures: Arc<Figures>) -> Pool {
        Pool {
            dial,
            expire: Duration::from_millis(step.expire_ms.into()),
            max_age: step.max_age_ms.map(|ms| Duration::from_millis(ms.into())),
            max_idle: step.max_idle_connections.map_or(usize::MAX, |count| count as usize),
            open: Mutex::default(),
            figures,
        }
    }

    /// The answer, or why there is none.
    pub async fn ask(&self, message: &[u8], question_bytes: usize, patience: Duration) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + patience;
        loop {
            let connection = self.pick();
            let was_up = connection.is_up();
            match timeout_at(deadline, connection.ask(message, question_bytes)).await {
                Ok(Ok(answer)) => {
                    self.yield_back(&connection);
                    return Ok(answer);
                }
                // The upstream had closed it, or did for a reason that need not be this query: another one is tried. A new
                // one is never up when it is picked, so that this ends.
                Ok(Err(_)) if was_up && connection.has_ended() => self.forget(&connection),
                Ok(Err(why)) => return Err(why),
                Err(_) => {
                    if connection.is_quiet() {
                        self.forget(&connection);
                    }
                    return Err(format!("read tcp {}: i/o timeout", self.dial.address));
                }
            }
        }
    }

    /// The one that the fewest wait for; a new one, if each has enough to do.
    fn pick(&self) -> Arc<Connection> {
        let proto = if self.dial.is_tls() { Proto::Tls } else { Proto::Tcp };
        let mut open = self.open();
        let is_old = |held: &Connection| self.max_age.is_some_and(|most| held.born.elapsed() >= most);
        open.retain(|held| !held.has_ended() && !is_old(held));
        let full = open.len() >= CONNECTIONS_MAX;
        let least = open.iter().filter(|held| full || !held.is_quiet()).min_by_key(|held| held.waiting());
        if let Some(least) = least.filter(|held| full || held.waiting() < PIPELINE) {
            self.figures.cached(proto, true);
            return least.clone();
        }
        self.figures.cached(proto, false);
        let fresh = Arc::new(Connection::open(self.dial.clone(), self.expire));
        open.push(fresh.clone());
        fresh
    }

    /// It is kept for the next, unless too many rest already.
    fn yield_back(&self, connection: &Arc<Connection>) {
        let idle = self.open().iter().filter(|held| held.waiting() == 0).count();
        if connection.waiting() == 0 && (self.expire.is_zero() || idle > self.max_idle) {
            self.forget(connection);
        }
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.open().retain(|held| !Arc::ptr_eq(held, connection));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Queries that wait on a connection before another is opened.
const PIPELINE: usize = 16;
const CONNECTIONS_MAX: usize = 16;
