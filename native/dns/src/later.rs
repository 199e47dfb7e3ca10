//! Queries that take asking others go over a bounded queue to the event loop. When it is full, they fail at once: a client
//! that is told so asks elsewhere, and one that hears nothing waits 5 s.

use crate::answer::{Asker, failed};
use std::net::UdpSocket;
use std::sync::Arc;
use supervisor::Place;
use sys::batch::Ends;
use tokio::sync::mpsc;

/// A query and how its answer gets to who asked.
pub struct Miss {
    pub packet: Box<[u8]>,
    pub place: Place,
    pub asker: Asker,
    pub reach: Reach,
}

pub enum Reach {
    Datagram {
        socket: Arc<UdpSocket>,
        ends: Box<Ends>,
    },
    /// With the length in front.
    Stream(mpsc::Sender<Vec<u8>>),
    /// It is only to be known.
    Nobody,
}

#[derive(Clone)]
pub struct Later(mpsc::Sender<Miss>);

impl Later {
    pub fn queue() -> (Later, mpsc::Receiver<Miss>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Later(sender), receiver)
    }

    /// Returns the length of the answer in `room` if it is to be given now: SERVFAIL; else 0.
    pub fn ask(&self, packet: &[u8], place: &Place, asker: Asker, reach: Reach, room: &mut [u8]) -> usize {
        let miss = Miss { packet: packet.into(), place: place.clone(), asker, reach };
        match self.0.try_send(miss) {
            Ok(()) => 0,
            Err(_) if room.is_empty() => 0,
            Err(_) => failed(packet, asker.transport, room),
        }
    }
}

impl Reach {
    /// What cannot be sent is lost: the client has gone, or asks again.
    pub async fn answer(self, answer: &[u8]) {
        match self {
            Reach::Datagram { socket, ends } => drop(ends.send(&socket, answer)),
            Reach::Stream(writer) => {
                let length = (answer.len() as u16).to_be_bytes();
                let _ = writer.send([&length, answer].concat()).await;
            }
            Reach::Nobody => {}
        }
    }
}

const QUEUE_MAX: usize = 8192;
