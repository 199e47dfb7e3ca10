//! The worker process: does what the supervisor says on standard input, and ends when nobody is there to say it.

use crate::changes::Changes;
use crate::kind::{Kind, Sockets, Worker};
use crate::message::{FromWorker, Opened, ToWorker};
use cli::{Failure, Outcome, failed};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::time::Duration;
use sys::channel::{Incoming, Outgoing};

pub fn serve(kind: &dyn Kind, threads: usize) -> Outcome {
    set_pdeathsig(Signal::SIGKILL).map_err(failed("PR_SET_PDEATHSIG"))?;
    let channel = io::stdin();
    // It may have died before this took effect; what it had said by then is not to be done.
    let mut end = [PollFd::new(channel.as_fd(), PollFlags::empty())];
    if poll(&mut end, PollTimeout::ZERO).map_err(failed("the supervisor's channel"))? > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let mut incoming = Incoming::default();
    let mut worker = kind.worker(threads).map_err(Failure::Failed)?;
    loop {
        let (octets, files) = match incoming.receive(&channel) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(ExitCode::SUCCESS),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(failed("the supervisor's channel")(error)),
        };
        let message: ToWorker = serde_json::from_slice(&octets).map_err(failed("the supervisor's message"))?;
        let answer = follow(worker.as_mut(), message, files).map_err(Failure::Failed)?;
        let drained = matches!(answer, FromWorker::Drained);
        let text = serde_json::to_vec(&answer).map_err(failed("an answer"))?;
        Outgoing::new(&text, &[]).send(&channel.as_fd()).map_err(failed("the supervisor's channel"))?;
        if drained {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn follow(worker: &mut dyn Worker, message: ToWorker, files: Vec<OwnedFd>) -> Result<FromWorker, String> {
    let mut files = files.into_iter();
    let mut file = || files.next().ok_or_else(|| "a file is missing in the supervisor's message".to_string());
    Ok(match message {
        ToWorker::Load { table, whole, epoch, from, to } => {
            match worker.commit(Changes::of_log(&table, whole, File::from(file()?), from, to).in_epoch(epoch)) {
                Ok(committed) => FromWorker::Committed(committed),
                Err(reason) => FromWorker::Failed(reason),
            }
        }
        ToWorker::Listen { opened, closed } => {
            let mut all = Vec::new();
            if let Some(Opened { place, udp, tcp }) = opened {
                let udp = (0..udp).map(|_| file().map(UdpSocket::from)).collect::<Result<_, _>>()?;
                let tcp = if tcp { Some(TcpListener::from(file()?)) } else { None };
                all.push(Sockets { place, udp, tcp });
            }
            worker.listen(all, &closed);
            FromWorker::Listening
        }
        ToWorker::Read => match worker.welcome_readers(UnixListener::from(file()?), File::from(file()?)) {
            Ok(()) => FromWorker::Reading,
            Err(reason) => FromWorker::Failed(reason),
        },
        ToWorker::Unready => FromWorker::Unready(worker.unready()),
        ToWorker::Ask(question) => FromWorker::Answer(worker.ask(&question)),
        ToWorker::Drain { within_ms } => {
            worker.drain(Duration::from_millis(within_ms));
            FromWorker::Drained
        }
    })
}
