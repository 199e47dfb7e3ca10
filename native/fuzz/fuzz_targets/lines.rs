#![no_main]

use dns::{Dns, DnsWorker};
use std::cell::RefCell;
use supervisor::Kind;
use wire::protocol::ToCarrier;

thread_local! {
    static WORKER: RefCell<DnsWorker> = RefCell::new(fuzz::worker_of(&[(".", KUBERNETES)], &[]));
}

// What controllers send. An `s` as the first octet: rows are of servers, and come as far as the log of their table. Else they
// are of names, and go all the way into a table that is asked.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for line in input.get(1..).unwrap_or_default().split(|octet| *octet == b'\n') {
        let Ok(ToCarrier::Put(rows)) = serde_json::from_slice::<ToCarrier>(line) else { continue };
        if input[0] == b's' {
            rows.iter().for_each(|(key, row)| drop(Dns.pack("servers", key, row.get(), &mut Vec::new())));
            continue;
        }
        let rows: Vec<(String, String)> =
            rows.into_iter().map(|(key, row)| (key.into_owned(), row.get().to_string())).collect();
        WORKER.with_borrow_mut(|worker| {
            fuzz::commit(worker, "names", &rows);
            let mut room = vec![0; usize::from(u16::MAX)];
            for query in QUERIES {
                for stream in [false, true] {
                    if let Some(length) = worker.answer(query, ([127, 0, 0, 1], 1).into(), stream, &[], &mut room) {
                        fuzz::message::check(query, &room[..length], stream);
                    }
                }
            }
        });
    }
});

const KUBERNETES: &str = r#"{"plugin":"kubernetes","set":"k0","zones":["."],"ttl":30,"fallthrough":null,
    "soa":{"primary":"ns.dns","mailbox":"hostmaster","ttl":5,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}}"#;

/// For a. and b.a.: A, AAAA, SRV, MX, and what has no form of its own.
const QUERIES: &[&[u8]] = &[
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01",
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01b\x01a\0\0\x1c\0\x01",
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x21\0\x01",
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x0f\0\x01",
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\x01\x01\0\x01",
];
