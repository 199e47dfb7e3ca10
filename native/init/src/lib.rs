//! PID 1 of a namespace, a container, and entering one.

mod container;
mod enter;
mod mounts;

pub use container::{HELP as CONTAINER_HELP, container};
pub use enter::{HELP as ENTER_HELP, enter};

use cli::{Failure, Outcome, failed, usage};
use nix::unistd::ForkResult;
use std::process::{Command, ExitCode};
use sys::process::{Signals, become_program, command, fork};

/// Runs a command as the child of PID 1: reaps orphans, forwards signals, exits with its status.
pub fn init(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &[], &[])?;
    let words = given(&flags.rest)?;
    let mut signals = Signals::hold().map_err(failed("cannot hold signals"))?;
    supervise(&mut signals, &words[0], command(words))
}

/// Starts `program` as a child and stays until it ends. File descriptors pass through untouched.
pub(crate) fn supervise(signals: &mut Signals, name: &str, mut program: Command) -> Outcome {
    match fork().map_err(failed("cannot fork"))? {
        ForkResult::Child => {
            signals.release().map_err(failed("cannot release signals"))?;
            Ok(ExitCode::from(become_program(name, &mut program)))
        }
        ForkResult::Parent { child } => {
            signals.supervise(child).map(ExitCode::from).map_err(failed(format!("cannot wait for {name}")))
        }
    }
}

pub(crate) fn given(words: &[String]) -> Result<&[String], Failure> {
    if words.is_empty() { Err(usage("no command given")) } else { Ok(words) }
}

pub const INIT_HELP: &str = "\
Runs a command as PID 1's child: reaps orphans, forwards signals, exits with its status

usage: fairlead-carrier init -- CMD ARGS...

HUP, INT, QUIT, TERM, USR1, USR2 and WINCH go to CMD. When CMD ends, init exits with its status (128 + signal number if
it was killed), and the kernel ends whatever is left in the PID namespace. Inherited file descriptors are passed on.

example:
  unshare --fork --pid --kill-child --mount-proc fairlead-carrier init -- node src/main.ts
";
