use crate::detect::{Speech, detect};
use crate::identity::Identity;
use crate::replay::Replay;
use crate::{http, raw};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use sys::datagram::canonical;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout_at};

/// One connection's two ends, IPv4 addresses written as such.
#[derive(Clone, Copy)]
pub struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// Becomes true once: finish.
pub type Stop = watch::Receiver<bool>;

/// Accepts until it is dropped. Each connection holds one place; when all are taken, clients wait in the backlog.
pub async fn accept(listener: TcpListener, identity: Arc<Identity>, places: Arc<Semaphore>, stop: Stop) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener inside a runtime");
    loop {
        let place = places.clone().acquire_owned().await.expect("the places are never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of files or memory, or the client is gone: none of it ends the server.
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let (identity, stop) = (identity.clone(), stop.clone());
        tokio::spawn(async move {
            if let Ok(local) = stream.local_addr() {
                let ends = Ends { peer: canonical(peer), local: canonical(local) };
                serve(stream, ends, identity, stop).await;
            }
            drop(place);
        });
    }
}

async fn serve(mut stream: TcpStream, ends: Ends, identity: Arc<Identity>, stop: Stop) {
    let _ = stream.set_nodelay(true); // SCTP has none
    let mut first = Vec::new();
    let Some(speech) = classify(&mut stream, &mut first).await else { return };
    let silent = first.is_empty();
    let stream = Replay::new(first, stream);
    match speech {
        Speech::Http1 => http::serve_http1(stream, ends, identity, stop).await,
        Speech::Http2 => http::serve_http2(stream, ends, identity, stop).await,
        Speech::Raw => raw::serve(stream, ends, &identity, silent, stop).await,
    }
}

/// None: the client went away without a word. Who is undecided after a second is raw.
async fn classify(stream: &mut TcpStream, first: &mut Vec<u8>) -> Option<Speech> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(speech) = detect(first) {
            return Some(speech);
        }
        match timeout_at(deadline, stream.read_buf(first)).await {
            Ok(Ok(0)) if first.is_empty() => return None,
            Ok(Ok(0)) | Err(_) => return Some(Speech::Raw),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return None,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
