//! Clients: their connections, what they send, and what they get.

pub mod addresses;
pub mod answered;
pub mod attempt;
pub mod body;
pub mod buffered;
pub mod chunk;
pub mod conduct;
pub mod connection;
pub mod encoded;
pub mod exchange;
pub mod exchanges;
pub mod forward;
pub mod forwarded;
pub mod frames;
pub mod guard;
pub mod head;
pub mod hop;
pub mod inner;
pub mod mirror;
pub mod pace;
pub mod respond;
pub mod response;
pub mod scene;
pub mod transport;
pub mod tunnel;
