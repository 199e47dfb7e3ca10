use crate::identity::Identity;
use std::sync::Arc;
use std::time::Duration;
use sys::datagram::{self, canonical};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep;

/// Answers each datagram with `POD NODE PEER: DATA`, until it is dropped.
pub async fn answer(socket: std::net::UdpSocket, identity: Arc<Identity>) {
    let socket = UdpSocket::from_std(socket).expect("a non-blocking socket inside a runtime");
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        match socket.async_io(Interest::READABLE, || datagram::receive(&socket, &mut buffer)).await {
            Ok((length, ends)) => {
                let mut text = format!("{}: ", identity.greeting(canonical(ends.peer))).into_bytes();
                text.extend_from_slice(&buffer[..length]);
                // A full send buffer or an unreachable client loses the answer, as UDP may.
                let _ = datagram::answer(&socket, &text, &ends);
            }
            // What ICMP said about an earlier answer.
            Err(_) => sleep(RETRY).await,
        }
    }
}

const DATAGRAM_MAX_BYTES: usize = 16 * 1024;
const RETRY: Duration = Duration::from_millis(1);
