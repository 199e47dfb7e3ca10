//! A socket belongs to the network namespace it was opened in: `listen` opens sockets in one and hands them to a command,
//! `relay`, run in another, connects from there for everybody who knocks. It also opens sockets itself, for ports of the
//! loopback addresses.

mod datagram;
mod listen;
mod order;
mod relay;
mod stream;

pub use listen::{HELP as LISTEN_HELP, listen};
pub use relay::{HELP as RELAY_HELP, relay};
