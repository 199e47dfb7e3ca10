//! Children of a single-threaded process: fork, wait, forward signals.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpgid, getpgrp};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals a person or a kubelet ends a process with, held back so that `supervise` can pass them on.
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Blocks the forwarded signals and SIGCHLD. Call before the child exists, so that none is lost.
    pub fn hold() -> io::Result<Signals> {
        default_child_signal()?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        FORWARDED.iter().for_each(|signal| mask.add(*signal));
        let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Signals { fd: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?, before })
    }

    /// Puts the signal mask back as it was: for the child, before it becomes another program.
    pub fn release(&self) -> io::Result<()> {
        Ok(self.before.thread_set_mask()?)
    }

    /// Waits for `child`, passes signals on to it, reaps every orphan that came to us meanwhile.
    /// Returns its exit code, or 128 + the signal that ended it.
    pub fn supervise(&mut self, child: Pid) -> io::Result<u8> {
        loop {
            if let Some(code) = reap(child)? {
                return Ok(code);
            }
            let info = match self.fd.read_signal() {
                Ok(Some(info)) => info,
                Ok(None) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let signal = Signal::try_from(info.ssi_signo as i32)?;
            if signal == Signal::SIGCHLD || (info.ssi_code > 0 && shares_terminal(child)) {
                continue;
            }
            match kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Makes a second process of this one. Only for processes that have started no thread.
pub fn fork() -> io::Result<ForkResult> {
    // SAFETY: no other thread exists, so no lock can be held by a thread that the child lacks; every caller forks before
    // it starts a runtime.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Becomes another program. Returns only if it could not: the exit code a shell would give, with the reason printed.
pub fn become_program(program: &str, command: &mut Command) -> u8 {
    let error = command.exec();
    let (code, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (127, "; is it installed, and on PATH?"),
        io::ErrorKind::PermissionDenied => (126, "; is it executable?"),
        _ => (126, ""),
    };
    eprintln!("fairlead-carrier: cannot run {program}: {error}{remedy}");
    code
}

/// The first word is the program, looked up on PATH.
pub fn command<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn reap(child: Pid) -> io::Result<Option<u8>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(Some(code as u8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Ok(Some(128 + signal as u8)),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A terminal sends Ctrl-C to its whole foreground process group: the child has it already if it is in ours.
fn shares_terminal(child: Pid) -> bool {
    getpgid(Some(child)) == Ok(getpgrp())
}

/// A parent may have left SIGCHLD ignored, which survives exec and would make waiting impossible.
fn default_child_signal() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action installs no handler, so no code of ours can run in signal context.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    Ok(())
}

const FORWARDED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];
