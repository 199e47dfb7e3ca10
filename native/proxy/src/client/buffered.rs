//! The body of a response that is taken from its backend as fast as that sends it, so far ahead of the client as allowed.

use super::response::FromBackend;
use hyper::body::{Bytes, Frame, SizeHint};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};

pub struct Buffered {
    held: Rc<Held>,
    left: Option<u64>,
    taking: AbortHandle,
}

#[derive(Default)]
struct Held {
    queue: RefCell<Queue>,
    room: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<io::Result<Frame<Bytes>>>,
    octets: usize,
    over: bool,
    reader: Option<Waker>,
}

impl Buffered {
    pub fn new(source: Box<FromBackend>, most: usize) -> Buffered {
        let held = Rc::new(Held::default());
        let left = source.size_hint().exact();
        let taking = spawn_local(take(source, held.clone(), most)).abort_handle();
        Buffered { held, left, taking }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut queue = self.held.queue.borrow_mut();
        let Some(frame) = queue.frames.pop_front() else {
            if queue.over {
                return Poll::Ready(None);
            }
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let octets = octets(&frame);
        queue.octets -= octets;
        self.left = self.left.map(|left| left.saturating_sub(octets as u64));
        self.held.room.notify_one();
        Poll::Ready(Some(frame))
    }

    pub fn is_over(&self) -> bool {
        let queue = self.held.queue.borrow();
        queue.over && queue.frames.is_empty()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Buffered {
    /// A client that has gone wants no more of it.
    fn drop(&mut self) {
        self.taking.abort();
    }
}

async fn take(mut source: Box<FromBackend>, held: Rc<Held>, most: usize) {
    loop {
        let frame = match source.is_over() {
            true => None,
            false => poll_fn(|cx| source.poll(cx)).await,
        };
        let last = !matches!(frame, Some(Ok(_)));
        let reader = {
            let mut queue = held.queue.borrow_mut();
            queue.octets += frame.as_ref().map_or(0, octets);
            queue.frames.extend(frame);
            queue.over = last;
            queue.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        if last {
            return;
        }
        while held.queue.borrow().octets >= most {
            held.room.notified().await;
        }
    }
}

fn octets(frame: &io::Result<Frame<Bytes>>) -> usize {
    frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}
