//! The command line: flags, and what can go wrong with a command.

mod flags;

pub use flags::{Flags, parse};

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not do its work. The message says what to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The work could not be done: exit code 1.
    Failed(String),
}

pub type Outcome = Result<ExitCode, Failure>;

/// `what: cause`, for `map_err`.
pub fn failed<E: Display>(what: impl Display) -> impl FnOnce(E) -> Failure {
    move |cause| Failure::Failed(format!("{what}: {cause}"))
}

pub fn usage(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}
