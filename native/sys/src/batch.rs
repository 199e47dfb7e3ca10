//! Many datagrams a system call (recvmmsg(2), sendmmsg(2)), answered from the address that was asked (IP_PKTINFO,
//! ip(7); IPV6_PKTINFO, ipv6(7)), in buffers that are made once.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Where a datagram came from and which address it was sent to: what an answer needs. Plain data.
#[derive(Clone, Copy)]
pub struct Ends {
    peer: libc::sockaddr_storage,
    peer_bytes: u32,
    control: Control,
    control_bytes: usize,
}

/// Room for one control message of either family, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Buffers for datagrams and their answers. Not shared between threads.
pub struct Batch {
    received: Vec<u8>,
    answers: Vec<u8>,
    ends: Vec<Ends>,
    lengths: Vec<usize>,
    answer_lengths: Vec<usize>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    /// So many headers from the first on are not set up to receive: they were used. The others still point to their buffers,
    /// which stay where they are.
    used: usize,
    /// Of control data of each datagram; 0 where the socket has one address only, which answers then come from anyhow.
    control_bytes: usize,
    receive_bytes: usize,
    answer_bytes: usize,
}

impl Batch {
    /// For `count` datagrams of at most `receive_bytes` (what is longer is seen as empty) and answers of at most
    /// `answer_bytes`. `many`: the socket has more than one address, and each answer is to come from the one asked.
    pub fn new(count: usize, receive_bytes: usize, answer_bytes: usize, many: bool) -> Batch {
        let header = libc::mmsghdr { msg_hdr: empty_header(), msg_len: 0 };
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Batch {
            received: vec![0; count * receive_bytes],
            answers: vec![0; count * answer_bytes],
            ends: vec![Ends::none(); count],
            lengths: vec![0; count],
            answer_lengths: vec![0; count],
            headers: vec![header; count],
            vectors: vec![vector; count],
            used: count,
            control_bytes: if many { CONTROL_BYTES } else { 0 },
            receive_bytes,
            answer_bytes,
        }
    }

    /// Waits for one datagram as the socket does (blocking, SO_RCVTIMEO) and takes what else is there. Returns how many.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        let count = self.ends.len();
        for index in 0..self.used {
            let ends = &mut self.ends[index];
            let buffer = &mut self.received[index * self.receive_bytes..][..self.receive_bytes];
            self.vectors[index] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = ptr::from_mut(&mut ends.peer).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            header.msg_iov = &mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = ends.control.0.as_mut_ptr().cast();
            header.msg_controllen = self.control_bytes as _;
            header.msg_flags = 0;
        }
        let fd = socket.as_fd().as_raw_fd();
        self.used = count;
        // SAFETY: each of the `count` headers points to a name, a vector and control room of the lengths it gives, all
        // owned by self, never resized, and borrowed during the call; no time-out is given.
        let got = unsafe {
            libc::recvmmsg(fd, self.headers.as_mut_ptr(), count as u32, libc::MSG_WAITFORONE as _, ptr::null_mut())
        };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        self.used = got as usize;
        for index in 0..got as usize {
            let header = &self.headers[index];
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.lengths[index] = if cut { 0 } else { header.msg_len as usize };
            self.answer_lengths[index] = 0;
            self.ends[index].peer_bytes = header.msg_hdr.msg_namelen;
            self.ends[index].control_bytes = header.msg_hdr.msg_controllen;
            self.ends[index].unbind();
        }
        Ok(got as usize)
    }

    /// A datagram that was received; empty if it was cut.
    pub fn query(&self, index: usize) -> &[u8] {
        &self.received[index * self.receive_bytes..][..self.lengths[index]]
    }

    /// A datagram, its ends, and room for its answer. A datagram that was cut is empty.
    pub fn exchange(&mut self, index: usize) -> (&[u8], &Ends, &mut [u8]) {
        let query = &self.received[index * self.receive_bytes..][..self.lengths[index]];
        (query, &self.ends[index], &mut self.answers[index * self.answer_bytes..][..self.answer_bytes])
    }

    /// The first `length` octets of its room are the answer; 0: none.
    pub fn answer(&mut self, index: usize, length: usize) {
        self.answer_lengths[index] = length.min(self.answer_bytes);
    }

    /// Sends the answers of the first `count` datagrams. What the kernel does not take is lost, as UDP may be; returns
    /// how many were lost.
    pub fn send(&mut self, socket: &impl AsFd, count: usize) -> usize {
        let mut filled = 0;
        for index in 0..count.min(self.used) {
            let length = self.answer_lengths[index];
            if length == 0 {
                continue;
            }
            let ends = &mut self.ends[index];
            let buffer = &mut self.answers[index * self.answer_bytes..][..length];
            self.vectors[filled] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: length };
            self.headers[filled].msg_hdr = ends.header(&mut self.vectors[filled]);
            filled += 1;
        }
        let (fd, mut sent, mut lost) = (socket.as_fd().as_raw_fd(), 0, 0);
        while sent < filled {
            let rest = &mut self.headers[sent..filled];
            // SAFETY: each header of `rest` points to a name, a vector and control data of the lengths it gives, all owned
            // by self, which stays borrowed during the call.
            let took = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, 0) };
            match took {
                1.. => sent += took as usize,
                // The first one cannot be sent (no route, a full buffer, or what ICMP said of an earlier one): without it.
                _ => (sent, lost) = (sent + 1, lost + 1),
            }
        }
        lost
    }
}

