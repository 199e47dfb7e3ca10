use crate::exchange::STAYS;
use crate::sink;
use cli::{Failure, Flags, Outcome, failed, usage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;
use sys::datagram;
use sys::listener::{Listen, Transport, tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Gives bytes back until it is killed. Threads block in accept and serve one short exchange after the other; a
/// connection that says it stays (its first byte is `h`) is handed to one event loop. As a sink it only takes.
pub fn run(flags: &Flags) -> Outcome {
    let listens =
        flags.all("listen").map(|text| text.parse().map_err(Failure::Usage)).collect::<Result<Vec<Listen>, _>>()?;
    if listens.is_empty() {
        return Err(usage("nothing to listen on: give --listen tcp:PORT"));
    }
    let threads: usize = flags.parsed("threads")?.unwrap_or(THREADS).clamp(1, THREADS_MAX);
    let is_sink = flags.has("sink");
    let (keep, kept) = mpsc::channel(KEPT_QUEUE_MAX);
    let mut workers = Vec::new();
    for listen in &listens {
        let cannot = || failed(format!("cannot listen on {listen}; is the port taken?"));
        match listen.transport {
            Transport::Tcp => {
                let listener = tcp(listen, BACKLOG, false).map_err(cannot())?;
                listener.set_nonblocking(false).map_err(cannot())?;
                let listener = Arc::new(listener);
                for _ in 0..threads {
                    let (listener, keep) = (listener.clone(), keep.clone());
                    let take = move |stream| if is_sink { sink::drain(stream) } else { serve(stream, &keep) };
                    workers.push(spawn(move || accept(&listener, take))?);
                }
            }
            Transport::Udp => {
                let socket = Arc::new(datagram::bind(listen).map_err(cannot())?);
                if is_sink {
                    socket.set_nonblocking(false).map_err(cannot())?;
                    workers.push(spawn(move || sink::count(&socket, &AtomicU64::new(0)))?);
                    continue;
                }
                for _ in 0..threads.min(UDP_THREADS_MAX) {
                    let socket = socket.clone();
                    workers.push(spawn(move || give_back(&socket))?);
                }
            }
            Transport::Sctp => return Err(usage(format!("{listen}: only TCP and UDP can be loaded"))),
        }
    }
    workers.push(spawn(move || keep_all(kept))?);
    println!("{{\"ready\":true}}");
    workers.into_iter().for_each(|worker| drop(worker.join()));
    Ok(ExitCode::FAILURE)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Failure> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map_err(failed("cannot start threads"))
}

fn accept(listener: &TcpListener, take: impl Fn(TcpStream)) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => take(stream),
            Err(_) => thread::sleep(RETRY),
        }
    }
}

/// Closes with RST too, should the client not have done it first.
fn serve(mut stream: TcpStream, keep: &mpsc::Sender<TcpStream>) {
    let socket = SockRef::from(&stream);
    if socket.set_linger(Some(Duration::ZERO)).is_err() || stream.set_read_timeout(Some(PATIENCE)).is_err() {
        return;
    }
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        if stream.write_all(&byte).is_err() {
            return;
        }
        if byte == STAYS {
            let _ = keep.blocking_send(stream);
            return;
        }
    }
}

fn keep_all(mut kept: mpsc::Receiver<TcpStream>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
    runtime.block_on(async {
        while let Some(stream) = kept.recv().await {
            let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
            if let Ok(mut stream) = stream {
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
}

fn give_back(socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    loop {
        match datagram::receive(socket, &mut buffer) {
            Ok((length, ends)) => drop(datagram::answer(socket, &buffer[..length], &ends)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
            }
            Err(_) => {} // What ICMP said about an earlier answer.
        }
    }
}

pub const VALUES: &[&str] = &["listen", "threads"];
pub const SWITCHES: &[&str] = &["sink"];

const THREADS: usize = 64;
const THREADS_MAX: usize = 1024;
const UDP_THREADS_MAX: usize = 4;
const STACK_BYTES: usize = 256 * 1024;
const BACKLOG: i32 = 4096;
const KEPT_QUEUE_MAX: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(10);
