//! UDP answered from the address that was asked: on a node with many addresses the kernel would else pick one by route,
//! and neither the client nor connection tracking would know the answer.

use crate::listener::{Listen, bound};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

/// A datagram's two ends, and what to give back when answering.
pub struct Ends {
    pub peer: SocketAddr,
    local: Option<Local>,
}

enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Ends {
    /// The address that it was sent to; None: the socket has but one.
    pub fn local(&self) -> Option<IpAddr> {
        match &self.local {
            Some(Local::V4(info)) => Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes())),
            Some(Local::V6(info)) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            None => None,
        }
    }
}

/// A bound, non-blocking UDP socket that is told the local address of each datagram, where there may be several.
pub fn bind(listen: &Listen) -> io::Result<UdpSocket> {
    told(bound(listen, Type::DGRAM, Protocol::UDP, false)?)
}

/// The same, one of several of a port (SO_REUSEPORT): the kernel gives each client one of them. What comes while nobody
/// reads waits in it, as far as the kernel allows.
pub fn bind_shared(listen: &Listen, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = bound(listen, Type::DGRAM, Protocol::UDP, true)?;
    socket.set_recv_buffer_size(buffer_bytes)?;
    told(socket)
}

fn told(socket: Socket) -> io::Result<UdpSocket> {
    let address = socket.local_addr()?;
    if address.as_socket().is_some_and(|address| !address.ip().is_unspecified()) {
        return Ok(socket.into()); // answers come from there anyhow
    }
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(socket.into())
}

/// Receives one datagram, or `WouldBlock`. Returns its length; what did not fit is lost.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Ends)> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let (fd, flags) = (socket.as_fd().as_raw_fd(), MsgFlags::empty());
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), flags)?;
    let local = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(libc::in_pktinfo { ipi_ifindex: 0, ..info })),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(scoped(info))),
        _ => None,
    });
    let peer = message.address.as_ref().and_then(plain).ok_or_else(|| io::Error::other("datagram without a sender"))?;
    Ok((message.bytes, Ends { peer, local }))
}

/// Answers to where a datagram came from, from the address it was sent to.
pub fn answer(socket: &impl AsFd, data: &[u8], ends: &Ends) -> io::Result<usize> {
    let control: &[ControlMessage] = match &ends.local {
        Some(Local::V4(info)) => &[ControlMessage::Ipv4PacketInfo(info)],
        Some(Local::V6(info)) => &[ControlMessage::Ipv6PacketInfo(info)],
        None => &[],
    };
    let slices = [IoSlice::new(data)];
    let (fd, flags) = (socket.as_fd().as_raw_fd(), MsgFlags::empty());
    Ok(match ends.peer {
        SocketAddr::V4(peer) => sendmsg(fd, &slices, control, flags, Some(&SockaddrIn::from(peer)))?,
        SocketAddr::V6(peer) => sendmsg(fd, &slices, control, flags, Some(&SockaddrIn6::from(peer)))?,
    })
}

/// `::ffff:10.0.0.1` as `10.0.0.1`: how a person writes it.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}

/// Only a link-local address needs its device; for others, routing decides.
fn scoped(info: libc::in6_pktinfo) -> libc::in6_pktinfo {
    let link_local = info.ipi6_addr.s6_addr[0] == 0xfe && info.ipi6_addr.s6_addr[1] & 0xc0 == 0x80;
    libc::in6_pktinfo { ipi6_ifindex: if link_local { info.ipi6_ifindex } else { 0 }, ..info }
}
