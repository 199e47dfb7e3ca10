//! Small writes wait until all that is ready has had its turn, and go then, one right after the other: a peer is woken once for
//! many of them, which is what a small request costs most (try_to_wake_up, of each write to a socket whose reader sleeps).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::spawn_local;
use tokio::time::timeout;

/// A TCP connection of a thread that has a `LocalSet`. What is flushed is written soon; whether that failed, the next call says.
pub struct Later {
    reading: OwnedReadHalf,
    writing: Arc<Mutex<Writing>>,
}

struct Writing {
    to: OwnedWriteHalf,
    held: Vec<u8>,
    state: State,
    /// Waits for `held` to be written.
    waiting: Option<Waker>,
}

enum State {
    /// Nothing is held.
    Free,
    /// At the end of the turn.
    Due,
    /// The peer takes no more for now: a task of its own writes when it does.
    Stuck,
    Failed(ErrorKind),
}

/// Those of this thread.
#[derive(Default)]
struct Due {
    connections: RefCell<Vec<Arc<Mutex<Writing>>>>,
    writer: Cell<Option<Waker>>,
    /// There is a task that writes.
    runs: Cell<bool>,
}

thread_local! {
    static DUE: Due = Due::default();
}

/// Writes what is due, now.
pub fn write_due() {
    DUE.with(|due| {
        for connection in due.connections.take() {
            let mut writing = lock(&connection);
            if matches!(writing.state, State::Due) && writing.write(None).is_pending() {
                writing.state = State::Stuck;
                drop(writing);
                spawn_local(finish(connection));
            }
        }
    });
}

/// To the end of its `LocalSet`.
async fn write_each_turn() {
    struct Runs;
    impl Drop for Runs {
        fn drop(&mut self) {
            // The thread itself may be ending.
            let _ = DUE.try_with(|due| due.runs.set(false));
        }
    }
    let _runs = Runs;
    poll_fn(|cx| {
        write_due();
        DUE.with(|due| due.writer.set(Some(cx.waker().clone())));
        Poll::Pending
    })
    .await
}

async fn finish(connection: Arc<Mutex<Writing>>) {
    let written = timeout(PATIENCE, poll_fn(|cx| lock(&connection).write(Some(cx)))).await;
    if written.is_err() {
        lock(&connection).end(Err(ErrorKind::TimedOut));
    }
}

fn lock(writing: &Mutex<Writing>) -> MutexGuard<'_, Writing> {
    writing.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writing {
    /// What is held. Pending: some of it is left; with a context, its task is woken when there is room.
    fn write(&mut self, mut cx: Option<&mut Context<'_>>) -> Poll<()> {
        while !self.held.is_empty() {
            let written = match &mut cx {
                Some(cx) => ready!(Pin::new(&mut self.to).poll_write(cx, &self.held)),
                None => match self.to.try_write(&self.held) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                    written => written,
                },
            };
            match written {
                Ok(count) => drop(self.held.drain(..count)),
                Err(error) => {
                    self.end(Err(error.kind()));
                    return Poll::Ready(());
                }
            }
        }
        self.end(Ok(()));
        Poll::Ready(())
    }

    fn end(&mut self, written: Result<(), ErrorKind>) {
        self.held = Vec::new(); // many connections have nothing to say for long
        self.state = written.map_or_else(State::Failed, |()| State::Free);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Until nothing is held, so that more can be written.
    fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Due) {
            // What it does not take now is tried again at the end of the turn.
            let _ = self.write(None);
        }
        match self.state {
            State::Free => Poll::Ready(Ok(())),
            State::Failed(kind) => Poll::Ready(Err(kind.into())),
            State::Due | State::Stuck => {
                self.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Later {
    pub fn new(stream: TcpStream) -> Later {
        let (reading, to) = stream.into_split();
        let writing = Writing { to, held: Vec::new(), state: State::Free, waiting: None };
        Later { reading, writing: Arc::new(Mutex::new(writing)) }
    }
}

impl AsyncRead for Later {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reading).poll_read(cx, out)
    }
}

