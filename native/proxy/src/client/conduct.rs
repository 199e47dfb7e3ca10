//! How a client of HTTP/2 behaves: a stream costs it next to nothing, and us a request to a backend, or memory that waits.

use std::cell::Cell;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep_until;

pub struct Conduct {
    /// Requests that were taken back soon, and before they were answered.
    resets: Cell<u64>,
    /// Responses of which there is more, and the client does not take it.
    waiting: Cell<u32>,
    /// When the client last took any of it.
    moved: Cell<Instant>,
    told: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misconduct {
    /// Most of what it asks for it takes back (CVE-2023-44487).
    Resets,
    /// It takes nothing of what it has asked for: windows that stay shut (CVE-2019-9517).
    Stalled,
}

impl Conduct {
    pub fn new() -> Conduct {
        Conduct { resets: Cell::new(0), waiting: Cell::new(0), moved: Cell::new(Instant::now()), told: Notify::new() }
    }

    /// A request was taken back before it was answered, `after` it came; it was one of so many. Who gives up after a while
    /// has waited, as people do.
    pub fn reset(&self, after: Duration, requests: u64) {
        if after >= SOON {
            return;
        }
        self.resets.set(self.resets.get() + 1);
        if self.resets.get() > RESETS_MAX && self.resets.get() * 2 > requests {
            self.told.notify_one();
        }
    }

    /// There is a piece of a response for the client.
    pub fn waits(&self) {
        if self.waiting.replace(self.waiting.get() + 1) == 0 {
            self.moved.set(Instant::now());
        }
    }

    /// It was taken, or is not to be had any more.
    pub fn goes(&self) {
        self.waiting.set(self.waiting.get() - 1);
        self.moved.set(Instant::now());
    }

    /// Ends when it behaves badly: `patience` is how long it may take nothing.
    pub async fn fails(&self, patience: Duration) -> Misconduct {
        let stalls = async {
            loop {
                let (waiting, now) = (self.waiting.get() > 0, Instant::now());
                let until = if waiting { self.moved.get() + patience } else { now + patience };
                if until <= now {
                    return;
                }
                sleep_until(until.into()).await;
            }
        };
        tokio::select! {
            () = self.told.notified() => Misconduct::Resets,
            () = stalls => Misconduct::Stalled,
        }
    }
}

const SOON: Duration = Duration::from_secs(1);
const RESETS_MAX: u64 = 100;
