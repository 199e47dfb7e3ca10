//! The body of a request on its way to a backend: as fast as the backend takes it, and no longer than allowed.

use crate::timer::Timer;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub enum RequestBody {
    Empty,
    /// All of it is here.
    Whole(Option<Bytes>),
    Streamed(Box<Streamed>),
}

pub struct Streamed {
    /// What was taken before a backend was chosen.
    before: VecDeque<Bytes>,
    inner: Incoming,
    left: u64,
    within: Duration,
    timer: Timer,
    progress: Rc<Progress>,
    /// Gets a copy of what goes by.
    pub tee: Option<Tee>,
}

/// A copy of a body, for who waits for the whole of it; there is none if it is too long, or does not come to its end.
pub struct Tee {
    pieces: Vec<Bytes>,
    octets: usize,
    whole: oneshot::Sender<Bytes>,
}

/// How far the body is: shared with who waits for the response.
pub struct Progress {
    pub taken: Cell<u64>,
    /// Who is waited for.
    pub waits: Cell<Waits>,
    /// Since when.
    pub since: Cell<Instant>,
    /// Why the body came to an end before its end.
    pub failure: Cell<Option<StatusCode>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// For the backend to take the next piece.
    ToSend,
    /// For the client to send it.
    ForClient,
    /// There is no more.
    Done,
}

/// The body ended before its end; `Progress::failure` says why.
#[derive(Debug)]
pub struct Cut;

impl Progress {
    /// Of a body that is here, or none.
    pub fn over() -> Progress {
        Progress {
            taken: Cell::new(0),
            waits: Cell::new(Waits::Done),
            since: Cell::new(Instant::now()),
            failure: Cell::new(None),
        }
    }
}

impl RequestBody {
    /// `most`: octets. `within`: between two pieces.
    pub fn of(inner: Incoming, most: u64, within: Duration) -> (RequestBody, Rc<Progress>) {
        let progress = Rc::new(Progress::over());
        if inner.is_end_stream() {
            return (RequestBody::Empty, progress);
        }
        progress.waits.set(Waits::ToSend);
        let streamed = Streamed {
            before: VecDeque::new(),
            inner,
            left: most,
            within,
            timer: Timer::default(),
            progress: progress.clone(),
            tee: None,
        };
        (RequestBody::Streamed(Box::new(streamed)), progress)
    }

    /// Takes what the client sends, so that it can be sent twice; a body that is longer than `most` stays one that cannot.
    pub async fn buffer(self, most: usize) -> Result<RequestBody, Cut> {
        let RequestBody::Streamed(mut streamed) = self else { return Ok(self) };
        let mut taken = Vec::new();
        let mut octets = 0;
        while octets <= most {
            match poll_fn(|cx| streamed.poll(cx)).await {
                None => {
                    let taken: Vec<Bytes> = taken;
                    return Ok(RequestBody::Whole(Some(Bytes::from(taken.concat()))));
                }
                Some(frame) => {
                    let Ok(piece) = frame?.into_data() else { continue };
                    octets += piece.len();
                    taken.push(piece);
                }
            }
        }
        streamed.before = taken.into();
        streamed.progress.waits.set(Waits::ToSend);
        Ok(RequestBody::Streamed(streamed))
    }

    /// The same once more, if it can be had.
    pub fn again(&self) -> Option<RequestBody> {
        match self {
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Whole(bytes) => Some(RequestBody::Whole(bytes.clone())),
            RequestBody::Streamed(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            RequestBody::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(bytes) => bytes.is_none(),
            RequestBody::Streamed(streamed) => streamed.before.is_empty() && streamed.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            RequestBody::Streamed(streamed) => {
                let before = streamed.before.iter().map(Bytes::len).sum::<usize>() as u64;
                match streamed.inner.size_hint().exact() {
                    Some(length) => SizeHint::with_exact(before + length),
                    None => SizeHint::default(),
                }
            }
        }
    }
}

impl Tee {
    const MAX_BYTES: usize = 1 << 20;

    pub fn new() -> (Tee, oneshot::Receiver<Bytes>) {
        let (whole, received) = oneshot::channel();
        (Tee { pieces: Vec::new(), octets: 0, whole }, received)
    }

    /// None: it is too long.
    fn take(mut self, piece: &Bytes) -> Option<Tee> {
        self.octets += piece.len();
        self.pieces.push(piece.clone());
        (self.octets <= Tee::MAX_BYTES).then_some(self)
    }

    fn end(self) {
        let _ = self.whole.send(Bytes::from(self.pieces.concat()));
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = self.piece(cx);
        let Poll::Ready(ready) = &polled else { return polled };
        let Some(tee) = self.tee.take() else { return polled };
        let tee = match ready {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) => tee.take(piece),
                None => Some(tee),
            },
            Some(Err(_)) => None,
            None => {
                return {
                    tee.end();
                    polled
                };
            }
        };
        // A body that is known to be over is not asked for its end.
        match tee {
            Some(tee) if self.before.is_empty() && self.inner.is_end_stream() => tee.end(),
            tee => self.tee = tee,
        }
        polled
    }

    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(piece) = self.before.pop_front() {
            self.progress.since.set(Instant::now());
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            self.progress.waits.set(Waits::ForClient);
            self.timer.start(self.within);
            return match self.timer.poll(cx) {
                Poll::Ready(()) => self.cut(StatusCode::REQUEST_TIMEOUT),
                Poll::Pending => Poll::Pending,
            };
        };
        self.timer.stop();
        self.progress.since.set(Instant::now());
        let Some(frame) = frame else {
            self.progress.waits.set(Waits::Done);
            return Poll::Ready(None);
        };
        let Ok(frame) = frame else { return self.cut(StatusCode::BAD_REQUEST) };
        let octets = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.progress.taken.set(self.progress.taken.get() + octets);
        let Some(left) = self.left.checked_sub(octets) else { return self.cut(StatusCode::PAYLOAD_TOO_LARGE) };
        self.left = left;
        self.progress.waits.set(if self.inner.is_end_stream() { Waits::Done } else { Waits::ToSend });
        Poll::Ready(Some(Ok(frame)))
    }

    fn cut(&self, status: StatusCode) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.progress.waits.set(Waits::Done);
        self.progress.failure.set(Some(status));
        Poll::Ready(Some(Err(Cut)))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the request's body ended before its end")
    }
}

impl std::error::Error for Cut {}
