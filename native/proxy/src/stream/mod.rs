//! Octets and datagrams, relayed to backends as they come.

pub mod connection;
pub mod datagrams;
mod flows;
