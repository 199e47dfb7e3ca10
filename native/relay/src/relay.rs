use crate::order::Order;
use crate::{datagram, stream};
use cli::{Failure, Outcome, failed};
use nix::errno::Errno;
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::sync::Arc;
use sys::listener::{Listen, Transport};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// Where a door leads.
pub type Places = Arc<[SocketAddr]>;

/// Carries connections until standard input ends.
pub fn relay(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &[], &["drain"])?;
    if let Some(word) = flags.rest.first() {
        return Err(cli::usage(format!("unexpected {word:?}")));
    }
    sys::limits::raise_open_files().map_err(failed("cannot raise the limit of open files"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    runtime.block_on(async {
        let mut relay = Relay::default();
        relay.obey(lines()).await?;
        if flags.has("drain") {
            relay.drain().await;
        }
        Ok(ExitCode::SUCCESS)
    })
}

struct Relay {
    connections: Arc<Semaphore>,
    flows: Arc<Semaphore>,
    inherited: HashMap<RawFd, watch::Sender<Places>>,
    doors: HashMap<String, Door>,
}

struct Door {
    to: watch::Sender<Places>,
    serving: JoinHandle<()>,
}

impl Default for Relay {
    fn default() -> Relay {
        let (connections, flows) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(FLOWS_MAX)));
        Relay { connections, flows, inherited: HashMap::new(), doors: HashMap::new() }
    }
}

impl Relay {
    async fn obey(&mut self, mut lines: mpsc::Receiver<String>) -> Result<(), Failure> {
        while let Some(line) = lines.recv().await {
            match Order::parse(&line).map_err(Failure::Failed)? {
                Order::Lead { fd, to } => self.lead(fd, to.into())?,
                Order::Open { listen, to } => {
                    let opened = self.open(&listen, to.into());
                    tell(&listen, opened);
                }
                Order::Close { listen } => {
                    self.close(&listen.to_string()).await;
                    tell(&listen, Ok(()));
                }
            }
        }
        Ok(())
    }

    fn lead(&mut self, fd: RawFd, to: Places) -> Result<(), Failure> {
        if let Some(door) = self.inherited.get(&fd) {
            door.send_replace(to);
            return Ok(());
        }
        let listener = sys::listener::inherited(fd).map_err(failed(format!("file descriptor {fd}")))?;
        let (sender, receiver) = watch::channel(to);
        tokio::spawn(stream::accept(listener, receiver, self.connections.clone()));
        self.inherited.insert(fd, sender);
        Ok(())
    }

    fn open(&mut self, listen: &Listen, to: Places) -> io::Result<()> {
        if let Some(door) = self.doors.get(&listen.to_string()) {
            // The same again must not cost the flows of UDP.
            if *door.to.borrow() != to {
                door.to.send_replace(to);
            }
            return Ok(());
        }
        if self.doors.len() >= DOORS_MAX {
            return Err(Errno::EMFILE.into());
        }
        let (sender, receiver) = watch::channel(to);
        let serving = if listen.transport == Transport::Tcp {
            let listener = sys::listener::tcp(listen, BACKLOG, false)?;
            tokio::spawn(stream::accept(listener, receiver, self.connections.clone()))
        } else if listen.transport == Transport::Udp {
            let socket = sys::datagram::bind(listen)?;
            tokio::spawn(datagram::forward(socket, receiver, self.flows.clone()))
        } else {
            return Err(Errno::EPROTONOSUPPORT.into());
        };
        self.doors.insert(listen.to_string(), Door { to: sender, serving });
        Ok(())
    }

    /// The port is free once this returns.
    async fn close(&mut self, listen: &str) {
        let Some(door) = self.doors.remove(listen) else { return };
        door.serving.abort();
        let _ = door.serving.await;
    }

    /// Lets nobody in any more, and waits until everybody is out.
    async fn drain(mut self) {
        for listen in self.doors.keys().cloned().collect::<Vec<_>>() {
            self.close(&listen).await;
        }
        let _ = self.connections.acquire_many(CONNECTIONS_MAX as u32).await;
    }
}

/// Answers an order. Who gave it may be gone: the end of our input says so.
fn tell(listen: &Listen, result: io::Result<()>) {
    let answer = match result {
        Ok(()) => json!({ "listen": listen.to_string() }),
        Err(error) => {
            let code = error.raw_os_error().map(|code| format!("{:?}", Errno::from_raw(code)));
            json!({ "listen": listen.to_string(), "error": error.to_string(), "code": code })
        }
    };
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{answer}").and_then(|()| output.flush());
}

/// Lines of standard input, read by a thread of its own: it may block.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

const CONNECTIONS_MAX: usize = 10_000;
const FLOWS_MAX: usize = 4_096;
const DOORS_MAX: usize = 16_384;
const BACKLOG: i32 = 1024;

pub const HELP: &str = "\
Carries connections to other addresses, from sockets it inherited or opens itself

usage: fairlead-carrier relay [--drain]

Standard input says where to, a JSON line each, also while it runs:
  {\"fd\":4,\"to\":[\"172.30.0.193:80\"]}                                a TCP socket it inherited (see: fairlead-carrier listen)
  {\"listen\":\"udp:127.0.0.1:30053\",\"to\":[\"172.30.0.11:30053\"]}    one that it opens; again, to lead it somewhere else
  {\"close\":\"udp:127.0.0.1:30053\"}                                 ... and closes; TCP connections that stand go on
TCP connections go to the addresses in turn; where one does not answer the next is tried, three at most, and without any
they are reset. Datagrams go to the first address, each client's from a socket of its own until it is idle for 120 s.
At most 10,000 connections (more wait) and 4,096 clients of UDP (the one that was quiet longest goes).

The last two orders are answered on standard output, in their order: {\"listen\":\"udp:127.0.0.1:30053\"}, with
\"error\" and \"code\" (EADDRINUSE) when it could not be opened. Ends with its input; --drain: lets nobody in any more then,
and ends with the last TCP connection.

example:
  echo '{\"fd\":4,\"to\":[\"10.0.0.1:80\"]}' | fairlead-carrier relay
";
