//! Rows as what a request is looked up in. All of it is immutable; a change makes a new `State` that shares what it leaves.

mod book;
pub mod condition;
mod host;
pub mod listener;
pub mod path;
pub mod route;
mod sharded;
mod state;

pub use book::Book;
pub use host::Host;
pub use state::State;

pub use supervisor::Problem;
