use cli::{Failure, Outcome, failed, usage};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use sys::listener::{Listen, Transport};

/// Opens listening sockets and becomes the command, which finds them in its environment.
pub fn listen(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &["on", "prefer"], &[])?;
    let Some((program, rest)) = flags.rest.split_first() else {
        return Err(usage("give the command to run after --"));
    };
    let mut opened = Vec::new();
    let all = flags.all("on").map(|text| (text, false)).chain(flags.all("prefer").map(|text| (text, true)));
    for (text, is_flexible) in all {
        let listen: &Listen = &text.parse().map_err(Failure::Usage)?;
        if listen.transport != Transport::Tcp {
            return Err(usage(format!("{listen}: only TCP can be handed on")));
        }
        let cannot = || failed(format!("cannot listen on {listen}"));
        let listener = match sys::listener::tcp(listen, BACKLOG, false) {
            Err(taken) if is_flexible && taken.kind() == ErrorKind::AddrInUse => {
                sys::listener::tcp(&Listen { port: 0, ..*listen }, BACKLOG, false)
            }
            result => result,
        }
        .map_err(cannot())?;
        let address = listener.local_addr().map_err(failed("a socket without an address"))?;
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).map_err(failed("a socket cannot be handed on"))?;
        opened.push(format!("{}={address}", listener.as_raw_fd()));
        let _ = listener.into_raw_fd(); // the command's from here on
    }
    let error = Command::new(program).args(rest).env(VARIABLE, opened.join(",")).exec();
    Err(failed(format!("cannot run {program}"))(error))
}

const VARIABLE: &str = "FAIRLEAD_LISTENERS";
const BACKLOG: i32 = 1024;

pub const HELP: &str = "\
Opens listening sockets and runs a command that inherits them

usage: fairlead-carrier listen [--on tcp:[ADDRESS:]PORT]... [--prefer tcp:[ADDRESS:]PORT]... -- CMD ARGS...

CMD replaces this process. Its FAIRLEAD_LISTENERS is FD=ADDRESS:PORT,... in the order of the flags, --on first; port 0
takes a free one, and so does --prefer where its port is taken. Exit code 1, and CMD does not run, when one cannot be opened.

example:
  fairlead-carrier listen --on tcp:127.0.0.1:8080 -- unshare --net -- fairlead-carrier relay
";
