//! A response no faster than so many octets a second, as nginx' limit_rate and limit_rate_after have it.

use crate::timer::Timer;
use hyper::body::Bytes;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub struct Pace {
    rate: u64,
    /// Octets that are free, and then those that were sent besides.
    free: u64,
    paid: u64,
    began: Option<Instant>,
    timer: Timer,
    rest: Bytes,
}

impl Pace {
    pub fn new(rate: u64, free: u64) -> Pace {
        Pace { rate, free, paid: 0, began: None, timer: Timer::default(), rest: Bytes::new() }
    }

    /// What came is sent piece by piece.
    pub fn hold(&mut self, data: Bytes) {
        self.rest = data;
    }

    pub fn holds(&self) -> usize {
        self.rest.len()
    }

    /// The next piece of what is held, at its time.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.free > 0 {
            let count = self.rest.len().min(usize::try_from(self.free).unwrap_or(usize::MAX));
            self.free -= count as u64;
            return Poll::Ready(self.rest.split_to(count));
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        self.timer.set(Some(began + Duration::from_secs_f64(self.paid as f64 / self.rate as f64)));
        if self.timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer.stop();
        let most = usize::try_from(self.rate / PIECES).unwrap_or(usize::MAX).max(1);
        let piece = self.rest.split_to(self.rest.len().min(most));
        self.paid += piece.len() as u64;
        Poll::Ready(piece)
    }
}

/// In a second.
const PIECES: u64 = 8;
