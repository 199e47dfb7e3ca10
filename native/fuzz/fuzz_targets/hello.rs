#![no_main]

// The file alone: the rest of the proxy need not be built for it.
#[path = "../../proxy/src/tls/hello.rs"]
mod hello;

use hello::{HELLO_MAX_BYTES, Hello, read};
use rustls::server::Acceptor;

// What a client of TLS sends first. The first octet says in pieces of what length it comes, and in what records once more.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((step, octets)) = input.split_first() else { return };
    let step = 1 + usize::from(*step);
    let whole = read(octets);
    let ends = (0..octets.len()).step_by(step).chain([octets.len()]);
    let first = ends.map(|end| read(&octets[..end])).find(|hello| *hello != Hello::Part);
    assert_eq!(first.unwrap_or(Hello::Part), whole, "it is the same in pieces");
    let Hello::Asks(name) = &whole else { return };
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-._".contains(&octet);
    assert!(name.len() <= 255 && name.bytes().all(plain), "{name:?} is a name");
    let message = message(octets);
    assert!(message.len() <= HELLO_MAX_BYTES);
    assert_eq!(read(&records(&message, step)), whole, "it is the same in other records");
    if let Some(theirs) = by_rustls(&records(&message, message.len())) {
        assert_eq!(theirs.strip_suffix('.').unwrap_or(&theirs), name, "whoever ends TLS sees the name by which it was led");
    }
});

/// Of the records, which are whole as far as it goes.
fn message(mut octets: &[u8]) -> Vec<u8> {
    let mut held = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = octets {
        let size = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        held.extend(&rest[..size]);
        octets = &rest[size..];
        if held.len() >= 4 && held.len() >= length(&held) {
            break;
        }
    }
    held.truncate(length(&held));
    held
}

fn length(held: &[u8]) -> usize {
    4 + u32::from_be_bytes([0, held[1], held[2], held[3]]) as usize
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect()
}

/// The name that it would choose a certificate by; None: it takes no such hello, or it is no name of DNS.
fn by_rustls(mut octets: &[u8]) -> Option<String> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut octets).ok()?;
    let accepted = acceptor.accept().ok()??;
    Some(accepted.client_hello().server_name()?.to_ascii_lowercase())
}
