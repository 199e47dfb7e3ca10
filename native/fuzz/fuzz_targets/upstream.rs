#![no_main]

// What upstreams send: read, kept, and written into an answer of ours.
libfuzzer_sys::fuzz_target!(|message: &[u8]| {
    let _ = dns::forged(message);
});
