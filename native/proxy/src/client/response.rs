//! The body of a response on its way to a client.

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
    /// Tells of the request when the response is over, however it ended.
    pub record: Option<Box<Record>>,
}

enum Source {
    Whole(Option<Bytes>),
    Backend(Box<FromBackend>),
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
        ResponseBody { source: Source::Whole((!bytes.is_empty()).then_some(bytes)), record: None }
    }

    /// `within`: between two pieces.
    pub fn of(inner: Incoming, within: Duration, lease: Option<Lease>, under_way: UnderWay) -> ResponseBody {
        let backend = FromBackend { inner, within, timer: Timer::default(), lease, _under_way: under_way };
        ResponseBody { source: Source::Backend(Box::new(backend)), record: None }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Backend(backend) => backend.poll(cx),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(record)) = (&polled, &mut this.record) {
            record.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_none(),
            Source::Backend(backend) => backend.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Backend(backend) => backend.inner.size_hint(),
        }
    }
}

impl FromBackend {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
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
