use crate::order::Order;
use cli::{Failure, Outcome, failed};
use std::collections::HashMap;
use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

/// Carries connections until standard input ends.
pub fn relay(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &[], &[])?;
    if let Some(word) = flags.rest.first() {
        return Err(cli::usage(format!("unexpected {word:?}")));
    }
    sys::limits::raise_open_files().map_err(failed("cannot raise the limit of open files"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    runtime.block_on(obey(lines()))
}

async fn obey(mut lines: mpsc::Receiver<String>) -> Outcome {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut doors: HashMap<RawFd, watch::Sender<Arc<[SocketAddr]>>> = HashMap::new();
    while let Some(line) = lines.recv().await {
        let Order { fd, to } = Order::parse(&line).map_err(Failure::Failed)?;
        let to: Arc<[SocketAddr]> = to.into();
        if let Some(door) = doors.get(&fd) {
            door.send_replace(to);
            continue;
        }
        let listener = sys::listener::inherited(fd).map_err(failed(format!("file descriptor {fd}")))?;
        let (sender, receiver) = watch::channel(to);
        tokio::spawn(accept(listener, receiver, places.clone()));
        doors.insert(fd, sender);
    }
    Ok(ExitCode::SUCCESS)
}

/// Each connection holds one place; when all are taken, clients wait in the backlog.
async fn accept(listener: TcpListener, to: watch::Receiver<Arc<[SocketAddr]>>, places: Arc<Semaphore>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener inside a runtime");
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let place = places.clone().acquire_owned().await.expect("the places are never closed");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY).await; // out of files or memory, or the client is gone: none of it ends the relay
            continue;
        };
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
        let _ = copy_bidirectional(&mut near, &mut far).await;
        return;
    }
}

/// Lines of standard input, read by a thread of its own: it may block.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

const CONNECTIONS_MAX: usize = 10_000;
const TRIES_MAX: usize = 3;
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

pub const HELP: &str = "\
Carries TCP connections from inherited sockets to addresses of this network namespace

usage: fairlead-carrier relay

Standard input says where to, a JSON line each, also while it runs: {\"fd\":4,\"to\":[\"172.30.0.193:80\"]}
fd is a listening socket this process inherited (see: fairlead-carrier listen). Connections go to the addresses in turn;
where one does not answer the next is tried, three at most. Without any, connections are closed. Ends with its input.

example:
  echo '{\"fd\":4,\"to\":[\"10.0.0.1:80\"]}' | fairlead-carrier relay
";
