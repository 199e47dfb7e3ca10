use crate::mounts::{Bind, Mounts};
use crate::{given, supervise};
use cli::{Failure, Flags, Outcome, failed};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, sethostname};
use std::fs::File;
use std::process::ExitCode;
use sys::process::{Signals, command, fork};

/// Runs a command in a network namespace with mount, PID, UTS and IPC namespaces of its own.
///
/// This process stays outside as the container's handle: what it is told by signals goes in, and if it dies, or its
/// parent dies, the kernel ends everything inside.
pub fn container(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, VALUES, &[])?;
    let words = given(&flags.rest)?;
    let mounts = mounts(&flags)?;
    die_with_parent()?;
    let mut signals = Signals::hold().map_err(failed("cannot hold signals"))?;
    if let Some(path) = flags.one("netns") {
        let file = File::open(path).map_err(failed(format!("cannot open network namespace {path}")))?;
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(failed(format!("cannot enter network namespace {path}")))?;
    }
    unshare(OWN).map_err(failed("cannot make namespaces (this needs root, also that of a user namespace)"))?;
    if let Some(name) = flags.one("hostname") {
        sethostname(name).map_err(failed(format!("cannot set host name {name}")))?;
    }
    mounts.make(flags.has("netns"))?;
    match fork().map_err(failed("cannot fork"))? {
        ForkResult::Child => {
            die_with_parent()?;
            crate::mounts::proc()?;
            let mut program = command(words);
            if let Some(directory) = flags.one("workdir") {
                program.current_dir(directory);
            }
            supervise(&mut signals, &words[0], program)
        }
        ForkResult::Parent { child } => {
            signals.supervise(child).map(ExitCode::from).map_err(failed("cannot wait for the container"))
        }
    }
}

/// The kernel kills this process when the thread that started it is gone.
pub(crate) fn die_with_parent() -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL).map_err(failed("cannot tie this process to its parent"))
}

fn mounts(flags: &Flags) -> Result<Mounts, Failure> {
    let mut binds = Vec::new();
    for (flag, target) in [("hosts", "/etc/hosts"), ("resolv", "/etc/resolv.conf")] {
        if let Some(file) = flags.one(flag) {
            binds.push(Bind { source: file.into(), target: target.into(), read_only: false });
        }
    }
    for text in flags.all("bind") {
        binds.push(Bind::parse(text)?);
    }
    Ok(Mounts { tmpfs: flags.all("mount-tmpfs").map(Into::into).collect(), binds })
}

const VALUES: &[&str] = &["netns", "hostname", "hosts", "resolv", "bind", "mount-tmpfs", "workdir"];

const OWN: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC);

pub const HELP: &str = "\
Runs a command in a network namespace, with mount, PID, UTS and IPC namespaces of its own

usage: fairlead-carrier container [FLAGS] -- CMD ARGS...

  --netns PATH           network namespace to run in (default: this one)
  --hostname NAME        host name inside
  --hosts FILE           shown as /etc/hosts; rewrite the file in place to change it
  --resolv FILE          shown as /etc/resolv.conf
  --mount-tmpfs DIR      an empty directory of its own (repeatable; made before the binds)
  --bind SRC:DST[:ro]    SRC shown at DST (repeatable); DST is made if it may be
  --workdir DIR          where CMD starts

Signals sent to this process reach CMD, whose exit status it returns (128 + signal number if CMD was killed; 127 if it
was not found). If this process or its parent is killed, the kernel ends everything inside. Works without root inside a
user namespace that maps uid 0.

examples:
  fairlead-carrier container --netns /run/netns/web --hostname web-1 --hosts /run/web-1.hosts -- fairlead-carrier echo --listen tcp:8080
  fairlead-carrier container --netns /proc/4242/ns/net --mount-tmpfs /tmp -- sleep infinity
";
