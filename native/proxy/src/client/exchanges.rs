//! Requests of a connection, counted between the guard, which lets them in, and who answers them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub struct Exchanges {
    began: Instant,
    /// Heads that were given to hyper.
    heads: AtomicU64,
    /// Responses that are over.
    pub over: AtomicU64,
    /// When the last of them was: milliseconds since `began`.
    over_ms: AtomicU64,
    /// The number of a head that is refused, counted from 1, and its status below.
    refused: AtomicU64,
}

impl Exchanges {
    pub fn new() -> Exchanges {
        Exchanges {
            began: Instant::now(),
            heads: AtomicU64::new(0),
            over: AtomicU64::new(0),
            over_ms: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// hyper gets a head.
    pub fn begin(&self) -> u64 {
        self.heads.fetch_add(1, Relaxed) + 1
    }

    /// It gets one that is to be answered with this status.
    pub fn refuse(&self, status: u16) {
        self.refused.store(self.begin() << 16 | u64::from(status), Relaxed);
    }

    /// A response is over.
    pub fn end(&self) {
        self.over_ms.store(self.began.elapsed().as_millis() as u64, Relaxed);
        self.over.fetch_add(1, Relaxed);
    }

    pub fn refused(&self, head: u64) -> Option<u16> {
        let refused = self.refused.load(Relaxed);
        (refused >> 16 == head).then_some(refused as u16)
    }

    /// None: there is a response under way.
    pub fn idle_since(&self) -> Option<Instant> {
        let idle = self.over.load(Relaxed) >= self.heads.load(Relaxed);
        idle.then(|| self.began + Duration::from_millis(self.over_ms.load(Relaxed)))
    }
}
