//! Messages, and open files with them, between two processes that a pair of sockets joins (SOCK_SEQPACKET, unix(7)). A long
//! message is cut into packets, for the kernel bounds a packet by the socket's buffer.

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    recvmsg, sendmsg, socket, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Two ends. Blocking; closed when a process becomes another program.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// A socket that others connect to. Non-blocking; who may connect is a matter of the umask.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, FLAGS, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    nix::sys::socket::listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

/// The end of the next one who has connected, or `WouldBlock`. Non-blocking.
pub fn accept(listener: &impl AsFd) -> io::Result<OwnedFd> {
    let end = accept4(listener.as_fd().as_raw_fd(), FLAGS)?;
    // SAFETY: the kernel has just opened it for this process, and named it here only.
    Ok(unsafe { OwnedFd::from_raw_fd(end) })
}

/// To who listens there. Non-blocking.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let end = socket(AddressFamily::Unix, SockType::SeqPacket, FLAGS, None)?;
    nix::sys::socket::connect(end.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(end)
}

/// One message on its way out, as far as it was sent.
pub struct Outgoing<'a> {
    octets: &'a [u8],
    files: &'a [BorrowedFd<'a>],
    sent: usize,
    done: bool,
}

impl<'a> Outgoing<'a> {
    pub fn new(octets: &'a [u8], files: &'a [BorrowedFd<'a>]) -> Outgoing<'a> {
        assert!(files.len() <= FILES_MAX, "at most {FILES_MAX} files go with a message");
        Outgoing { octets, files, sent: 0, done: false }
    }

    /// Sends until all is sent, or says `WouldBlock`: then call it again.
    pub fn send(&mut self, channel: &impl AsFd) -> io::Result<()> {
        while !self.done {
            let part = &self.octets[self.sent..self.octets.len().min(self.sent + PACKET_BYTES)];
            let more = self.sent + part.len() < self.octets.len();
            let head = [u8::from(more)];
            let files: Vec<_> = if self.sent == 0 { self.files } else { &[] }.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&files)];
            let control = if files.is_empty() { &[][..] } else { &rights[..] };
            let slices = [IoSlice::new(&head), IoSlice::new(part)];
            sendmsg::<()>(channel.as_fd().as_raw_fd(), &slices, control, MsgFlags::MSG_NOSIGNAL, None)?;
            self.sent += part.len();
            self.done = !more;
        }
        Ok(())
    }
}

/// A message as far as it has come.
#[derive(Default)]
pub struct Incoming {
    octets: Vec<u8>,
    files: Vec<OwnedFd>,
}

pub type Message = (Vec<u8>, Vec<OwnedFd>);

impl Incoming {
    /// The next message; `WouldBlock`: call it again. None: the other end is gone.
    pub fn receive(&mut self, channel: &impl AsFd) -> io::Result<Option<Message>> {
        loop {
            let mut packet = [0; 1 + PACKET_BYTES];
            let mut control = nix::cmsg_space!([std::os::fd::RawFd; FILES_MAX]);
            let mut slices = [IoSliceMut::new(&mut packet)];
            let fd = channel.as_fd().as_raw_fd();
            let got = recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
            let length = got.bytes;
            for part in got.cmsgs()? {
                if let ControlMessageOwned::ScmRights(files) = part {
                    // SAFETY: the kernel has just opened these for this process, and named them here only.
                    self.files.extend(files.into_iter().map(|file| unsafe { OwnedFd::from_raw_fd(file) }));
                }
            }
            if length == 0 {
                return Ok(None);
            }
            self.octets.extend_from_slice(&packet[1..length]);
            if self.octets.len() > MESSAGE_MAX_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is longer than 64 MiB"));
            }
            if packet[0] == 0 {
                return Ok(Some((std::mem::take(&mut self.octets), std::mem::take(&mut self.files))));
            }
        }
    }
}

/// SCM_MAX_FD of the kernel is 253.
pub const FILES_MAX: usize = 200;
pub const MESSAGE_MAX_BYTES: usize = 64 << 20;
const PACKET_BYTES: usize = 60_000;
const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);
const BACKLOG: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    #[test]
    fn messages_and_files_arrive() {
        let (here, there) = pair().unwrap();
        let mut file =
            File::from(nix::sys::memfd::memfd_create("test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(b"inside").unwrap();
        let long = vec![5; 3 * PACKET_BYTES];
        let sender = std::thread::spawn(move || {
            Outgoing::new(b"", &[]).send(&here).unwrap();
            Outgoing::new(&long, &[file.as_fd(), file.as_fd()]).send(&here).unwrap();
        });
        let mut incoming = Incoming::default();
        assert_eq!(incoming.receive(&there).unwrap().unwrap().0, b"");
        let (octets, mut files) = incoming.receive(&there).unwrap().unwrap();
        assert_eq!((octets.len(), files.len()), (3 * PACKET_BYTES, 2));
        let mut file = File::from(files.remove(0));
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        sender.join().unwrap();
        assert!(incoming.receive(&there).unwrap().is_none());
    }
}
