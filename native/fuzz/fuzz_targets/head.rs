#![no_main]

// The file alone: the rest of the proxy need not be built for it.
#[allow(dead_code)]
#[path = "../../proxy/src/client/head.rs"]
mod head;

use head::{Framing, Head, HeadReader, Limits};

const LIMITS: Limits = Limits { octets: 1024, fields: 20 };

// The head of an HTTP/1 request. The first octet says in pieces of what length it comes.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((step, octets)) = input.split_first() else { return };
    let whole = HeadReader::default().read(octets, LIMITS);
    let (mut reader, mut at, mut last) = (HeadReader::default(), 0, Head::Part);
    while last == Head::Part && at < octets.len() {
        at = octets.len().min(at + 1 + usize::from(*step));
        last = reader.read(&octets[..at], LIMITS);
    }
    assert_eq!(last, whole, "it is the same in pieces");
    if let Head::Whole(length, framing) = whole {
        check(&octets[..length], framing);
    }
});

/// Of what is let through no two servers may think differently (RFC 9112 11.2).
fn check(head: &[u8], framing: Framing) {
    let text = head.strip_suffix(b"\r\n\r\n").expect("it ends with an empty line");
    let lines: Vec<&[u8]> = text.split(|octet| *octet == b'\n').collect();
    let last = lines.len() - 1;
    let ended = |(number, line): (usize, &&'_ [u8])| number == last || line.ends_with(b"\r");
    assert!(lines.iter().enumerate().all(ended), "no bare LF");
    assert!(text.iter().filter(|octet| **octet == b'\r').count() == last, "no bare CR");
    assert!(!text.contains(&0), "no NUL");
    let old = lines[0].strip_suffix(b"\r").unwrap_or(lines[0]).ends_with(b" HTTP/1.0");
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for line in &lines[1..] {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let (name, value) = line.split_once(':').expect("a field has a colon");
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "no white space around a name");
        match &name.to_lowercase()[..] {
            "content-length" => lengths.push(value.trim_matches([' ', '\t']).to_string()),
            "transfer-encoding" => codings.push(value.trim_matches([' ', '\t']).to_lowercase()),
            "host" => hosts += 1,
            _ => {}
        }
    }
    assert!(hosts == 1 || old && hosts == 0, "one Host");
    match framing {
        Framing::Chunked => assert!(!old && lengths.is_empty() && codings == ["chunked"], "chunked and nothing else"),
        Framing::Length(length) => {
            assert!(codings.is_empty() && lengths.len() <= 1, "one length and no coding");
            let said = lengths.first().map_or(Some(0), |text| text.parse().ok());
            assert!(said == Some(length), "the length that was said");
        }
    }
}
