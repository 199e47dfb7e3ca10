use crate::container::die_with_parent;
use crate::given;
use cli::{Failure, Outcome, failed, usage};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{ForkResult, Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode};
use sys::process::{Signals, become_program, command, fork};

/// Runs a command in all namespaces of a running container, named by the pid of its `container` process or of anything
/// inside.
pub fn enter(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &["pid", "workdir"], &["keep-env"])?;
    let words = given(&flags.rest)?;
    let pid: u32 = flags.parsed("pid")?.ok_or_else(|| usage("--pid is needed"))?;
    let namespaces = open(pid)?;
    let mut program = command(words);
    if !flags.has("keep-env") {
        take_environment(&mut program, pid)?;
    }
    program.current_dir(flags.one("workdir").unwrap_or("/"));
    let mut signals = Signals::hold().map_err(failed("cannot hold signals"))?;
    join(namespaces)?;
    match fork().map_err(failed("cannot fork"))? {
        ForkResult::Child => {
            die_with_parent()?;
            signals.release().map_err(failed("cannot release signals"))?;
            Ok(ExitCode::from(become_program(&words[0], &mut program)))
        }
        ForkResult::Parent { child } => {
            signals.supervise(child).map(ExitCode::from).map_err(failed(format!("cannot wait for {}", words[0])))
        }
    }
}

struct Namespace {
    name: &'static str,
    file: File,
    flag: CloneFlags,
}

/// Those of `pid` that are not ours already. All are opened before the first is joined: afterwards /proc may be another.
fn open(pid: u32) -> Result<Vec<Namespace>, Failure> {
    let mut namespaces = Vec::new();
    for (name, flag) in KINDS {
        let path = format!("/proc/{pid}/ns/{name}");
        let file = File::open(&path).map_err(failed(format!("cannot open {path}; is the container running?")))?;
        let theirs = file.metadata().map_err(failed(&path))?;
        // Compared with what our children get, which is what setns changes.
        let ours = fs::metadata(format!("/proc/self/ns/{name}")).map_err(failed(&path))?;
        if theirs.ino() != ours.ino() {
            namespaces.push(Namespace { name, file, flag: *flag });
        }
    }
    Ok(namespaces)
}

fn join(namespaces: Vec<Namespace>) -> Result<(), Failure> {
    for Namespace { name, file, flag } in namespaces {
        setns(&file, flag).map_err(failed(format!("cannot join the container's {name} namespace")))?;
        if flag == CloneFlags::CLONE_NEWUSER {
            // Refused where setgroups is denied for the namespace; the groups then stay, which harms nothing.
            let _ = setgroups(&[]);
            let (root, group) = (Uid::from_raw(0), Gid::from_raw(0));
            setresgid(group, group, group).map_err(failed("cannot become root's group inside"))?;
            setresuid(root, root, root).map_err(failed("cannot become root inside"))?;
        }
    }
    Ok(())
}

/// What the container was started with, as `kubectl exec` gives; TERM is that of the person who asks.
fn take_environment(program: &mut Command, pid: u32) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/environ");
    let bytes = fs::read(&path).map_err(failed(format!("cannot read {path}")))?;
    program.env_clear().envs(environment(&bytes));
    if let Some(term) = std::env::var_os("TERM") {
        program.env("TERM", term);
    }
    Ok(())
}

fn environment(bytes: &[u8]) -> impl Iterator<Item = (OsString, OsString)> + '_ {
    bytes.split(|byte| *byte == 0).filter_map(|entry| {
        let middle = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&entry[..middle], &entry[middle + 1..]);
        (!name.is_empty()).then(|| (OsStr::from_bytes(name).into(), OsStr::from_bytes(value).into()))
    })
}

/// In the order of joining: user first, for the right to join the others; mount last, for /proc changes with it.
/// `pid_for_children` is right both for a container's handle, which stays outside, and for any process inside.
const KINDS: &[(&str, CloneFlags)] = &[
    ("user", CloneFlags::CLONE_NEWUSER),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid_for_children", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

pub const HELP: &str = "\
Runs a command in all namespaces of a running container

usage: fairlead-carrier enter --pid PID [FLAGS] -- CMD ARGS...

  --pid PID        the container's process (`fairlead-carrier container`), or any process inside
  --workdir DIR    where CMD starts (default: /)
  --keep-env       keep this environment instead of the container's own

Standard input, output and error are CMD's, as is the exit status (128 + signal number if CMD was killed; 127 if it was
not found). CMD ends with this process.

example:
  fairlead-carrier enter --pid 4242 -- ip address
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_read_as_the_kernel_shows_them() {
        let read: Vec<_> = environment(b"A=1\0B=x=y\0broken\0=z\0C=\0").collect();
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        assert_eq!(read, [pair("A", "1"), pair("B", "x=y"), pair("C", "")]);
    }
}
