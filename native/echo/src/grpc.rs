//! grpc.health.v1.Health as far as a probe needs it: always SERVING.

use hyper::body::{Body, Bytes, Frame};
use hyper::header::{HeaderMap, HeaderValue};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body: data, then perhaps a wait, then perhaps trailers.
pub struct Answer {
    data: Option<Bytes>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn page(text: String) -> Answer {
        Answer { data: Some(Bytes::from(text)), wait: None, trailers: None }
    }

    /// One message SERVING; with `until`, the stream stays open until it resolves.
    pub fn serving(until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> Answer {
        let status = if until.is_some() { UNAVAILABLE } else { OK };
        Answer { data: Some(Bytes::from_static(SERVING)), wait: until, trailers: Some(status_trailers(status)) }
    }

    pub fn unimplemented() -> Answer {
        Answer { data: None, wait: None, trailers: Some(status_trailers(UNIMPLEMENTED)) }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.wait.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (&self.data, &self.trailers) {
            (data, None) => hyper::body::SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            _ => hyper::body::SizeHint::default(),
        }
    }
}

fn status_trailers(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(hyper::header::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))])
}

/// Length-prefixed message (not compressed, 2 bytes): HealthCheckResponse { status: SERVING = 1 }.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

// google.rpc.Code
const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";
const UNAVAILABLE: &str = "14";
