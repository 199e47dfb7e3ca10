//! What `serve --sink` does with what `stream` and `packets` send: takes it, and says how much arrived.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use sys::datagram;

/// Takes all until the other side has said its last, then answers with the number of bytes: 8 bytes, big-endian.
pub fn drain(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut arrived: u64 = 0;
    if stream.set_read_timeout(Some(PATIENCE)).is_err() || stream.set_write_timeout(Some(PATIENCE)).is_err() {
        return;
    }
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => arrived += count as u64,
            Err(_) => return, // whoever sent it hears that there is no answer
        }
    }
    let _ = stream.write_all(&arrived.to_be_bytes());
}

/// Counts datagrams, and tells who asks. `socket` must block: one system call a datagram.
pub fn count(socket: &UdpSocket, arrived: &AtomicU64) {
    let mut buffer = [0; 2048];
    loop {
        // An error is what ICMP said about an earlier answer.
        let Ok((length, ends)) = datagram::receive(socket, &mut buffer) else { continue };
        match question(&buffer[..length]) {
            Some(number) => {
                let told = answer(number, arrived.load(Ordering::Relaxed));
                let _ = datagram::answer(socket, &told, &ends);
            }
            None => drop(arrived.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// How many have arrived? The answer has the number, too: a late one is told from the one that is waited for.
pub fn ask(number: u64) -> [u8; 9] {
    let mut text = [ASKS; 9];
    text[1..].copy_from_slice(&number.to_be_bytes());
    text
}

fn question(text: &[u8]) -> Option<u64> {
    let number = text.strip_prefix(&[ASKS])?;
    number.try_into().ok().map(u64::from_be_bytes)
}

fn answer(number: u64, arrived: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&number.to_be_bytes());
    text[8..].copy_from_slice(&arrived.to_be_bytes());
    text
}

/// How many had arrived; None: this answers another question.
pub fn answered(text: &[u8], number: u64) -> Option<u64> {
    let arrived = text.strip_prefix(&number.to_be_bytes())?;
    arrived.try_into().ok().map(u64::from_be_bytes)
}

/// The first byte of a question, and of no other datagram.
const ASKS: u8 = b'?';
const BUFFER_BYTES: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_to_one_question() {
        assert_eq!(question(&ask(7)), Some(7));
        assert_eq!(question(&ask(7)[..8]), None);
        assert_eq!(question(b"........."), None);
        assert_eq!(answered(&answer(7, 1 << 40), 7), Some(1 << 40));
        assert_eq!(answered(&answer(6, 1), 7), None);
        assert_eq!(answered(&answer(7, 1)[..12], 7), None);
    }
}
