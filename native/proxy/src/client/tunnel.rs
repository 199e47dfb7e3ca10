//! Octets both ways between two upgraded connections, until one side ends or nothing comes for too long.

use super::guard::Guard;
use super::response::UnderWay;
use super::transport::{Replay, Transport};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

pub async fn run(client: OnUpgrade, backend: OnUpgrade, idle: Duration, under_way: UnderWay) {
    let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else { return };
    let Ok(parts) = client.downcast::<Guard>() else { return };
    let (transport, unread) = parts.io.into_parts();
    let read = [&parts.read_buf[..], &unread].concat();
    let client: Replay<Transport> = Replay::new(read, transport);
    let _ = relay(client, TokioIo::new(backend), idle).await;
    drop(under_way);
}

/// Each direction ends by itself; `idle`: without an octet in either.
pub async fn relay<A, B>(a: A, b: B, idle: Duration) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let last = Cell::new(Instant::now());
    let (a_reads, a_writes) = split(a);
    let (b_reads, b_writes) = split(b);
    let quiet = async {
        while last.get().elapsed() < idle {
            tokio::time::sleep_until((last.get() + idle).into()).await;
        }
        Err(io::ErrorKind::TimedOut.into())
    };
    let both = async { tokio::try_join!(copy(a_reads, b_writes, &last), copy(b_reads, a_writes, &last)).map(|_| ()) };
    tokio::select! {
        ended = both => ended,
        ended = quiet => ended,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    last: &Cell<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        last.set(Instant::now());
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

const BUFFER_BYTES: usize = 16 << 10;
