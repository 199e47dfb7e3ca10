//! Netlink sockets, and the messages and attributes in their bytes (linux/netlink.h). Reading never fails: what does not
//! fit its own length ends the iteration.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub struct Netlink {
    fd: OwnedFd,
}

impl Netlink {
    /// Addresses, links, routes, neighbours. `groups`: a bit for each multicast group, number 1 the lowest.
    pub fn route(groups: u32) -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkRoute, groups)
    }

    /// nftables, ipsets and connection tracking.
    pub fn netfilter(groups: u32) -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkNetFilter, groups)
    }

    fn open(protocol: SockProtocol, groups: u32) -> io::Result<Netlink> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Netlink { fd })
    }

    /// Asks for a larger receive buffer; without the right to exceed the system's limit, up to the limit.
    pub fn set_buffer(&self, size_bytes: usize) -> io::Result<()> {
        if setsockopt(&self.fd, sockopt::RcvBufForce, &size_bytes).is_err() {
            setsockopt(&self.fd, sockopt::RcvBuf, &size_bytes)?;
        }
        Ok(())
    }

    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), messages, MsgFlags::empty())?;
        Ok(())
    }

    /// Waits for the next datagram of messages. ENOBUFS: the kernel had more to say than the buffer holds, and dropped it.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        loop {
            match recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(&buffer[..length]),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// An acknowledgement (None) or an error.
    pub fn error(&self) -> Option<Errno> {
        let code = i32::from_ne_bytes(self.body.get(..4)?.try_into().ok()?);
        (code != 0).then(|| Errno::from_raw(-code))
    }

    /// What follows a fixed header of `size` bytes.
    pub fn attributes(&self, size: usize) -> Attributes<'a> {
        attributes(self.body.get(size..).unwrap_or_default())
    }
}

pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { bytes }
}

pub struct Messages<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.bytes.get(..HEADER)?;
        let length = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
        let body = self.bytes.get(HEADER..length)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        self.bytes = self.bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, flags, body })
    }
}

pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { bytes }
}

/// Kind (without the flags for nesting and byte order) and value of each attribute.
pub struct Attributes<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let header = self.bytes.get(..4)?;
        let length = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND_MASK;
        let value = self.bytes.get(4..length)?;
        self.bytes = self.bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Messages to send, one behind the other.
#[derive(Default)]
pub struct Builder {
    pub bytes: Vec<u8>,
}

impl Builder {
    /// One message: its fixed header, then what `fill` adds.
    pub fn message(&mut self, kind: u16, flags: u16, header: &[u8], fill: impl FnOnce(&mut Builder)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        self.bytes.extend_from_slice(header);
        fill(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
    }

    /// `value` is at most 65,531 bytes long.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Builder)) {
        let mut inner = Builder::default();
        fill(&mut inner);
        self.attribute(kind | NESTED, &inner.bytes);
    }
}

/// linux/netfilter/nfnetlink.h: struct nfgenmsg.
pub fn netfilter_header(family: u8) -> [u8; NETFILTER_HEADER] {
    [family, 0, 0, 0]
}

/// NFNETLINK_SUBSYS and the message of the subsystem.
pub const fn netfilter_kind(subsystem: u16, message: u16) -> u16 {
    subsystem << 8 | message
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

pub const NETFILTER_HEADER: usize = 4;
pub const KIND_ERROR: u16 = 2;
pub const KIND_DONE: u16 = 3;
pub const FLAG_REQUEST: u16 = 1;
pub const FLAG_ACK: u16 = 4;
pub const FLAG_DUMP: u16 = 0x300;
pub const SUBSYSTEM_CONNTRACK: u16 = 1;
pub const SUBSYSTEM_IPSET: u16 = 6;
pub const SUBSYSTEM_NFTABLES: u16 = 10;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read() {
        let mut built = Builder::default();
        built.message(0x102, FLAG_REQUEST, &netfilter_header(2), |message| {
            message.attribute(7, b"odd");
            message.nested(1, |inner| inner.attribute(9, &[1]));
        });
        built.message(3, 0, &[], |_| {});
        let read: Vec<_> = messages(&built.bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[1].kind), (0x102, 1, 3));
        let inside: Vec<_> = read[0].attributes(4).collect();
        assert_eq!(inside[0], (7, &b"odd"[..]));
        assert_eq!(inside[1].0, 1);
        assert_eq!(attributes(inside[1].1).next(), Some((9, &[1][..])));
    }

    #[test]
    fn broken_lengths_end_the_reading() {
        let mut built = Builder::default();
        built.message(5, 0, &[1, 2, 3, 4], |message| message.attribute(1, &[9; 8]));
        let whole = built.bytes;
        for end in 0..whole.len() {
            assert_eq!(messages(&whole[..end]).count(), 0, "cut at {end}");
        }
        for length in [0u32, 1, 15, 1000, u32::MAX] {
            let mut bytes = whole.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&bytes).count(), 0, "length {length}");
        }
        for length in [0u16, 3, 100, u16::MAX] {
            assert_eq!(attributes(&[&length.to_ne_bytes()[..], &[1, 0, 9, 9]].concat()).count(), 0, "length {length}");
        }
    }

    #[test]
    fn acknowledgements_and_errors_differ() {
        let body = |code: i32| code.to_ne_bytes();
        let error = |bytes: &[u8]| Message { kind: KIND_ERROR, flags: 0, body: bytes }.error();
        assert_eq!(error(&body(0)), None);
        assert_eq!(error(&body(-2)), Some(Errno::ENOENT));
    }
}