impl AsyncWrite for Later {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut writing = lock(&self.writing);
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        let small = writing.held.len() + octets <= HELD_BYTES;
        if !(small && matches!(writing.state, State::Due)) {
            ready!(writing.poll_free(cx))?;
            if !small {
                return Pin::new(&mut writing.to).poll_write_vectored(cx, parts);
            }
            writing.state = State::Due;
            DUE.with(|due| {
                due.connections.borrow_mut().push(self.writing.clone());
                match due.writer.take() {
                    Some(writer) => writer.wake(),
                    None if due.runs.replace(true) => {} // it is awake
                    None => drop(spawn_local(write_each_turn())),
                }
            });
        }
        parts.iter().for_each(|part| writing.held.extend_from_slice(part));
        Poll::Ready(Ok(octets))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut writing = lock(&self.writing);
        ready!(writing.poll_free(cx))?;
        Pin::new(&mut writing.to).poll_shutdown(cx)
    }
}

/// Of one connection.
const HELD_BYTES: usize = 4 << 10;
/// With who takes nothing.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::{HELD_BYTES, Later};
    use std::future::Future;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::task::{LocalSet, spawn_local, yield_now};

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, future)
    }

    /// One of ours, and its peer, whose buffers are small.
    async fn pair() -> (Later, TcpStream) {
        let listening = TcpSocket::new_v4().expect("a socket");
        listening.set_recv_buffer_size(4 << 10).expect("a small buffer");
        listening.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener: TcpListener = listening.listen(1).expect("it listens");
        let ours = TcpSocket::new_v4().expect("a socket");
        ours.set_send_buffer_size(4 << 10).expect("a small buffer");
        let ours = ours.connect(listener.local_addr().expect("it is bound")).await.expect("it connects");
        (Later::new(ours), listener.accept().await.expect("it is accepted").0)
    }

    /// So many octets, each of which says where it stands.
    fn octets(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn a_small_write_goes_though_others_always_have_something_to_do() {
        run(async {
            let (mut ours, mut peer) = pair().await;
            let busy = spawn_local(async {
                loop {
                    yield_now().await;
                }
            });
            for at in 0..20 {
                ours.write_all(&octets(at, 1)).await.expect("it is written");
                let mut read = [0];
                peer.read_exact(&mut read).await.expect("it arrives");
                assert_eq!(read[..], octets(at, 1));
            }
            busy.abort();
        });
    }

    #[test]
    fn what_a_slow_peer_is_sent_arrives_whole_and_in_order() {
        run(async {
            let (mut ours, mut peer) = pair().await;
            let writing = spawn_local(async move {
                let mut at = 0;
                for size in [1, 100, HELD_BYTES, HELD_BYTES + 1, 3, 300_000, 1, 1, 70_000, HELD_BYTES - 1, 2].repeat(5)
                {
                    ours.write_all(&octets(at, size)).await.expect("it is written");
                    at += size;
                }
                ours.shutdown().await.expect("it ends");
                at
            });
            let mut all = Vec::new();
            let mut piece = [0; 1500];
            loop {
                let count = peer.read(&mut piece).await.expect("it can be read");
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&piece[..count]);
                yield_now().await;
            }
            let count = writing.await.expect("it is written");
            assert!(all == octets(0, count), "{} of {count} octets", all.len());
        });
    }

    #[test]
    fn what_is_written_to_one_who_takes_nothing_waits_and_then_goes() {
        run(async {
            let (mut ours, mut peer) = pair().await;
            let mut sent = 0;
            // Small writes until there is no room even for them.
            let full = async {
                loop {
                    ours.write_all(&octets(sent, 1000)).await.expect("it is written");
                    sent += 1000;
                    yield_now().await;
                }
            };
            let waits = tokio::time::timeout(std::time::Duration::from_secs(1), full).await;
            assert!(waits.is_err(), "there is an end to what is held");
            // What was dropped there had not been taken.
            let mut read = vec![0; sent];
            peer.read_exact(&mut read).await.expect("it arrives");
            assert!(read == octets(0, sent));
            ours.write_all(b"more").await.expect("there is room again");
            let mut read = [0; 4];
            peer.read_exact(&mut read).await.expect("it arrives");
            assert_eq!(&read, b"more");
        });
    }

    #[test]
    fn one_whose_peer_has_gone_says_so() {
        run(async {
            let (mut ours, peer) = pair().await;
            drop(peer);
            let failed = async {
                while ours.write_all(b"x").await.is_ok() {
                    yield_now().await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(60), failed).await.expect("it fails");
        });
    }

    #[test]
    fn what_was_written_before_the_end_arrives() {
        run(async {
            let (mut ours, mut peer) = pair().await;
            ours.write_all(b"last words").await.expect("it is written");
            drop(ours);
            let mut read = String::new();
            peer.read_to_string(&mut read).await.expect("it ends");
            assert_eq!(read, "last words");
        });
    }
}
