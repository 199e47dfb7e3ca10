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

/// Why a row is refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub reason: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { reason: reason.into(), remedy: remedy.into() }
    }

    /// For what the row type has and this version of the carrier does not do.
    pub fn unbuilt(what: &str) -> Problem {
        Problem::new(format!("{what} is not built yet"), "remove it, or wait for a version that has it")
    }
}
