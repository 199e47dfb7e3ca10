//! Leaves changes of set elements out, in the kernel: a transaction may hold a hundred thousand of them, which would
//! overrun the buffer and hide what matters.

use nix::libc::sock_filter;
use std::io;
use sys::bpf::{attach, jump, statement};
use sys::netlink::Netlink;

pub fn leave_out(socket: &Netlink) -> io::Result<()> {
    attach(socket, &program())
}

/// The kernel puts the notifications of one transaction behind each other in one datagram (nft_commit_notify), so the
/// first message does not tell for all: the program walks over the elements at the front and keeps the datagram if
/// anything else follows. Reading past the end drops it, which is what classic BPF does by itself.
fn program() -> Vec<sock_filter> {
    // nlmsghdr is in host byte order, BPF loads are big-endian: so single bytes, the lower one and the higher one.
    let (low, high) = if cfg!(target_endian = "little") { (0, 1) } else { (1, 0) };
    let message = if cfg!(target_endian = "little") { 4 } else { 5 };
    let length = if cfg!(target_endian = "little") { 0 } else { 2 };
    let mut program = vec![statement(LDX | IMM, 0)];
    for _ in 0..MESSAGES_MAX {
        program.extend([
            statement(LD | B | IND, message),
            jump(JMP | JEQ, NEW_ELEMENT, 2, 0),
            jump(JMP | JEQ, DELETE_ELEMENT, 1, 0),
            statement(RET, KEEP),
            // X += (length + 3) & !3; a netlink message of nftables is shorter than 64 KiB.
            statement(LD | B | IND, length + high),
            statement(ALU | LSH, 8),
            statement(ST, 0),
            statement(LD | B | IND, length + low),
            statement(STX, 1),
            statement(LDX | MEM, 0),
            statement(ALU | ADD_X, 0),
            statement(ALU | ADD, 3),
            statement(ALU | AND, !3),
            statement(LDX | MEM, 1),
            statement(ALU | ADD_X, 0),
            statement(TAX, 0),
        ]);
    }
    program.push(statement(RET, KEEP));
    program
}

// linux/netfilter/nf_tables.h: NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM
const NEW_ELEMENT: u32 = 12;
const DELETE_ELEMENT: u32 = 14;

/// 16 instructions each, of which a program may have 4,096.
const MESSAGES_MAX: usize = 128;
const KEEP: u32 = u32::MAX;

// linux/bpf_common.h
const LD: u32 = 0x00;
const LDX: u32 = 0x01;
const ST: u32 = 0x02;
const STX: u32 = 0x03;
const ALU: u32 = 0x04;
const JMP: u32 = 0x05;
const RET: u32 = 0x06;
const TAX: u32 = 0x07;
const IMM: u32 = 0x00;
const B: u32 = 0x10;
const IND: u32 = 0x40;
const MEM: u32 = 0x60;
const JEQ: u32 = 0x10;
const ADD: u32 = 0x00;
const ADD_X: u32 = 0x08;
const AND: u32 = 0x50;
const LSH: u32 = 0x60;

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
    use std::os::fd::AsRawFd;
    use sys::netlink::{Builder, netfilter_header, netfilter_kind};

    fn datagram(kinds: &[u16]) -> Vec<u8> {
        let mut built = Builder::default();
        for (number, kind) in kinds.iter().enumerate() {
            // Of many lengths, also beyond 255.
            built.message(netfilter_kind(10, *kind), 0, &netfilter_header(1), |message| {
                message.attribute(1, &vec![0xff; number * 7 % 500]);
            });
        }
        built.bytes
    }

    /// The kernel itself runs the program, on a pair of sockets.
    #[test]
    fn only_datagrams_of_nothing_but_elements_are_left_out() {
        let (writer, reader) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_NONBLOCK).unwrap();
        attach(&reader, &program()).unwrap();
        let mut many = vec![12; 100];
        let cases: [(Vec<u16>, bool); 7] = [
            (vec![15], true),
            (vec![12], false),
            (vec![12, 14, 12, 12], false),
            (many.clone(), false),
            (vec![12, 14, 2], true),
            (vec![0, 12], true),
            (
                {
                    many.push(2);
                    many
                },
                true,
            ),
        ];
        for (kinds, kept) in cases {
            let bytes = datagram(&kinds);
            send(writer.as_raw_fd(), &bytes, MsgFlags::empty()).unwrap();
            let mut buffer = vec![0; 128 * 1024];
            let got = recv(reader.as_raw_fd(), &mut buffer, MsgFlags::empty());
            assert_eq!(got, if kept { Ok(bytes.len()) } else { Err(Errno::EAGAIN) }, "{kinds:?}");
        }
    }
}
