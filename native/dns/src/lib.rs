//! Answers DNS queries from tables: the worker of `fairlead-carrier dns`.

mod acl;
mod answer;
mod asker;
mod cache;
mod cache_metrics;
mod chaos;
mod circle;
mod explain;
mod forward;
mod hosts;
mod kind;
mod kubernetes;
mod later;
mod local;
mod log;
mod metrics;
pub mod name;
pub mod packet;
mod record;
pub mod reply;
mod resolve;
mod rewrite;
mod serving;
mod step;
mod stream;
pub mod table;
mod template;
mod tls;
mod tls_server;
mod udp;
mod worker;
mod zone;

pub use forward::forged;
pub use kind::Dns;
