//! Frames of HTTP/2 as a client sends them (RFC 9113 4.1), counted on their way to who reads them: what asks for nothing costs
//! the client nothing, and us an answer, or at least a look.

use super::connection::Client;
use std::rc::Rc;
use tokio::io::AsyncRead;
use tokio_util::io::InspectReader;

/// A connection whose frames are counted, from its first octet on.
pub fn counted<T: AsyncRead>(inner: T, client: Rc<Client>) -> InspectReader<T, impl FnMut(&[u8])> {
    let mut reader = FrameReader::new();
    InspectReader::new(inner, move |octets| match reader.read(octets) {
        0 => {}
        idle => client.conduct.idles(idle),
    })
}

struct FrameReader {
    /// Octets to pass over: of the preface, or of a payload.
    skip: usize,
    head: [u8; HEAD_BYTES],
    held: usize,
}

impl FrameReader {
    fn new() -> FrameReader {
        FrameReader { skip: PREFACE_BYTES, head: [0; HEAD_BYTES], held: 0 }
    }

    /// How many of the frames whose heads end here ask for nothing. Give it each octet once.
    fn read(&mut self, mut octets: &[u8]) -> u64 {
        let mut idle = 0;
        while !octets.is_empty() {
            let passed = self.skip.min(octets.len());
            self.skip -= passed;
            octets = &octets[passed..];
            let taken = (HEAD_BYTES - self.held).min(octets.len());
            self.head[self.held..self.held + taken].copy_from_slice(&octets[..taken]);
            self.held += taken;
            octets = &octets[taken..];
            if self.held == HEAD_BYTES {
                let [high, middle, low, kind, flags, ..] = self.head;
                (self.skip, self.held) = (u32::from_be_bytes([0, high, middle, low]) as usize, 0);
                idle += u64::from(match kind {
                    DATA => self.skip == 0 && flags & END_STREAM == 0,
                    HEADERS | RST_STREAM | CONTINUATION => false, // each has a rule of its own
                    _ => true,
                });
            }
        }
        idle
    }
}

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_ask_for_nothing_are_counted_in_any_pieces() {
        let frame = |kind: u8, flags: u8, payload: usize| {
            let head = [0, (payload >> 8) as u8, payload as u8, kind, flags, 0, 0, 0, 1];
            [&head[..], &vec![6; payload]].concat()
        };
        let frames = [
            (4, 0, 12, true),
            (1, 4, 300, false),
            (0, 0, 700, false),
            (0, 0, 0, true),
            (0, 1, 0, false),
            (6, 0, 8, true),
            (8, 0, 4, true),
            (2, 0, 5, true),
            (3, 0, 4, false),
            (9, 4, 1, false),
            (200, 0, 0, true),
        ];
        let all: Vec<u8> = frames.iter().flat_map(|(kind, flags, payload, _)| frame(*kind, *flags, *payload)).collect();
        let octets = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &all].concat();
        let wanted = frames.iter().filter(|(.., idle)| *idle).count() as u64;
        for size in [1, 2, 8, 9, 10, 25, octets.len()] {
            let mut reader = FrameReader::new();
            assert_eq!(octets.chunks(size).map(|piece| reader.read(piece)).sum::<u64>(), wanted, "{size}");
        }
    }
}
