use super::question::QUESTION_BYTES;
use super::tally::{Asked, Tally};
use super::{ANSWER_BYTES, BATCH, PATIENCE, Share};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;
use sys::batch::Batch;

/// Each answer makes place for the next query. What is not answered in time is lost, and its place is taken by the next.
pub fn drive(share: &Share) -> io::Result<Tally> {
    let socket = open(share.to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut batch = Batch::new(BATCH, ANSWER_BYTES, QUESTION_BYTES, false);
    let (mut tally, mut asked) = (Tally::new(), Asked::new(share.questions, share.first));
    let mut room = [0; QUESTION_BYTES];
    loop {
        let mut now = Instant::now();
        let over = now >= share.end;
        while asked.waiting < share.outstanding && !over {
            let length = asked.next(&mut room, now);
            let _ = socket.send(&room[..length]); // A full buffer: lost, as its answer will show.
            now = Instant::now();
        }
        if over && asked.waiting == 0 {
            return Ok(tally);
        }
        let count = match batch.receive(&socket) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                asked.forget(&mut tally);
                continue;
            }
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        for index in 0..count {
            let (answer, _, room) = batch.exchange(index);
            if asked.hear(answer, now, &mut tally) && !over {
                let length = asked.next(room, now);
                batch.answer(index, length);
            }
        }
        batch.send(&socket, count);
    }
}

pub fn open(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;
    Ok(socket)
}
