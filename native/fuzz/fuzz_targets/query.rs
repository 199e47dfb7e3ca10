#![no_main]

// What clients send: the parser takes any octets.
libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    let _ = dns::packet::parse(packet);
});
