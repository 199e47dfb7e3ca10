use super::question::QUESTION_BYTES;
use crate::latency::Latency;
use std::collections::BTreeMap;
use std::time::Instant;

pub struct Tally {
    pub latency: Latency,
    codes: [u64; 16],
    /// Answers without a record in the answer section.
    pub empty: u64,
    pub lost: u64,
}

impl Tally {
    pub fn new() -> Tally {
        Tally { latency: Latency::new(), codes: [0; 16], empty: 0, lost: 0 }
    }

    pub fn merge(&mut self, other: &Tally) {
        self.latency.merge(&other.latency);
        self.codes.iter_mut().zip(other.codes).for_each(|(mine, theirs)| *mine += theirs);
        self.empty += other.empty;
        self.lost += other.lost;
    }

    /// How many answers had each response code that came.
    pub fn codes(&self) -> BTreeMap<usize, u64> {
        self.codes.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
    }
}

/// What was asked and is not answered yet, by id.
pub struct Asked<'a> {
    questions: &'a [Vec<u8>],
    serial: usize,
    since: Box<[Option<Instant>]>,
    pub waiting: usize,
}

impl<'a> Asked<'a> {
    pub fn new(questions: &'a [Vec<u8>], first: usize) -> Asked<'a> {
        Asked { questions, serial: first, since: vec![None; 1 << 16].into(), waiting: 0 }
    }

    /// Writes the next query into `room`, which has QUESTION_BYTES, and returns its length. `now`: when it is said to be asked.
    pub fn next(&mut self, room: &mut [u8], now: Instant) -> usize {
        let packet = &self.questions[self.serial % self.questions.len()];
        debug_assert!(room.len() >= QUESTION_BYTES);
        room[..packet.len()].copy_from_slice(packet);
        room[..2].copy_from_slice(&(self.serial as u16).to_be_bytes());
        // One that is asked again under the same id was lost, and has been counted as waiting.
        if self.since[usize::from(self.serial as u16)].replace(now).is_none() {
            self.waiting += 1;
        }
        self.serial = self.serial.wrapping_add(1);
        packet.len()
    }

    /// Counts an answer; false: nobody waits for it.
    pub fn hear(&mut self, answer: &[u8], now: Instant, tally: &mut Tally) -> bool {
        let Some(head) = answer.first_chunk::<12>() else { return false };
        let id = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let Some(since) = self.since[id].take() else { return false };
        tally.codes[usize::from(head[3] & 0xf)] += 1;
        tally.empty += u64::from(head[6..8] == [0, 0]);
        tally.latency.add(now.saturating_duration_since(since));
        self.waiting -= 1;
        true
    }

    /// Nobody waits any more.
    pub fn forget(&mut self, tally: &mut Tally) {
        tally.lost += self.waiting as u64;
        self.waiting = 0;
        self.since.fill(None);
    }
}
