//! What zone sets hold: names and their answers in wire form, looked up without a lock and replaced shard by shard.

mod entry;
mod set;
mod shard;

pub use entry::{Entry, RecordSet, encode, record_bytes};
pub use set::{Set, SetBuilder, hash};
