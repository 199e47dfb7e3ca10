//! Classic BPF on sockets: what the kernel drops before it fills our buffer.

use libc::{sock_filter, sock_fprog};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Attaches a program to a socket. The kernel checks it; a program that is not valid is EINVAL.
pub fn attach(socket: &impl AsFd, program: &[sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` and the instructions it points to live until the call returns; the kernel copies them and writes
    // to neither.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips `then` instructions if the condition holds, else `otherwise`.
pub fn jump(code: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: then, jf: otherwise, k }
}
