#![no_main]

use dns::DnsWorker;
use fuzz::message::check;
use std::net::SocketAddr;

thread_local! {
    static WORKER: DnsWorker = fuzz::worker();
}

// A query's whole way: an octet that says what it came by and from whom, two with the query's length, the query, and what
// other servers say when they are asked (behind their id and the question).
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&[how, high, low], rest)) = input.split_first_chunk() else { return };
    let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
    let (query, others) = rest.split_at(length);
    let stream = how & 1 != 0;
    let peers = ["127.0.0.1:1", "10.0.0.1:53", "192.0.2.1:5353", "[fd00::7]:1"];
    let peer: SocketAddr = peers[usize::from(how >> 1 & 3)].parse().expect("an address");
    let mut room = vec![0; usize::from(u16::MAX)];
    let answered = WORKER.with(|worker| worker.answer(query, peer, stream, others, &mut room));
    if let Some(length) = answered {
        check(query, &room[..length], stream);
    }
});
