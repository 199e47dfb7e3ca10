//! Stands between a client's connection and hyper, which is more lenient than a proxy may be: a head reaches hyper when it
//! is whole and strictly read, a body as far as its framing says. In place of a head that is refused, hyper gets one that
//! `refused` tells of, so that the answer has its turn behind those to earlier requests.

use super::chunk::{ChunkReader, Chunks};
use super::exchanges::Exchanges;
use super::head::{Framing, Head, HeadReader, Limits};
use super::transport::Transport;
use crate::timer::Timer;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Guard {
    io: Transport,
    buffer: Vec<u8>,
    /// What is in the buffer.
    start: usize,
    end: usize,
    stage: Stage,
    rules: Rules,
    exchanges: Arc<Exchanges>,
    reading: Timer,
    writing: Timer,
    /// Octets thrown away after the last response.
    discarded: usize,
    closing: bool,
}

#[derive(Clone, Copy)]
pub struct Rules {
    pub limits: Limits,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    /// Between two writes of which the client takes something.
    pub send_timeout: Duration,
}

enum Stage {
    Head(HeadReader),
    /// So many octets of the buffer are for hyper.
    Give(usize, Next),
    Length(u64),
    Chunked(ChunkReader),
    /// How much of `REFUSED` hyper has.
    Refused(usize),
}

enum Next {
    Head,
    Body(Framing),
    Chunks(ChunkReader),
}

impl Guard {
    /// `read`: what was read of the connection already.
    pub fn new(io: Transport, read: &[u8], rules: Rules, exchanges: Arc<Exchanges>) -> Guard {
        let mut buffer = vec![0; BUFFER_BYTES.max(read.len())];
        buffer[..read.len()].copy_from_slice(read);
        Guard {
            io,
            buffer,
            start: 0,
            end: read.len(),
            stage: Stage::Head(HeadReader::default()),
            rules,
            exchanges,
            reading: Timer::default(),
            writing: Timer::default(),
            discarded: 0,
            closing: false,
        }
    }

    /// The connection, and what was read of it and not given.
    pub fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.io, self.buffer[self.start..self.end].to_vec())
    }

    /// Ready(true): there is more in the buffer. Ready(false): the client has ended.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.buffer.resize((self.buffer.len() * 2).min(self.rules.limits.octets + BUFFER_BYTES), 0);
            }
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count > 0))
    }

    /// Goes on to the next stage, or waits; Ready: there is something to give, or (false) nothing any more.
    fn head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let Stage::Head(reader) = &mut self.stage else { return Poll::Ready(Ok(true)) };
            if self.end > self.start {
                match reader.read(&self.buffer[self.start..self.end], self.rules.limits) {
                    Head::Part => {}
                    Head::Whole(octets, framing) => {
                        self.exchanges.begin();
                        self.reading.stop();
                        self.stage = Stage::Give(octets, Next::Body(framing));
                        return Poll::Ready(Ok(true));
                    }
                    Head::Bad(status) => {
                        self.refuse(status);
                        return Poll::Ready(Ok(true));
                    }
                }
            }
            let begins = self.start == self.end;
            match self.fill(cx) {
                Poll::Ready(Ok(true)) if begins => self.reading.stop(),
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.wait(cx),
            }
        }
    }

    /// For a head, or the rest of it.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.end > self.start {
            self.reading.start(self.rules.head_timeout);
            ready!(self.reading.poll(cx));
            self.refuse(408);
            return Poll::Ready(Ok(true));
        }
        loop {
            self.reading.start(self.rules.idle_timeout);
            ready!(self.reading.poll(cx));
            // A response may have been under way for a part of the time.
            match self.exchanges.idle_since() {
                Some(since) if since.elapsed() >= self.rules.idle_timeout => return Poll::Ready(Ok(false)),
                Some(since) => self.reading.set(Some(since + self.rules.idle_timeout)),
                None => self.reading.stop(),
            }
        }
    }

    fn refuse(&mut self, status: u16) {
        self.exchanges.refuse(status);
        self.reading.stop();
        self.stage = Stage::Refused(0);
    }

    fn give(&mut self, out: &mut ReadBufCursor<'_>, most: usize) -> usize {
        let count = most.min(self.end - self.start).min(out.remaining());
        out.put_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        count
    }
}

impl Read for Guard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.stage {
                Stage::Head(_) => {
                    if !ready!(this.head(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Stage::Give(0, next) => {
                    this.stage = match std::mem::replace(next, Next::Head) {
                        Next::Head | Next::Body(Framing::Length(0)) => Stage::Head(HeadReader::default()),
                        Next::Body(Framing::Length(length)) => Stage::Length(length),
                        Next::Body(Framing::Chunked) => Stage::Chunked(ChunkReader::new()),
                        Next::Chunks(reader) => Stage::Chunked(reader),
                    };
                }
                Stage::Give(left, _) => {
                    let most = *left;
                    let count = this.give(&mut out, most);
                    if let Stage::Give(left, _) = &mut this.stage {
                        *left -= count;
                    }
                    return Poll::Ready(Ok(()));
                }
                Stage::Length(left) => {
                    let most = *left;
                    if this.start == this.end && !ready!(this.fill(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                    let count = this.give(&mut out, usize::try_from(most).unwrap_or(usize::MAX)) as u64;
                    this.stage = match most - count {
                        0 => Stage::Head(HeadReader::default()),
                        left => Stage::Length(left),
                    };
                    return Poll::Ready(Ok(()));
                }
                Stage::Chunked(_) => {
                    if this.start == this.end && !ready!(this.fill(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                    let held = this.end - this.start;
                    let Stage::Chunked(reader) = &mut this.stage else { continue };
                    this.stage = match reader.read(&this.buffer[this.start..this.end]) {
                        Chunks::Go => Stage::Give(held, Next::Chunks(std::mem::replace(reader, ChunkReader::new()))),
                        Chunks::End(octets) => Stage::Give(octets, Next::Head),
                        Chunks::Bad => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                    };
                }
                Stage::Refused(given) => {
                    let rest = &REFUSED[*given..];
                    if rest.is_empty() {
                        return Poll::Pending; // the connection ends with the answer
                    }
                    let count = rest.len().min(out.remaining());
                    out.put_slice(&rest[..count]);
                    *given += count;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Guard {
    /// A client that takes nothing for so long is gone, or wants to hold what it keeps busy.
    fn stalled<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing.stop();
            return polled;
        }
        self.writing.start(self.rules.send_timeout);
        match self.writing.poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads on for a while: a connection that is closed with something unread is reset, and what was answered is lost with
    /// it (RFC 9112 9.6).
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.reading.start(LINGER);
        let mut octets = [0; 8192];
        while self.discarded < LINGER_MAX_BYTES {
            let mut room = ReadBuf::new(&mut octets);
            match Pin::new(&mut self.io).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => self.discarded += room.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.reading.poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl Write for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, octets);
        this.stalled(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.stalled(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(cx);
        this.stalled(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            let polled = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.stalled(cx, polled))?;
            this.closing = true;
            this.reading.stop();
        }
        if matches!(this.stage, Stage::Head(_)) && this.start == this.end {
            return Poll::Ready(Ok(())); // nothing is on its way
        }
        ready!(this.linger(cx));
        Poll::Ready(Ok(()))
    }
}

const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
const BUFFER_BYTES: usize = 8 << 10;
const LINGER: Duration = Duration::from_secs(2);
const LINGER_MAX_BYTES: usize = 4 << 20;
