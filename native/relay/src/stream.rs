//! TCP: a connection for a connection.

use crate::relay::Places;
use socket2::{SockRef, TcpKeepalive};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Each connection holds one place; when all are taken, clients wait in the backlog.
pub async fn accept(listener: TcpListener, to: watch::Receiver<Places>, places: Arc<Semaphore>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener inside a runtime");
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY).await; // out of files or memory, or the client is gone: none of it ends the relay
            continue;
        };
        let place = places.clone().acquire_owned().await.expect("the places are never closed");
        let (to, first) = (to.borrow().clone(), turn.fetch_add(1, Ordering::Relaxed));
        tokio::spawn(async move {
            carry(stream, &to, first).await;
            drop(place);
        });
    }
}

/// To the first that takes it; a client for whom there is nobody is let go.
async fn carry(mut near: TcpStream, to: &[SocketAddr], first: usize) {
    for i in 0..to.len().min(TRIES_MAX) {
        let place = to[(first.wrapping_add(i)) % to.len()];
        let Ok(Ok(mut far)) = timeout(CONNECT_MAX, TcpStream::connect(place)).await else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        // A peer that vanished without a word must not hold its place for ever.
        let _ = SockRef::from(&far).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        if copy_bidirectional(&mut near, &mut far).await.is_err() {
            reset(&near);
            reset(&far);
        }
        return;
    }
    reset(&near);
}

/// Closing will be told as a reset: the other side did not finish in peace.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

const TRIES_MAX: usize = 3;
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
const KEEPALIVE: Duration = Duration::from_secs(60);
