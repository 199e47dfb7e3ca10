use super::question::QUESTION_BYTES;
use super::tally::{Asked, Tally};
use super::{PATIENCE, Share};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

/// A connection, and what is there of an answer.
struct Stream {
    socket: TcpStream,
    received: Vec<u8>,
}

/// Pipelined over connections that stay (RFC 7766): on each, every answer makes place for the next query.
pub fn drive(share: &Share) -> io::Result<Tally> {
    let mut streams = (0..CONNECTIONS.min(share.outstanding)).map(|_| open(share)).collect::<io::Result<Vec<_>>>()?;
    let (mut tally, mut asked) = (Tally::new(), Asked::new(share.questions, share.first));
    let each = share.outstanding.div_ceil(streams.len());
    for stream in &mut streams {
        stream.ask(&mut asked, each)?;
    }
    while asked.waiting > 0 {
        let mut polled: Vec<PollFd> =
            streams.iter().map(|stream| PollFd::new(stream.socket.as_fd(), PollFlags::POLLIN)).collect();
        let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::NONE);
        if poll(&mut polled, patience)? == 0 {
            asked.forget(&mut tally);
            break;
        }
        let ready: Vec<bool> = polled.iter().map(|it| it.any().unwrap_or(false)).collect();
        for (stream, _) in streams.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let heard = stream.hear(&mut asked, &mut tally)?;
            if Instant::now() < share.end {
                stream.ask(&mut asked, heard)?;
            }
        }
    }
    Ok(tally)
}

fn open(share: &Share) -> io::Result<Stream> {
    let socket = TcpStream::connect_timeout(&share.to, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Stream { socket, received: Vec::new() })
}

impl Stream {
    fn ask(&mut self, asked: &mut Asked, count: usize) -> io::Result<()> {
        let mut octets = Vec::with_capacity(count * 64);
        let mut room = [0; QUESTION_BYTES];
        for _ in 0..count {
            let length = asked.next(&mut room, Instant::now());
            octets.extend((length as u16).to_be_bytes());
            octets.extend(&room[..length]);
        }
        self.socket.write_all(&octets)
    }

    /// What has come; returns the number of answers.
    fn hear(&mut self, asked: &mut Asked, tally: &mut Tally) -> io::Result<usize> {
        let mut buffer = [0; 1 << 16];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection")),
            Ok(length) => self.received.extend(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(error),
        }
        let (mut at, mut heard, now) = (0, 0, Instant::now());
        while let Some((length, rest)) = self.received[at..].split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(answer) = rest.get(..length) else { break };
            heard += usize::from(asked.hear(answer, now, tally));
            at += 2 + length;
        }
        self.received.drain(..at);
        Ok(heard)
    }
}

const CONNECTIONS: usize = 8;
