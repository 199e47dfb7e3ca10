//! Takes requests to backends, as tables say: the worker of `fairlead-carrier proxy`.

mod client;
mod executor;
mod filter;
mod kind;
mod later;
pub mod proxy_protocol;
mod record;
mod resolve;
mod stream;
mod table;
mod thread;
mod timer;
mod tls;
mod trace;
mod upstream;
mod variable;
mod worker;

pub use kind::Proxy;
