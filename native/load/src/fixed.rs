use crate::exchange::{payload, udp_socket};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// One socket, and so one source port, for all datagrams: to connection tracking they are one flow. Each exchange waits
/// for the answer with its own number.
#[derive(Clone)]
pub struct Fixed {
    socket: Arc<UdpSocket>,
    waiting: Waiting,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<io::Result<()>>>>>;

impl Fixed {
    /// Call inside a runtime.
    pub fn open(to: SocketAddr, from: Option<SocketAddr>, source_port: u16) -> io::Result<Fixed> {
        let socket = udp_socket(to, from, source_port)?;
        socket.set_nonblocking(true)?;
        let fixed = Fixed { socket: Arc::new(UdpSocket::from_std(socket.into())?), waiting: Waiting::default() };
        tokio::spawn(fixed.clone().receive());
        Ok(fixed)
    }

    /// Cancelled when it takes too long; it then waits no more.
    pub async fn exchange(&self, number: u64) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let _place = Place { waiting: &self.waiting, number };
        self.socket.send(payload(number).as_bytes()).await?;
        receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    async fn receive(self) {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) => {
                    let waiting = number(&buffer[..length]).and_then(|number| lock(&self.waiting).remove(&number));
                    if let Some(sender) = waiting {
                        let _ = sender.send(Ok(()));
                    }
                }
                // ICMP does not say for which datagram: all that wait were sent the same way.
                Err(error) => {
                    let code = error.raw_os_error().unwrap_or(0);
                    for (_, sender) in lock(&self.waiting).drain() {
                        let _ = sender.send(Err(io::Error::from_raw_os_error(code)));
                    }
                }
            }
        }
    }
}

struct Place<'a> {
    waiting: &'a Waiting,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(self.waiting).remove(&self.number);
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<io::Result<()>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number at the end of an answer.
fn number(answer: &[u8]) -> Option<u64> {
    let digits = answer.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&answer[answer.len() - digits..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_carry_their_number() {
        assert_eq!(number(payload(42).as_bytes()), Some(42));
        assert_eq!(number(b"web-1 n1 10.0.0.1:9: load-7"), Some(7));
        assert_eq!(number(b"nothing"), None);
    }
}