impl Ends {
    fn none() -> Ends {
        // SAFETY: sockaddr_storage is plain data for which zeros are valid: the family AF_UNSPEC.
        let peer = unsafe { zeroed() };
        Ends { peer, peer_bytes: 0, control: Control([0; CONTROL_BYTES]), control_bytes: 0 }
    }

    /// The sender; `None` if it is of no family that is known.
    pub fn peer(&self) -> Option<SocketAddr> {
        match i32::from(self.peer.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that it is a sockaddr_in, which is smaller and no stricter aligned.
                let v4 = unsafe { &*ptr::from_ref(&self.peer).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: the family says that it is a sockaddr_in6, which is smaller and no stricter aligned.
                let v6 = unsafe { &*ptr::from_ref(&self.peer).cast::<libc::sockaddr_in6>() };
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// One answer, later. Does not wait: a full buffer is an error.
    pub fn send(&self, socket: &impl AsFd, answer: &[u8]) -> io::Result<()> {
        let mut ends = *self;
        let mut vector = libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
        let header = ends.header(&mut vector);
        // SAFETY: the header points to a name, a vector and control data of the lengths it gives, alive during the call,
        // and sendmsg writes to none of them.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn header(&mut self, vector: &mut libc::iovec) -> libc::msghdr {
        let mut header = empty_header();
        header.msg_name = ptr::from_mut(&mut self.peer).cast();
        header.msg_namelen = self.peer_bytes;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        if self.control_bytes > 0 {
            header.msg_control = self.control.0.as_mut_ptr().cast();
            header.msg_controllen = self.control_bytes as _;
        }
        header
    }

    /// The device a datagram came in by is not the one its answer must leave by: routing decides, except for a
    /// link-local address, which means nothing without its device.
    fn unbind(&mut self) {
        // The control data is one cmsghdr and its payload: the socket asks for nothing but packet information.
        let data = size_of::<libc::cmsghdr>();
        if self.control_bytes >= data + size_of::<libc::in6_pktinfo>() && self.is_v6() {
            let address = &self.control.0[data..data + 16];
            if !(address[0] == 0xfe && address[1] & 0xc0 == 0x80) {
                self.control.0[data + 16..data + 20].fill(0); // ipi6_ifindex
            }
        } else if self.control_bytes >= data + size_of::<libc::in_pktinfo>() {
            self.control.0[data..data + 4].fill(0); // ipi_ifindex
        } else {
            self.control_bytes = 0;
        }
    }

    fn is_v6(&self) -> bool {
        let level = size_of::<usize>(); // cmsg_len is before it
        self.control.0[level..level + 4] == libc::IPPROTO_IPV6.to_ne_bytes()
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: msghdr is plain data for which zeros are valid: null pointers of no length.
    unsafe { zeroed() }
}

// SAFETY: the pointers in headers and vectors are set anew by each call before the kernel reads them, and point into self.
unsafe impl Send for Batch {}

/// CMSG_SPACE of the longer one, in6_pktinfo (20 octets), with room to spare.
const CONTROL_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::bind;
    use std::net::UdpSocket;

    #[test]
    fn a_batch_is_received_and_answered_from_the_address_asked() {
        for (listen, to) in [("udp:127.0.0.1:0", "127.0.0.1"), ("udp:0.0.0.0:0", "127.0.0.2"), ("udp:[::1]:0", "::1")] {
            let server = bind(&listen.parse().unwrap()).unwrap();
            server.set_nonblocking(false).unwrap();
            let port = server.local_addr().unwrap().port();
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let client = UdpSocket::bind(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
            for text in ["one", "two", "three that is too long"] {
                client.send_to(text.as_bytes(), to).unwrap();
            }
            let mut batch = Batch::new(8, 16, 16, listen.starts_with("udp:0"));
            assert_eq!(batch.receive(&server).unwrap(), 3);
            assert_eq!(batch.exchange(2).0, b"", "what was cut is empty");
            assert_eq!(batch.exchange(0).1.peer(), Some(client.local_addr().unwrap()));
            for index in [0, 1] {
                let (query, _, room) = batch.exchange(index);
                let length = query.len();
                let query = query.to_vec();
                room[..length].copy_from_slice(&query);
                batch.answer(index, length);
            }
            assert_eq!(batch.send(&server, 3), 0);
            batch.exchange(0).1.send(&server, b"later").unwrap();
            let mut buffer = [0; 32];
            for text in ["one", "two", "later"] {
                let (length, from) = client.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], from), (text.as_bytes(), to));
            }
            // What was used is set up anew, whatever it was used for.
            for round in [1, 5, 2] {
                (0..round).for_each(|number| drop(client.send_to(&[b'a' + number], to)));
                assert_eq!(batch.receive(&server).unwrap(), usize::from(round));
                for number in 0..round {
                    let (query, ends, room) = batch.exchange(number.into());
                    assert_eq!((query, ends.peer()), (&[b'a' + number][..], Some(client.local_addr().unwrap())));
                    room[0] = b'A' + number;
                    batch.answer(number.into(), usize::from(number % 2));
                }
                assert_eq!(batch.send(&server, round.into()), 0);
                for number in (0..round).filter(|number| number % 2 == 1) {
                    assert_eq!(client.recv_from(&mut buffer).unwrap(), (1, to));
                    assert_eq!(buffer[0], b'A' + number);
                }
            }
        }
    }
}
