use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Raises the soft limit of open files to the hard one, and returns it: 1,024 is too few for a server.
pub fn raise_open_files() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
