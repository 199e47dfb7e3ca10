//! What a controller and its carrier say to each other over a Unix socket: lines, each one JSON object. The types are
//! written here once; those of TypeScript (src/carrier/wire.ts, servers.ts) are generated from them by `npm run wire`,
//! and a test fails on drift.

pub mod answers;
pub mod corefile;
pub mod names;
pub mod network;
pub mod protocol;
pub mod proxy;
pub mod servers;
pub mod serving;
#[cfg(test)]
mod typescript;

/// A line has at most so many octets, its end not counted.
pub const LINE_MAX_BYTES: usize = 1 << 20;
pub const KEY_MAX_BYTES: usize = 512;
pub const ROWS_MAX: usize = 1_000_000;
