//! Backends: which there are, which is taken, and connections to them.

pub mod balance;
pub mod cluster;
pub mod connect;
pub mod drive;
pub mod health;
pub mod pool;
