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
    /// Frames that asked for nothing, less what was served and what time makes up for.
    idle: Cell<u64>,
    idle_since: Cell<Instant>,
    why: Cell<Misconduct>,
    told: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misconduct {
    /// Most of what it asks for it takes back (CVE-2023-44487).
    Resets,
    /// It takes nothing of what it has asked for: windows that stay shut (CVE-2019-9517).
    Stalled,
    /// It keeps us busy with frames that ask for nothing (CVE-2019-9512, CVE-2019-9515).
    Idle,
}

impl Conduct {
    pub fn new() -> Conduct {
        let now = Instant::now();
        Conduct {
            resets: Cell::new(0),
            waiting: Cell::new(0),
            moved: Cell::new(now),
            idle: Cell::new(0),
            idle_since: Cell::new(now),
            why: Cell::new(Misconduct::Stalled),
            told: Notify::new(),
        }
    }

    /// A request was taken back before it was answered, `after` it came; it was one of so many. Who gives up after a while
    /// has waited, as people do.
    pub fn reset(&self, after: Duration, requests: u64) {
        if after >= SOON {
            return;
        }
        self.resets.set(self.resets.get() + 1);
        if self.resets.get() > RESETS_MAX && self.resets.get() * 2 > requests {
            self.fail(Misconduct::Resets);
        }
    }

    /// So many frames came that ask for nothing: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, DATA without an octet.
    pub fn idles(&self, frames: u64) {
        let seconds = self.idle_since.get().elapsed().as_secs();
        if seconds > 0 {
            self.idle_since.set(Instant::now());
            self.idle.set(self.idle.get().saturating_sub(seconds.saturating_mul(IDLE_EACH_SECOND)));
        }
        self.idle.set(self.idle.get() + frames);
        if self.idle.get() > IDLE_MAX {
            self.fail(Misconduct::Idle);
        }
    }

    /// So much of a response is on its way: the client has reason to open windows, and to measure how long the way is.
    pub fn serves(&self, octets: usize) {
        let frames = 1 + octets / FRAME_BYTES;
        self.idle.set(self.idle.get().saturating_sub(frames as u64 * IDLE_EACH_FRAME));
    }

    fn fail(&self, why: Misconduct) {
        self.why.set(why);
        self.told.notify_one();
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
            () = self.told.notified() => self.why.get(),
            () = stalls => Misconduct::Stalled,
        }
    }
}

const SOON: Duration = Duration::from_secs(1);
const RESETS_MAX: u64 = 100;
const IDLE_MAX: u64 = 1000;
const IDLE_EACH_SECOND: u64 = 100;
/// Of ours with data: as Envoy has it (max_inbound_window_update_frames_per_data_frame_sent).
const IDLE_EACH_FRAME: u64 = 10;
const FRAME_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_served_may_send_more() {
        let (served, flood) = (Conduct::new(), Conduct::new());
        for _ in 0..IDLE_MAX {
            served.idles(10);
            served.serves(1);
        }
        assert!(served.idle.get() <= 10);
        served.idles(500);
        served.serves(1 << 20);
        assert_eq!(served.idle.get(), 0);
        flood.idles(IDLE_MAX - 500);
        assert_ne!(flood.why.get(), Misconduct::Idle);
        flood.idles(5000);
        assert_eq!(flood.why.get(), Misconduct::Idle);
    }
}
