//! What ip_tables says of a table without telling its rules.

use nix::errno::Errno;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// How many entries a table has (a rule is one, a chain of somebody's own two), and how many bytes they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub entries: u32,
    pub bytes: u32,
}

/// A socket that tables of one family are asked about by.
pub struct Tables {
    socket: OwnedFd,
    level: libc::c_int,
}

impl Tables {
    /// The family is that of the address. Needs NET_ADMIN, and NET_RAW.
    pub fn open(family: IpAddr) -> io::Result<Tables> {
        let (domain, level) = match family {
            IpAddr::V4(_) => (socket2::Domain::IPV4, libc::IPPROTO_IP),
            IpAddr::V6(_) => (socket2::Domain::IPV6, libc::IPPROTO_IPV6),
        };
        let protocol = socket2::Protocol::from(libc::IPPROTO_RAW);
        let socket = socket2::Socket::new(domain, socket2::Type::RAW.cloexec(), Some(protocol))?;
        Ok(Tables { socket: socket.into(), level })
    }

    /// None: this kernel has no such table.
    pub fn extent(&self, table: &str) -> io::Result<Option<Extent>> {
        let mut info = Info::default();
        info.name[..table.len()].copy_from_slice(table.as_bytes());
        let mut length = size_of::<Info>() as libc::socklen_t;
        // SAFETY: the kernel reads and writes at most `length` bytes of `info`, which is plain numbers in the layout of
        // struct ipt_getinfo (linux/netfilter_ipv4/ip_tables.h), and it is ours alone.
        let result = unsafe {
            libc::getsockopt(self.socket.as_raw_fd(), self.level, GET_INFO, (&raw mut info).cast(), &raw mut length)
        };
        match Errno::result(result) {
            Ok(_) => Ok(Some(Extent { entries: info.entries, bytes: info.size })),
            Err(Errno::ENOENT | Errno::ENOPROTOOPT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct Info {
    name: [u8; 32],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    entries: u32,
    size: u32,
}

/// IPT_SO_GET_INFO and IP6T_SO_GET_INFO.
const GET_INFO: libc::c_int = 64;
