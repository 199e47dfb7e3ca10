//! A carrier is two processes. The supervisor holds listening sockets and the last committed tables, talks with the
//! controller, and keeps a worker going; the worker serves. When a worker dies, what comes meanwhile waits in the sockets,
//! and the next one takes sockets and tables over, with or without a controller.

mod changes;
mod kind;

pub use changes::{Change, Changes};
pub use kind::{Committed, Kind, Page, PageAt, Place, Refusal, Sockets, Wants, Worker};
