//! What needs the operating system's own interfaces. The only crate in which `unsafe` is allowed.

pub mod batch;
pub mod channel;
pub mod datagram;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod netlink;
pub mod nftables;
pub mod process;
pub mod random;
pub mod sctp;
pub mod xtables;
