//! Names that clusters are: looked up by a thread of their own, again and again, so that no request waits for the DNS.

mod lookup;
mod resolver;
mod schedule;

pub use resolver::Resolver;
pub use schedule::Wanted;
