//! The body of a response on its way to a client.

use super::buffered::Buffered;
use super::encoded::{Encoded, Encoder, Pieces};
use super::pace::Pace;
use crate::filter::Slot;
use crate::record::request::Record;
use crate::timer::Timer;
use crate::upstream::health::{ClusterRequests, Counted, Requests};
use crate::upstream::pool::{Key, Pool, Pooled};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use wire::proxy::KeepAlive;

pub struct ResponseBody {
    source: Source,
    pub pace: Option<Box<Pace>>,
    /// Tells of the request when the response is over, however it ended.
    pub record: Option<Box<Record>>,
}

enum Source {
    Whole(Option<Bytes>),
    Backend(Box<FromBackend>),
    Buffered(Box<Buffered>),
    Encoded(Box<Encoded<Source>>),
}

pub struct FromBackend {
    inner: Incoming,
    within: Duration,
    timer: Timer,
    lease: Option<Lease>,
    _under_way: UnderWay,
}

/// A request under way at an endpoint.
pub struct UnderWay {
    pub _endpoint: Counted<Requests>,
    pub _cluster: Counted<ClusterRequests>,
    pub _slot: Option<Rc<Slot>>,
}

/// A connection that goes back to its pool when the response is whole.
pub struct Lease {
    pub pool: Rc<Pool>,
    pub key: Key,
    pub connection: Pooled,
    pub rule: KeepAlive,
}

impl ResponseBody {
    pub fn whole(bytes: impl Into<Bytes>) -> ResponseBody {
        let bytes = bytes.into();
        ResponseBody { source: Source::Whole((!bytes.is_empty()).then_some(bytes)), pace: None, record: None }
    }

    /// `within`: between two pieces.
    pub fn of(inner: Incoming, within: Duration, lease: Option<Lease>, under_way: UnderWay) -> ResponseBody {
        let backend = FromBackend { inner, within, timer: Timer::default(), lease, _under_way: under_way };
        ResponseBody { source: Source::Backend(Box::new(backend)), pace: None, record: None }
    }

    /// It is taken from its backend up to so many octets ahead of the client.
    pub fn buffer(&mut self, most: usize) {
        match std::mem::replace(&mut self.source, Source::Whole(None)) {
            Source::Backend(backend) if !backend.is_over() => {
                self.source = Source::Buffered(Box::new(Buffered::new(backend, most)));
            }
            source => self.source = source,
        }
    }

    pub fn encode(&mut self, encoder: Encoder) {
        let source = std::mem::replace(&mut self.source, Source::Whole(None));
        self.source = Source::Encoded(Box::new(Encoded::new(source, encoder)));
    }

    /// In octets; None: nobody knows yet.
    pub fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(record) = &mut this.record {
            record.wait(false);
        }
        let polled = match &mut this.pace {
            None => this.source.poll(cx),
            Some(pace) => paced(pace, &mut this.source, cx),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(record)) = (&polled, &mut this.record) {
            record.gave(frame.data_ref().map_or(0, Bytes::len));
            record.wait(true);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over() && self.pace.as_ref().is_none_or(|pace| pace.holds() == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Backend(backend) => backend.size_hint(),
            Source::Buffered(buffered) => buffered.size_hint(),
            Source::Encoded(_) => SizeHint::default(),
        }
    }
}

impl Pieces for Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self {
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Backend(backend) => backend.poll(cx),
            Source::Buffered(buffered) => buffered.poll(cx),
            Source::Encoded(encoded) => encoded.poll(cx),
        }
    }
}

impl Source {
    fn is_over(&self) -> bool {
        match self {
            Source::Whole(bytes) => bytes.is_none(),
            Source::Backend(backend) => backend.is_over(),
            Source::Buffered(buffered) => buffered.is_over(),
            Source::Encoded(encoded) => encoded.is_over(),
        }
    }
}

fn paced(pace: &mut Pace, source: &mut Source, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
    while pace.holds() == 0 {
        match std::task::ready!(source.poll(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => pace.hold(data),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            end => return Poll::Ready(end),
        }
    }
    pace.poll(cx).map(|piece| Some(Ok(Frame::data(piece))))
}

impl FromBackend {
    pub fn is_over(&self) -> bool {
        self.inner.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let inner = &mut self.inner;
        let polled = match self.lease.as_mut().and_then(|lease| lease.connection.drive.as_mut()) {
            None => Pin::new(inner).poll_frame(cx),
            Some(drive) => drive.until(cx, |cx| Pin::new(&mut *inner).poll_frame(cx)),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.timer.stop();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.lease = None;
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.timer.start(self.within);
                if self.timer.poll(cx).is_ready() {
                    self.lease = None;
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
                Poll::Pending
            }
        }
    }

    fn give_back(&mut self) {
        if let Some(Lease { pool, key, connection, rule }) = self.lease.take() {
            pool.put(key, connection, &rule);
        }
    }
}

impl Drop for FromBackend {
    /// A body that is known to be over is not asked for its end.
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.give_back();
        }
    }
}
