use super::datagrams::open;
use super::question::QUESTION_BYTES;
use super::tally::{Asked, Tally};
use super::{ANSWER_BYTES, BATCH, PATIENCE, Share};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};
use sys::batch::Batch;

/// `rate` queries a second, evenly, whatever becomes of the earlier ones. An answer's time counts from when its query was
/// due, so that nobody profits from a stall (coordinated omission). Does not sleep: a timer is as late as an answer takes.
pub fn drive(share: &Share, rate: f64) -> io::Result<Tally> {
    let socket = open(share.to)?;
    socket.set_nonblocking(true)?;
    let mut batch = Batch::new(BATCH, ANSWER_BYTES, QUESTION_BYTES, false);
    let (mut tally, mut asked) = (Tally::new(), Asked::new(share.questions, share.first));
    let (begun, mut sent) = (Instant::now(), 0u64);
    let mut room = [0; QUESTION_BYTES];
    loop {
        let now = Instant::now();
        let due = begun + Duration::from_secs_f64(sent as f64 / rate);
        if now >= due && due < share.end {
            let length = asked.next(&mut room, due);
            let _ = socket.send(&room[..length]);
            sent += 1;
            continue;
        }
        if now >= share.end && (asked.waiting == 0 || now >= share.end + PATIENCE) {
            asked.forget(&mut tally);
            return Ok(tally);
        }
        match batch.receive(&socket) {
            Ok(count) => {
                let now = Instant::now();
                for index in 0..count {
                    asked.hear(batch.exchange(index).0, now, &mut tally);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
}
