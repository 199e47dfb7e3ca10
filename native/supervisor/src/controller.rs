//! A Unix socket to a controller, or another who listens: lines in, lines out, both bounded.

use cli::{Failure, failed};
use nix::sys::stat::{Mode, umask};
use serde::Serialize;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::LINE_MAX_BYTES;

/// Only who we run as may connect.
pub fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let failure = || failed::<std::io::Error>(format!("cannot listen on {}", path.display()));
    if is_socket(path) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let cause = "another carrier listens there; give each its own --socket";
            return Err(Failure::Failed(format!("cannot listen on {}: {cause}", path.display())));
        }
        fs::remove_file(path).map_err(failure())?;
    }
    privately(|| UnixListener::bind(path)).map_err(failure())
}

pub fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// What this makes, only who we run as may use.
pub fn privately<T>(make: impl FnOnce() -> T) -> T {
    let before = umask(Mode::from_bits_truncate(0o177));
    let made = make();
    umask(before);
    made
}

/// One that another process listened with.
pub fn inherit(listener: OwnedFd) -> std::io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Ended when dropped.
pub struct Connection {
    output: mpsc::Sender<Vec<u8>>,
    lines: mpsc::Receiver<Result<Vec<u8>, &'static str>>,
    reader: JoinHandle<()>,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Connection {
        let (input, output) = stream.into_split();
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        let reader = tokio::spawn(read(input, sender));
        let (sender, texts) = mpsc::channel(LINES_AHEAD_OUT);
        tokio::spawn(write(output, texts));
        Connection { output: sender, lines, reader }
    }

    /// None: it has closed. Err: it sent what is no line; nothing more comes.
    pub async fn line(&mut self) -> Option<Result<Vec<u8>, &'static str>> {
        self.lines.recv().await
    }

    /// False: it does not read what it is told, and had better go.
    pub fn say(&self, message: &impl Serialize) -> bool {
        self.output.try_send(line(message)).is_ok()
    }

    /// Waits while there is no room. False: it is gone.
    pub async fn tell(&self, message: &impl Serialize) -> bool {
        self.output.send(line(message)).await.is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages are plain data");
    line.push(b'\n');
    line
}

async fn read(input: OwnedReadHalf, lines: mpsc::Sender<Result<Vec<u8>, &'static str>>) {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    loop {
        let mut line = Vec::new();
        match (&mut input).take(LINE_MAX_BYTES as u64 + 1).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(count) if count > LINE_MAX_BYTES => {
                drop(lines.send(Err("a line is longer than 1 MiB")).await);
                return;
            }
            Ok(_) => return, // cut off
        }
        if lines.send(Ok(line)).await.is_err() {
            return;
        }
    }
}

async fn write(mut output: OwnedWriteHalf, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if output.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Of at most 1 MiB each.
const LINES_AHEAD: usize = 2;
const LINES_AHEAD_OUT: usize = 256;
const READ_BYTES: usize = 64 << 10;
